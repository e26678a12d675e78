package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sockeye-project/sockeye/endpoint/auth"
)

const (
	issuer   = "https://id.example.com"
	audience = "chat"
)

// signer makes and verifies the tokens. Both processes of a couple have its keys: constants, or that of the certificate.
type signer struct {
	method          jwt.SigningMethod // nil for none
	private, public any
}

func newSigner(set setting) (*signer, error) {
	secret := []byte(strings.Repeat("k", 32))
	switch set.auth {
	case "":
		return &signer{}, nil
	case "HS256":
		return &signer{jwt.SigningMethodHS256, secret, secret}, nil
	case "EdDSA":
		key := ed25519.NewKeyFromSeed(secret)
		return &signer{jwt.SigningMethodEdDSA, key, key.Public()}, nil
	case "ES256":
		pair, err := tls.LoadX509KeyPair(filepath.Join(set.folder, "crt"), filepath.Join(set.folder, "key"))
		if err != nil {
			return nil, err
		}
		key := pair.PrivateKey.(*ecdsa.PrivateKey)
		return &signer{jwt.SigningMethodES256, key, &key.PublicKey}, nil
	}
	return nil, fmt.Errorf("-auth %s: HS256, EdDSA or ES256 is wanted", set.auth)
}

func (s *signer) token(user string) (string, error) {
	if s.method == nil {
		return user, nil
	}
	t := jwt.NewWithClaims(s.method, jwt.MapClaims{
		"iss": issuer, "aud": audience, "sub": user, "tenant": "acme", "exp": time.Now().Add(time.Hour).Unix(),
	})
	t.Header["kid"] = "1"
	return t.SignedString(s.private)
}

func (s *signer) authenticator() (auth.Authenticator, error) {
	if s.method == nil {
		return nil, nil //nolint:nilnil // there is none, which is no error
	}
	key, err := auth.NewKey("1", s.public)
	if err != nil {
		return nil, err
	}
	return auth.NewJWT(auth.JWTConfig{
		Keys: auth.NewKeySet(key), Algorithms: []string{s.method.Alg()}, Issuer: issuer, Audiences: []string{audience},
		Claims: auth.ClaimNames{Tenant: "tenant"},
	})
}

// guard verifies tokens for the other libraries, which leave that to their user.
func (s *signer) guard(next http.HandlerFunc) http.HandlerFunc {
	if s.method == nil {
		return next
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{s.method.Alg()}), jwt.WithIssuer(issuer),
		jwt.WithAudience(audience), jwt.WithExpirationRequired())
	return func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, err := parser.Parse(token, func(*jwt.Token) (any, error) { return s.public, nil }); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}
