package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	minSecret  = 32 // RFC 7518 §3.2: as long as the hash
	minRSABits = 2048
	maxRSABits = 8192
	maxKeys    = 100
	maxKeyID   = 256
	maxKeyFile = 1 << 20
	// maxTries is how many keys are tried for a token that names none.
	maxTries = 8
)

// algorithm is one that a token may be signed with, and the keys that it takes. A token says only which of them it was;
// what a key is for follows from the key, so that no public key is ever taken for a secret (RFC 8725 §2.1).
type algorithm struct {
	method jwt.SigningMethod
	fits   func(key any) bool
}

var algorithms = map[string]algorithm{
	"HS256": {jwt.SigningMethodHS256, isSecret},
	"RS256": {jwt.SigningMethodRS256, isRSA},
	"PS256": {jwt.SigningMethodPS256, isRSA},
	"ES256": {jwt.SigningMethodES256, isEC(elliptic.P256())},
	"ES384": {jwt.SigningMethodES384, isEC(elliptic.P384())},
	"EdDSA": {jwt.SigningMethodEdDSA, isEd25519},
}

func isSecret(key any) bool  { _, ok := key.([]byte); return ok }
func isRSA(key any) bool     { _, ok := key.(*rsa.PublicKey); return ok }
func isEd25519(key any) bool { _, ok := key.(ed25519.PublicKey); return ok }

func isEC(curve elliptic.Curve) func(any) bool {
	return func(key any) bool {
		k, ok := key.(*ecdsa.PublicKey)
		return ok && k.Curve == curve
	}
}

// Key verifies signatures.
type Key struct {
	id, algorithm string
	material      any
}

// NewKey returns a key with an id, which may be "". The material is a []byte for HS256, else an *rsa.PublicKey, an
// *ecdsa.PublicKey of P-256 or P-384, or an ed25519.PublicKey.
func NewKey(id string, material any) (Key, error) {
	if !plain(id, maxKeyID) {
		return Key{}, fmt.Errorf("key id: must be text of at most %d bytes", maxKeyID)
	}
	switch k := material.(type) {
	case []byte:
		if len(k) < minSecret {
			return Key{}, fmt.Errorf("secret: must have at least %d bytes (RFC 7518 §3.2)", minSecret)
		}
		material = slices.Clone(k)
	case *rsa.PublicKey:
		if k == nil || k.N == nil || k.N.BitLen() < minRSABits || k.N.BitLen() > maxRSABits || k.E < 3 || k.E%2 == 0 {
			return Key{}, fmt.Errorf("RSA key: must have %d to %d bits and an odd exponent", minRSABits, maxRSABits)
		}
	case *ecdsa.PublicKey:
		if k == nil || !isEC(elliptic.P256())(k) && !isEC(elliptic.P384())(k) {
			return Key{}, errors.New("elliptic key: must be of the curve P-256 or P-384")
		}
		//nolint:staticcheck // Bytes panics where these are nil
		if k.X == nil || k.Y == nil {
			return Key{}, errors.New("elliptic key: must be a point of its curve")
		}
		if _, err := k.Bytes(); err != nil {
			return Key{}, errors.New("elliptic key: must be a point of its curve")
		}
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return Key{}, fmt.Errorf("Ed25519 key: must have %d bytes", ed25519.PublicKeySize)
		}
	default:
		return Key{}, fmt.Errorf("key: must be a secret or a public key of RSA, ECDSA or Ed25519, is a %T", material)
	}
	return Key{id: id, material: material}, nil
}

// ID returns the key's id.
func (k Key) ID() string { return k.id }

// Keys knows the keys of an issuer.
type Keys interface {
	// Find returns the keys that a token of the algorithm and key id can be signed with: those of that id, or all where the
	// token names none. None is no error only if the answer is certain. The error is a [Failure]. What was waited for the
	// identity provider is added to w.
	Find(ctx context.Context, algorithm, id string, w *Wait) ([]Key, error)
}

// KeySet are keys that were given, and can be replaced while in use.
type KeySet struct{ keys atomic.Pointer[[]Key] }

// NewKeySet returns a set of keys.
func NewKeySet(keys ...Key) *KeySet {
	s := new(KeySet)
	s.Replace(keys...)
	return s
}

// Replace replaces all keys. To rotate without a gap, have old and new ones together for as long as old tokens live.
func (s *KeySet) Replace(keys ...Key) {
	keys = slices.Clone(keys)
	s.keys.Store(&keys)
}

// Find implements [Keys].
func (s *KeySet) Find(_ context.Context, algorithm, id string, _ *Wait) ([]Key, error) {
	if found := findKeys(*s.keys.Load(), algorithm, id); len(found) > 0 {
		return found, nil
	}
	return nil, UnknownKey
}

