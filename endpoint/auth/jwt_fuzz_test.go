package auth

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// FuzzToken signs any header and claims well: whatever we accept, golang-jwt accepts and reads alike.
func FuzzToken(f *testing.F) {
	hs := pairs()["HS256"]
	f.Add(`{"alg":"HS256"}`, body(nil))
	f.Add(hs.head("k"), body(map[string]any{"aud": []string{audience}, "exp": 1e10}))
	f.Add(`{"alg":"none","crit":[]}`, `{"iss":"x","iss":"y"}`)
	f.Add(" {\"alg\" : \"HS256\",\"\\u0061lg\":1, \"x\":[{},[1,-2.5e3,\"]\\\"}\",null,true]]}\n", strings.Replace(body(nil), "{", `{"a":{"sub":1},`, 1))
	c := newClock()
	config := jwtConfig(NewKeySet(key(f, "k", hs)), c)
	config.Algorithms, config.Claims = []string{"HS256"}, ClaimNames{}
	a := must(NewJWT(config))
	peer := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(issuer), jwt.WithAudience(config.Audiences...),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(defaultSkew), jwt.WithTimeFunc(c.now), jwt.WithStrictDecoding())
	f.Fuzz(func(t *testing.T, head, text string) {
		signed := hs.token(head, text)
		id, err := a.Authenticate(t.Context(), Credential{Method: Bearer, Token: signed})
		if err != nil {
			require.IsType(t, Failure(0), err)
			return
		}
		token, err := peer.Parse(signed, func(*jwt.Token) (any, error) { return hs.public, nil })
		require.NoError(t, err)
		require.True(t, token.Valid)
		got := token.Claims.(jwt.MapClaims)
		require.Equal(t, got["sub"], id.Subject)
		if id.TokenID != "" {
			require.Equal(t, got["jti"], id.TokenID)
		}
		require.NotEmpty(t, id.Subject)
		require.True(t, id.NotAfter.After(c.now()))
	})
}

// FuzzUnsignedToken has no key, so nothing can be right.
func FuzzUnsignedToken(f *testing.F) {
	for _, alg := range []string{"HS256", "ES256", "EdDSA", "RS256"} {
		p := pairs()[alg]
		f.Add(p.token(p.head("k"), body(nil)))
	}
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	a := must(NewJWT(jwtConfig(NewKeySet(key(f, "k", otherES()), key(f, "k", otherEd())), newClock())))
	tickets := must(NewTickets(TicketsConfig{}))
	f.Fuzz(func(t *testing.T, token string) {
		_, err := a.Authenticate(t.Context(), Credential{Method: Bearer, Token: token})
		require.IsType(t, Failure(0), err)
		_, err = tickets.Authenticate(t.Context(), Credential{Method: Ticket, Token: token})
		require.IsType(t, Failure(0), err)
	})
}

// FuzzMembers holds our reading of an object against encoding/json's.
func FuzzMembers(f *testing.F) {
	f.Add(`{"a":1,"b":"x\"}","c":[1,{"d":[]}],"e":null}`)
	f.Add(` { "\u0061" : -1e5 , "b" : { } } `)
	f.Add(`{"a":1,"a":2}`)
	f.Fuzz(func(t *testing.T, text string) {
		got := map[string]string{}
		err := members([]byte(text), func(name, value []byte) error {
			got[string(name)] = string(value)
			return nil
		})
		var want map[string]json.RawMessage
		if err != nil {
			return
		}
		require.NoError(t, json.Unmarshal([]byte(text), &want))
		require.Len(t, got, len(want))
		for name, value := range want {
			require.Equal(t, string(value), got[name])
		}
	})
}

// FuzzParseKeys reads files of keys.
func FuzzParseKeys(f *testing.F) {
	f.Add(string(jwks(publicJWK("a", pairs()["ES256"]), publicJWK("b", pairs()["RS256"]), publicJWK("c", pairs()["EdDSA"]), publicJWK("d", pairs()["HS256"]))))
	f.Add("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n")
	f.Add(`{"keys":[{"kty":"RSA","n":"","e":""},{"kty":"EC","crv":"P-256"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := ParseKeys([]byte(text))
		require.Equal(t, err != nil, len(keys) == 0)
		public, err := parseJWKS([]byte(text), false)
		if err == nil {
			for _, k := range public {
				require.False(t, isSecret(k.material))
			}
		}
	})
}
