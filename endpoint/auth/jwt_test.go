package auth

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
)

func TestJWTAcceptsEveryAlgorithmThatIsAllowed(t *testing.T) {
	t.Parallel()
	c := newClock()
	var keys []Key
	for alg, p := range pairs() {
		keys = append(keys, key(t, "k-"+alg, p))
	}
	a, err := NewJWT(jwtConfig(NewKeySet(keys...), c))
	require.NoError(t, err)
	for alg, p := range pairs() {
		id, err := a.Authenticate(t.Context(), Credential{Method: Bearer, Token: p.token(p.head("k-"+alg), body(nil))})
		require.NoError(t, err, alg)
		require.Equal(t, Identity{
			Subject: canary + "-user", Tenant: "acme", Tier: "gold", TokenID: canary + "-1", Session: canary + "-s",
			Scopes: NewSet("write", "read"), Groups: NewSet("a", "b group"), IssuedAt: epoch,
			NotAfter: epoch.Add(time.Hour + 30*time.Second), Method: Bearer,
		}, id)
		require.True(t, id.Scopes.Has("read") && !id.Scopes.Has("rea") && !id.Scopes.Has("") && id.Groups.Has("b group"))
	}
}

func TestJWTRefuses(t *testing.T) {
	t.Parallel()
	hs, rs, es, ed := pairs()["HS256"], pairs()["RS256"], pairs()["ES256"], pairs()["EdDSA"]
	rsDER := must(x509.MarshalPKIXPublicKey(rs.public))
	rsPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: rsDER})
	confused := func(secret []byte) pair { return pair{"HS256", jwt.SigningMethodHS256, secret, secret} }
	enc := base64.RawURLEncoding.EncodeToString
	good := ed.token(ed.head("ed"), body(nil))
	parts := strings.Split(good, ".")
	with := func(name string, value any) string { return ed.token(ed.head("ed"), body(map[string]any{name: value})) }
	headed := func(head string) string { return ed.token(head, body(nil)) }
	raw := func(claims string) string { return ed.token(ed.head("ed"), claims) }
	at := func(d time.Duration) any { return epoch.Add(d).Unix() }
	jwkOf := string(must(json.Marshal(publicJWK("evil", ed))))

	for sentence, test := range map[string]struct {
		token string
		want  Failure
	}{
		"no token":                           {"", MalformedToken},
		"one part":                           {"abc", MalformedToken},
		"two parts":                          {"abc.def", MalformedToken},
		"four parts":                         {good + ".x", MalformedToken},
		"five parts, as an encrypted token":  {good + ".x.y", MalformedToken},
		"padding":                            {parts[0] + "=." + parts[1] + "." + parts[2], MalformedToken},
		"a line end in the signature":        {good[:len(good)-4] + "\n" + good[len(good)-4:], MalformedToken},
		"a signature with stray bits":        {stray(good), MalformedToken},
		"a header that is no object":         {headed(`["alg"]`), MalformedToken},
		"a header that is no JSON":           {headed(`{"alg":"EdDSA"`), MalformedToken},
		"two JSON values":                    {headed(`{"alg":"EdDSA"}{}`), MalformedToken},
		"bytes that are not UTF-8":           {raw("{\"iss\":\"\xff\"}"), MalformedToken},
		"over the limit":                     {with("x", strings.Repeat("x", 8<<10)), CredentialTooLong},
		"too many members":                   {raw(manyMembers()), MalformedToken},
		"alg none":                           {enc([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", ForbiddenAlgorithm},
		"alg None":                           {enc([]byte(`{"alg":"None"}`)) + "." + parts[1] + "." + parts[2], ForbiddenAlgorithm},
		"no alg":                             {headed(`{"kid":"ed"}`), ForbiddenAlgorithm},
		"alg a number":                       {headed(`{"alg":1}`), MalformedToken},
		"alg in small letters":               {headed(`{"alg":"eddsa","kid":"ed"}`), ForbiddenAlgorithm},
		"alg twice":                          {headed(`{"alg":"EdDSA","kid":"ed","alg":"none"}`), DuplicateMember},
		"alg twice, once escaped":            {headed(`{"alg":"EdDSA","kid":"ed","\u0061lg":"none"}`), DuplicateMember},
		"HS256 with the RSA key as DER":      {confused(rsDER).token(hs.head("rs"), body(nil)), UnknownKey},
		"HS256 with the RSA key as PEM":      {confused(rsPEM).token(hs.head("rs"), body(nil)), UnknownKey},
		"HS256 with the RSA key, no kid":     {confused(rsPEM).token(`{"alg":"HS256"}`, body(nil)), UnknownKey},
		"HS256 with the Ed25519 key":         {confused(must(x509.MarshalPKIXPublicKey(ed.public))).token(hs.head("ed"), body(nil)), UnknownKey},
		"ES256 with the kid of an RSA key":   {es.token(es.head("rs"), body(nil)), UnknownKey},
		"the key in the header":              {ed.token(`{"alg":"EdDSA","kid":"evil","jwk":`+jwkOf+`}`, body(nil)), UnknownKey},
		"a key URL in the header":            {headed(`{"alg":"EdDSA","kid":"evil","jku":"https://evil.example/keys"}`), UnknownKey},
		"kid that walks the file system":     {headed(`{"alg":"EdDSA","kid":"../../../../dev/null"}`), UnknownKey},
		"kid with a query":                   {headed(`{"alg":"EdDSA","kid":"x' UNION SELECT 'key"}`), UnknownKey},
		"kid with a NUL":                     {headed(`{"alg":"EdDSA","kid":"ed\u0000"}`), MalformedToken},
		"kid of 1 KiB":                       {headed(`{"alg":"EdDSA","kid":"` + strings.Repeat("k", 1<<10) + `"}`), MalformedToken},
		"kid a number":                       {headed(`{"alg":"EdDSA","kid":7}`), MalformedToken},
		"an extension that must be known":    {headed(`{"alg":"EdDSA","kid":"ed","crit":["b64"],"b64":false}`), CriticalHeader},
		"another type":                       {headed(`{"alg":"EdDSA","kid":"ed","typ":"logout+jwt"}`), WrongType},
		"the signature of another key":       {pairs()["ES256"].token(`{"alg":"ES256","kid":"es2"}`, body(nil)), WrongSignature},
		"a claim changed":                    {parts[0] + "." + enc([]byte(body(map[string]any{"sub": "root"}))) + "." + parts[2], WrongSignature},
		"an empty signature":                 {parts[0] + "." + parts[1] + ".", WrongSignature},
		"a signature of zeros":               {es.head2("es") + "." + parts[1] + "." + enc(make([]byte, 64)), WrongSignature},
		"an issuer that differs by a slash":  {with("iss", issuer+"/"), WrongIssuer},
		"no issuer":                          {with("iss", nil), WrongIssuer},
		"issuers in a list":                  {with("iss", []string{issuer}), WrongIssuer},
		"another audience":                   {with("aud", "wss://evil.example"), WrongAudience},
		"a part of the audience":             {with("aud", audience[:len(audience)-1]), WrongAudience},
		"no audience":                        {with("aud", nil), WrongAudience},
		"an empty list of audiences":         {with("aud", []string{}), WrongAudience},
		"an audience that is a number":       {with("aud", 7), MalformedClaim},
		"an audience that is an object":      {with("aud", map[string]any{audience: true}), MalformedClaim},
		"an audience among numbers":          {with("aud", []any{audience, 7}), MalformedClaim},
		"an audience that is null":           {raw(strings.Replace(body(nil), `"`+audience+`"`, "null", 1)), MalformedClaim},
		"the audience twice":                 {raw(strings.Replace(body(nil), "{", `{"aud":"x",`, 1)), DuplicateMember},
		"the subject twice":                  {raw(strings.Replace(body(nil), "{", `{"sub":"root",`, 1)), DuplicateMember},
		"a claim nobody reads, twice":        {raw(strings.Replace(body(nil), "{", `{"x":1,"x":2,`, 1)), DuplicateMember},
		"no expiry":                          {with("exp", nil), MissingExpiry},
		"an expiry in words":                 {with("exp", "tomorrow"), MalformedClaim},
		"an expiry in quotes":                {with("exp", fmt.Sprint(at(time.Hour))), MalformedClaim},
		"an expiry that is null":             {raw(strings.Replace(body(map[string]any{"exp": nil}), "{", `{"exp":null,`, 1)), MalformedClaim},
		"an expiry beyond all years":         {raw(strings.Replace(body(map[string]any{"exp": nil}), "{", `{"exp":1e300,`, 1)), MalformedClaim},
		"a negative expiry":                  {with("exp", -1), MalformedClaim},
		"expired by the skew":                {with("exp", at(-30*time.Second)), TokenExpired},
		"expired by a year":                  {with("exp", at(-365*24*time.Hour)), TokenExpired},
		"valid a second after the skew":      {with("nbf", at(31*time.Second)), NotYetValid},
		"issued a second after the skew":     {with("iat", at(31*time.Second)), IssuedInFuture},
		"no subject":                         {with("sub", nil), MissingSubject},
		"an empty subject":                   {with("sub", ""), MissingSubject},
		"a subject that is a number":         {with("sub", 7), MalformedClaim},
		"a subject with a line end":          {with("sub", "a\nlevel=INFO admitted"), MalformedClaim},
		"a subject with a terminal's escape": {with("sub", "a\x1b[2J"), MalformedClaim},
		"a subject of 1 KiB":                 {with("sub", strings.Repeat("s", 1<<10)), MalformedClaim},
		"a tenant that is a list":            {with("org", []string{"acme"}), MalformedClaim},
		"scopes that are numbers":            {with("scope", []int{1}), MalformedClaim},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			a, err := NewJWT(jwtConfig(NewKeySet(
				key(t, "rs", rs), key(t, "es", es), key(t, "ed", ed), key(t, "es2", otherES()),
			), c))
			require.NoError(t, err)
			var w Wait
			id, err := a.Authenticate(t.Context(), Credential{Method: Bearer, Token: test.token, Wait: &w})
			require.Equal(t, test.want, err, "got %v", err)
			require.Zero(t, id)
			require.Equal(t, event.FaultClient, FailureOf(err).Fault())
			require.NotContains(t, err.Error(), canary)
			require.Zero(t, w.Duration())
		})
	}
}