// findKeys returns the keys that fit. Mostly that is one, which costs no allocation.
func findKeys(keys []Key, name, id string) []Key {
	alg, ok := algorithms[name]
	if !ok {
		return nil
	}
	fits := func(k Key) bool {
		return (id == "" || k.id == id) && (k.algorithm == "" || k.algorithm == name) && alg.fits(k.material)
	}
	first := slices.IndexFunc(keys, fits)
	if first < 0 {
		return nil
	}
	last := first + 1
	var more []Key
	for _, k := range keys[last:] {
		if fits(k) && len(more) < maxTries-1 {
			more = append(more, k)
		}
	}
	if more == nil {
		return keys[first:last:last]
	}
	return append([]Key{keys[first]}, more...)
}

// LoadKeys reads a file of keys: a JWK Set (RFC 7517 §5), which may have secrets, or public keys and certificates in PEM,
// whose id is "" and which thus serve only tokens that name none.
func LoadKeys(path string) ([]Key, error) {
	text, err := readFile(path, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	keys, err := ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("keys %q: %w", path, err)
	}
	return keys, nil
}

// Follow keeps the set in step with a file as [LoadKeys] reads it until ctx ends. It is looked at every interval. While it is
// missing or cannot be understood the keys stay as they are, and fault is told, once for each reason.
func (s *KeySet) Follow(ctx context.Context, path string, interval time.Duration, fault func(error)) {
	follow(ctx, path, interval, func(text []byte) error {
		keys, err := ParseKeys(text)
		if err != nil {
			return fmt.Errorf("keys %q: %w", path, err)
		}
		s.Replace(keys...)
		return nil
	}, fault)
}

// ParseKeys reads what [LoadKeys] finds in a file.
func ParseKeys(text []byte) ([]Key, error) {
	if block, _ := pem.Decode(text); block == nil {
		return parseJWKS(text, true)
	}
	var keys []Key
	for n := 1; ; n++ {
		block, rest := pem.Decode(text)
		if block == nil {
			return keys, nil
		}
		if n > maxKeys {
			return nil, fmt.Errorf("must have at most %d keys", maxKeys)
		}
		material, err := fromPEM(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		key, err := NewKey("", material)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		keys = append(keys, key)
		text = rest
	}
}

func fromPEM(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("public key not well formed")
		}
		return key, nil
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("certificate not well formed")
		}
		return cert.PublicKey, nil
	}
	return nil, errors.New("must be PUBLIC KEY or CERTIFICATE; a private key has no place here")
}

// jwk is what we read of a key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
type jwk struct {
	Kty, Use, Alg, Kid, Crv string
	KeyOps                  []string `json:"key_ops"`
	N, E, X, Y, K           string
}

// parseJWKS returns the keys of a JWK Set that verify signatures. A key that is not understood is left out (RFC 7517 §5),
// but a set of which nothing is left is an error.
func parseJWKS(text []byte, secrets bool) ([]Key, error) {
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("JWK Set not well formed")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("JWK Set: must have at most %d keys", maxKeys)
	}
	var keys []Key
	for _, raw := range set.Keys {
		var j jwk
		if json.Unmarshal(raw, &j) != nil || j.Use != "" && j.Use != "sig" ||
			j.KeyOps != nil && !slices.Contains(j.KeyOps, "verify") || j.Kty == "oct" && !secrets {
			continue
		}
		material, ok := j.material()
		if !ok {
			continue
		}
		key, err := NewKey(j.Kid, material)
		if alg, known := algorithms[j.Alg]; err != nil || j.Alg != "" && (!known || !alg.fits(key.material)) {
			continue
		}
		key.algorithm = j.Alg
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("JWK Set: no key that verifies signatures")
	}
	return keys, nil
}

func (j jwk) material() (any, bool) {
	switch j.Kty {
	case "RSA":
		n, e := number(j.N, maxRSABits/8), number(j.E, 4)
		if n == nil || e == nil || e.BitLen() > 31 {
			return nil, false
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, true
	case "EC":
		curve, size := elliptic.P256(), 32
		if j.Crv == "P-384" {
			curve, size = elliptic.P384(), 48
		} else if j.Crv != "P-256" {
			return nil, false
		}
		x, y := decode(j.X), decode(j.Y)
		if len(x) != size || len(y) != size {
			return nil, false
		}
		key, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
		return key, err == nil
	case "OKP":
		x := decode(j.X)
		return ed25519.PublicKey(x), j.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize
	case "oct":
		k := decode(j.K)
		return k, k != nil
	}
	return nil, false
}

func decode(s string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

func number(s string, most int) *big.Int {
	b := decode(s)
	if len(b) == 0 || len(b) > most {
		return nil
	}
	return new(big.Int).SetBytes(b)
}
