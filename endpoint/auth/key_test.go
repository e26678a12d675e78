package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewKeyRefuses(t *testing.T) {
	t.Parallel()
	r := pairs()["RS256"].public.(*rsa.PublicKey)
	p521 := must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	for sentence, test := range map[string]struct {
		id       string
		material any
		want     string
	}{
		"a short secret":          {"", []byte(canary), "secret: must have at least 32 bytes (RFC 7518 §3.2)"},
		"no secret":               {"", []byte(nil), "secret: must have at least 32 bytes (RFC 7518 §3.2)"},
		"a short RSA key":         {"", &rsa.PublicKey{N: big.NewInt(35), E: 65537}, "RSA key: must have 2048 to 8192 bits and an odd exponent"},
		"a huge RSA key":          {"", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 8192), E: 65537}, "RSA key: must have 2048 to 8192 bits and an odd exponent"},
		"an exponent of 1":        {"", &rsa.PublicKey{N: r.N, E: 1}, "RSA key: must have 2048 to 8192 bits and an odd exponent"},
		"a point beside it":       {"", beside(), "elliptic key: must be a point of its curve"},
		"an RSA key of nothing":   {"", (*rsa.PublicKey)(nil), "RSA key: must have 2048 to 8192 bits and an odd exponent"},
		"another curve":           {"", &p521.PublicKey, "elliptic key: must be of the curve P-256 or P-384"},
		"no point":                {"", &ecdsa.PublicKey{Curve: elliptic.P256()}, "elliptic key: must be a point of its curve"},
		"a short Ed25519 key":     {"", ed25519.PublicKey("x"), "Ed25519 key: must have 32 bytes"},
		"a private key":           {"", pairs()["EdDSA"].sign, "key: must be a secret or a public key of RSA, ECDSA or Ed25519, is a ed25519.PrivateKey"},
		"a secret that is a text": {"", canary, "key: must be a secret or a public key of RSA, ECDSA or Ed25519, is a string"},
		"an id with a line end":   {"a\n" + canary, r, "key id: must be text of at most 256 bytes"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			_, err := NewKey(test.id, test.material)
			require.EqualError(t, err, test.want)
		})
	}
	require.Equal(t, "k", key(t, "k", pairs()["EdDSA"]).ID())
}

func TestParseKeysFromPEM(t *testing.T) {
	t.Parallel()
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	cert := newAuthority().cert
	keys, err := ParseKeys([]byte(block("CERTIFICATE", cert.Raw)))
	require.NoError(t, err)
	require.True(t, cert.PublicKey.(*ecdsa.PublicKey).Equal(keys[0].material))
	good := block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(pairs()["EdDSA"].public)))
	p521 := must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	for text, want := range map[string]string{
		good + block("PUBLIC KEY", []byte(canary)):                            "PEM block 2: public key not well formed",
		block("CERTIFICATE", []byte(canary)):                                  "PEM block 1: certificate not well formed",
		block("EC PRIVATE KEY", []byte(canary)):                               "PEM block 1: must be PUBLIC KEY or CERTIFICATE; a private key has no place here",
		strings.Repeat(good, maxKeys+1):                                       "must have at most 100 keys",
		block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&p521.PublicKey))): "PEM block 1: elliptic key: must be of the curve P-256 or P-384",
	} {
		_, err := ParseKeys([]byte(text))
		require.EqualError(t, err, want)
	}
}

func TestATokenThatNamesNoKeyMakesFewTries(t *testing.T) {
	t.Parallel()
	ed := pairs()["EdDSA"]
	keys := make([]Key, 0, 2*maxTries)
	for range 2*maxTries - 1 {
		keys = append(keys, key(t, "", otherEd()))
	}
	keys = append(keys, key(t, "", ed))
	require.Len(t, findKeys(keys, "EdDSA", ""), maxTries)
	require.Nil(t, findKeys(keys, "none", ""))
	a := must(NewJWT(jwtConfig(NewKeySet(keys...), newClock())))
	_, err := a.Authenticate(t.Context(), Credential{Method: Bearer, Token: ed.token(`{"alg":"EdDSA"}`, body(nil))})
	require.Equal(t, WrongSignature, err)
}

// beside returns a key whose point is not on its curve.
func beside() *ecdsa.PublicKey {
	k := *pairs()["ES256"].public.(*ecdsa.PublicKey)
	k.Curve = elliptic.P384()
	return &k
}