func TestJWTAcceptsAtTheEdges(t *testing.T) {
	t.Parallel()
	ed := pairs()["EdDSA"]
	at := func(d time.Duration) any { return epoch.Add(d).Unix() }
	for sentence, test := range map[string]struct {
		head   string
		claims map[string]any
		end    time.Duration
	}{
		"expired a second less than the skew": {"", map[string]any{"exp": at(-29 * time.Second)}, time.Second},
		"valid by the skew":                   {"", map[string]any{"nbf": at(30 * time.Second)}, time.Hour + 30*time.Second},
		"issued by the skew":                  {"", map[string]any{"iat": at(30 * time.Second)}, time.Hour + 30*time.Second},
		"times with fractions":                {"", map[string]any{"exp": float64(epoch.Unix()) + 0.5}, 30*time.Second + 500*time.Millisecond},
		"audiences in a list":                 {"", map[string]any{"aud": []string{"x", audience}}, time.Hour + 30*time.Second},
		"no kid":                              {`{"alg":"EdDSA"}`, nil, time.Hour + 30*time.Second},
		"an access token's type":              {`{"alg":"EdDSA","kid":"ed","typ":"application/AT+JWT"}`, nil, time.Hour + 30*time.Second},
		"a header with spaces":                {" { \"alg\" :\t\"EdDSA\" ,\n\"kid\":\"ed\", \"x\" : [ {\"alg\":\"none\"} , 1 ] } ", nil, time.Hour + 30*time.Second},
		"a subject with quotes":               {"", map[string]any{"sub": `a"},{ü`}, time.Hour + 30*time.Second},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			a, err := NewJWT(jwtConfig(NewKeySet(key(t, "no", otherEd()), key(t, "ed", ed)), newClock()))
			require.NoError(t, err)
			head := test.head
			if head == "" {
				head = ed.head("ed")
			}
			id, err := a.Authenticate(t.Context(), Credential{Method: FirstMessage, Token: ed.token(head, body(test.claims))})
			require.NoError(t, err)
			require.Equal(t, epoch.Add(test.end), id.NotAfter)
			require.False(t, id.Expired(id.NotAfter.Add(-1)))
			require.True(t, id.Expired(id.NotAfter))
		})
	}
}

