package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canary is in every claim and secret of the tests; no error may have it.
const canary = "canary7Qx"

const (
	issuer   = "https://id.example.com/" + canary
	audience = "wss://chat.example.com/" + canary
)

// epoch is when the tests take place.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a clock that tests turn.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: epoch} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

type pair struct {
	alg    string
	method jwt.SigningMethod
	sign   any
	public any
}

// pairs has a key pair of each algorithm, made once.
var pairs = sync.OnceValue(func() map[string]pair {
	all := map[string]pair{}
	add := func(method jwt.SigningMethod, sign, public any) {
		all[method.Alg()] = pair{method.Alg(), method, sign, public}
	}
	secret := []byte(strings.Repeat(canary, 4))
	add(jwt.SigningMethodHS256, secret, secret)
	r := must(rsa.GenerateKey(rand.Reader, 2048))
	add(jwt.SigningMethodRS256, r, &r.PublicKey)
	add(jwt.SigningMethodPS256, r, &r.PublicKey)
	e := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	add(jwt.SigningMethodES256, e, &e.PublicKey)
	e3 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	add(jwt.SigningMethodES384, e3, &e3.PublicKey)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	add(jwt.SigningMethodEdDSA, ed, ed.Public())
	return all
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func key(t testing.TB, id string, p pair) Key {
	t.Helper()
	k, err := NewKey(id, p.public)
	require.NoError(t, err)
	return k
}

// token signs a header and claims given as JSON.
func (p pair) token(head, claims string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	return text + "." + base64.RawURLEncoding.EncodeToString(must(p.method.Sign(text, p.sign)))
}

func (p pair) head(id string) string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, p.alg, id)
}

// body returns good claims, changed; a nil value takes a claim away.
func body(changes map[string]any) string {
	c := map[string]any{
		"iss": issuer, "aud": audience, "sub": canary + "-user", "jti": canary + "-1", "sid": canary + "-s", "scope": "read write",
		"iat": epoch.Unix(), "exp": epoch.Add(time.Hour).Unix(), "org": "acme", "plan": "gold", "groups": []string{"b group", "a"},
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return string(must(json.Marshal(c)))
}

func jwtConfig(keys Keys, c *clock) JWTConfig {
	return JWTConfig{
		Keys: keys, Algorithms: []string{"HS256", "RS256", "PS256", "ES256", "ES384", "EdDSA"}, Issuer: issuer,
		Audiences: []string{"other", audience}, Claims: ClaimNames{Tenant: "org", Tier: "plan", Groups: "groups"}, Now: c.now,
	}
}

// publicJWK returns the public key as a member of a JWK Set.
func publicJWK(id string, p pair) map[string]string {
	enc := base64.RawURLEncoding.EncodeToString
	j := map[string]string{"kid": id, "use": "sig", "alg": p.alg}
	switch k := p.public.(type) {
	case *rsa.PublicKey:
		j["kty"], j["n"], j["e"] = "RSA", enc(k.N.Bytes()), "AQAB"
	case *ecdsa.PublicKey:
		b := must(k.Bytes())
		n := (len(b) - 1) / 2
		j["kty"], j["crv"], j["x"], j["y"] = "EC", k.Params().Name, enc(b[1:1+n]), enc(b[1+n:])
	case ed25519.PublicKey:
		j["kty"], j["crv"], j["x"] = "OKP", "Ed25519", enc(k)
	case []byte:
		j["kty"], j["k"] = "oct", enc(k)
	}
	return j
}

func jwks(keys ...map[string]string) []byte {
	return must(json.Marshal(map[string]any{"keys": keys}))
}

// freshPair returns a key pair of its own.
func freshPair(alg string) pair {
	if alg == "EdDSA" {
		_, ed, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			panic(err)
		}
		return pair{alg, jwt.SigningMethodEdDSA, ed, ed.Public()}
	}
	e := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return pair{"ES256", jwt.SigningMethodES256, e, &e.PublicKey}
}