func TestJWTMaxAge(t *testing.T) {
	t.Parallel()
	ed, c := pairs()["EdDSA"], newClock()
	config := jwtConfig(NewKeySet(key(t, "ed", ed)), c)
	config.MaxAge, config.Skew = 10*time.Minute, -1
	a, err := NewJWT(config)
	require.NoError(t, err)
	try := func(claims map[string]any) (Identity, error) {
		return a.Authenticate(t.Context(), Credential{Method: Bearer, Token: ed.token(ed.head("ed"), body(claims))})
	}
	id, err := try(nil)
	require.NoError(t, err)
	require.Equal(t, epoch.Add(10*time.Minute), id.NotAfter, "the connection ends with the age, not with exp")
	c.turn(10 * time.Minute)
	_, err = try(nil)
	require.Equal(t, TokenTooOld, err)
	_, err = try(map[string]any{"iat": nil})
	require.Equal(t, MissingIssueTime, err)
}

func TestJWTClaimsByPointer(t *testing.T) {
	t.Parallel()
	ed := pairs()["EdDSA"]
	config := jwtConfig(NewKeySet(key(t, "ed", ed)), newClock())
	config.Claims = ClaimNames{Groups: "/realm_access/roles", Tenant: "https://example.com/tenant", Tier: "/a~1b/~0c/d"}
	a := must(NewJWT(config))
	for sentence, test := range map[string]struct {
		claims map[string]any
		want   Identity
		err    error
	}{
		"all there": {map[string]any{
			"realm_access": map[string]any{"x": 1, "roles": []string{"admin"}}, "https://example.com/tenant": "acme",
			"a/b": map[string]any{"~c": map[string]any{"d": "gold"}},
		}, Identity{Groups: "admin", Tenant: "acme", Tier: "gold"}, nil},
		"none there":                   {nil, Identity{}, nil},
		"the way not to the end":       {map[string]any{"realm_access": map[string]any{"x": 1}}, Identity{}, nil},
		"something that is no object":  {map[string]any{"realm_access": "admin"}, Identity{}, MalformedClaim},
		"a name as the pointer itself": {map[string]any{"/realm_access/roles": []string{"admin"}}, Identity{}, nil},
		"a claim of another type":      {map[string]any{"realm_access": map[string]any{"roles": 1}}, Identity{}, MalformedClaim},
		"a claim twice":                {map[string]any{"realm_access": json.RawMessage(`{"roles":["user"],"roles":["admin"]}`)}, Identity{}, MalformedClaim},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			id, err := a.Authenticate(t.Context(), Credential{Method: Bearer, Token: ed.token(ed.head("ed"), body(test.claims))})
			require.Equal(t, test.err, err)
			require.Equal(t, test.want, Identity{Groups: id.Groups, Tenant: id.Tenant, Tier: id.Tier})
		})
	}
}

func TestJWTLeavesOtherMethodsToOthers(t *testing.T) {
	t.Parallel()
	ed := pairs()["EdDSA"]
	config := jwtConfig(NewKeySet(key(t, "ed", ed)), newClock())
	for method, want := range map[Method]error{
		Ticket: MissingCredential, MTLS: MissingCredential, "new": MissingCredential, Cookie: MissingCredential,
		Bearer: nil, Subprotocol: nil, FirstMessage: nil, Query: nil,
	} {
		a, err := NewJWT(config)
		require.NoError(t, err)
		_, err = a.Authenticate(t.Context(), Credential{Method: method, Token: ed.token(ed.head("ed"), body(nil))})
		require.Equal(t, want, err, method)
	}
	config.Cookies = true
	a, err := NewJWT(config)
	require.NoError(t, err)
	_, err = a.Authenticate(t.Context(), Credential{Method: Cookie, Token: ed.token(ed.head("ed"), body(nil))})
	require.NoError(t, err)
}

func TestJWTConfigSaysAllFaults(t *testing.T) {
	t.Parallel()
	_, err := NewJWT(JWTConfig{Algorithms: []string{"none"}, MaxAge: -1, MaxBytes: -1, Skew: time.Hour, Audiences: []string{""}})
	require.EqualError(t, err, `keys: must be there
algorithms: must be of HS256, RS256, PS256, ES256, ES384, EdDSA, got "none"
issuer: must be there
audiences: must name at least one, and none empty
max_age: must not be negative, got -1ns
max_bytes: must not be negative, got -1
skew: must be at most 10m, got 1h0m0s`)
}

// brokenKeys answers with keys that do not fit, or an error of its own.
type brokenKeys struct {
	keys []Key
	err  error
}

func (b brokenKeys) Find(context.Context, string, string, *Wait) ([]Key, error) { return b.keys, b.err }

func TestJWTTrustsNoKeysImplementation(t *testing.T) {
	t.Parallel()
	hs, rs := pairs()["HS256"], pairs()["RS256"]
	for sentence, test := range map[string]struct {
		keys brokenKeys
		want Failure
	}{
		"a public key for HS256":     {brokenKeys{keys: []Key{key(t, "", rs)}}, WrongSignature},
		"no keys":                    {brokenKeys{}, UnknownKey},
		"an error with the address":  {brokenKeys{err: errors.New(canary)}, Internal},
		"a deadline":                 {brokenKeys{err: context.DeadlineExceeded}, ProviderTimeout},
		"a failure that was wrapped": {brokenKeys{err: fmt.Errorf(canary+": %w", ProviderSuspended)}, ProviderSuspended},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			a, err := NewJWT(jwtConfig(test.keys, newClock()))
			require.NoError(t, err)
			_, err = a.Authenticate(t.Context(), Credential{Method: Bearer, Token: hs.token(hs.head("x"), body(nil))})
			require.Equal(t, test.want, err)
		})
	}
}

func TestLoadKeys(t *testing.T) {
	t.Parallel()
	ed, rs, hs := pairs()["EdDSA"], pairs()["RS256"], pairs()["HS256"]
	publicPEM := func(p pair) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(p.public))}))
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(ed.sign))}))
	with := func(p pair, name, value string) map[string]string {
		j := publicJWK("k", p)
		j[name] = value
		return j
	}
	for sentence, test := range map[string]struct {
		text string
		keys int
		err  string
	}{
		"two keys in PEM":                  {publicPEM(ed) + publicPEM(rs), 2, ""},
		"a JWK Set":                        {string(jwks(publicJWK("a", ed), publicJWK("b", rs), publicJWK("c", hs))), 3, ""},
		"keys that are not understood":     {string(jwks(publicJWK("a", ed), map[string]string{"kty": "new"}, with(ed, "use", "enc"), with(rs, "e", "Ag"), with(ed, "alg", "HS256"), with(ed, "alg", "new"), with(hs, "k", "c2hvcnQ"), with(pairs()["ES256"], "x", "AA"))), 1, ""},
		"a point that is not on the curve": {string(jwks(with(pairs()["ES256"], "y", publicJWK("", pairs()["ES256"])["x"]))), 0, "JWK Set: no key that verifies signatures"},
		"a short RSA key":                  {string(jwks(with(rs, "n", "AQAB"))), 0, "JWK Set: no key that verifies signatures"},
		"a private key":                    {private, 0, "PEM block 1: must be PUBLIC KEY or CERTIFICATE; a private key has no place here"},
		"nothing":                          {"", 0, "JWK Set not well formed"},
		"an object":                        {"{}", 0, "JWK Set: no key that verifies signatures"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "keys")
			require.NoError(t, os.WriteFile(path, []byte(test.text), 0o600))
			keys, err := LoadKeys(path)
			require.Len(t, keys, test.keys)
			if test.err != "" {
				require.EqualError(t, err, fmt.Sprintf("keys %q: %s", path, test.err))
				return
			}
			require.NoError(t, err)
		})
	}
	_, err := LoadKeys(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestKeySetFollowsAFile(t *testing.T) {
	t.Parallel()
	old, fresh := freshPair("ES256"), freshPair("ES256")
	set := NewKeySet(key(t, "given", old))
	path := filepath.Join(t.TempDir(), "keys")
	ctx, cancel := context.WithCancel(t.Context())
	faults := make(chan error, 10)
	var following sync.WaitGroup
	following.Go(func() { set.Follow(ctx, path, time.Millisecond, func(err error) { faults <- err }) })
	defer following.Wait()
	defer cancel()
	has := func(id string) bool {
		keys, err := set.Find(ctx, "ES256", id, nil)
		return err == nil && len(keys) == 1
	}
	write := func(text []byte) {
		require.NoError(t, os.WriteFile(path+".new", text, 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	require.ErrorIs(t, <-faults, os.ErrNotExist)
	require.True(t, has("given"))
	write(jwks(publicJWK("one", old), publicJWK("two", fresh)))
	require.Eventually(t, func() bool { return has("one") && has("two") && !has("given") }, 10*time.Second, time.Millisecond)
	write([]byte(canary))
	require.EqualError(t, <-faults, fmt.Sprintf("keys %q: JWK Set not well formed", path))
	require.True(t, has("one"), "what cannot be understood changes nothing")
	write(jwks(publicJWK("two", fresh)))
	require.Eventually(t, func() bool { return !has("one") && has("two") }, 10*time.Second, time.Millisecond)
}

// otherES and otherEd are keys that signed nothing.
func otherES() pair { return freshPair("ES256") }
func otherEd() pair { return freshPair("EdDSA") }

func (p pair) head2(id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(p.head(id)))
}

// stray sets a bit of the last character that belongs to no byte.
func stray(token string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(digits, token[len(token)-1])
	return token[:len(token)-1] + string(digits[last|1])
}

func manyMembers() string {
	var b strings.Builder
	b.WriteString("{")
	for i := range maxMembers + 1 {
		fmt.Fprintf(&b, "%q:1,", fmt.Sprint(i))
	}
	return strings.TrimSuffix(b.String(), ",") + "}"
}
