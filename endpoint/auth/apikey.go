package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
)

// minAPIKey is the length of 128 random bits in base64.
const minAPIKey = 22

// APIKeys accepts long-lived keys of programs, by their hashes: the configuration has no secret. A key has to be random, as
// one of 32 random bytes is; a password is not.
type APIKeys struct {
	prefix string
	keys   atomic.Pointer[map[[sha256.Size]byte]Identity]
}

// NewAPIKeys returns an Authenticator of keys that begin with prefix, such as "acme_live_": what does not is somebody else's
// in a [Chain], and whoever scans for leaked secrets finds those that do. keys has identities by [HashAPIKey].
func NewAPIKeys(prefix string, keys map[string]Identity) (*APIKeys, error) {
	if prefix == "" || !isB64Token(prefix) {
		return nil, errors.New("prefix: must be there, of letters, digits and -._~+/")
	}
	a := &APIKeys{prefix: prefix}
	return a, a.Replace(keys)
}

// HashAPIKey returns the SHA-256 of a key in hexadecimal.
func HashAPIKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// Replace replaces all keys. On an error nothing is.
func (a *APIKeys) Replace(keys map[string]Identity) error {
	all := make(map[[sha256.Size]byte]Identity, len(keys))
	for text, id := range keys {
		hash, err := hex.DecodeString(text)
		if err != nil || len(hash) != sha256.Size {
			return fmt.Errorf("api key of %q: must be given as its SHA-256 in hexadecimal", id.Subject)
		}
		if id.Subject == "" {
			return errors.New("api key: must have a subject")
		}
		if id.TokenID == "" {
			id.TokenID = text[:16]
		}
		all[[sha256.Size]byte(hash)] = id
	}
	a.keys.Store(&all)
	return nil
}

// Authenticate implements [Authenticator].
func (a *APIKeys) Authenticate(_ context.Context, c Credential) (Identity, error) {
	switch c.Method {
	case Bearer, Subprotocol, FirstMessage:
	default:
		return Identity{}, MissingCredential
	}
	secret, ok := strings.CutPrefix(c.Token, a.prefix)
	switch {
	case !ok:
		return Identity{}, MissingCredential
	case len(c.Token) > defaultMaxToken:
		return Identity{}, CredentialTooLong
	case len(secret) < minAPIKey:
		return Identity{}, Refused
	}
	// Looking up a hash tells by its time nothing of the key.
	id, ok := (*a.keys.Load())[sha256.Sum256([]byte(c.Token))]
	if !ok {
		return Identity{}, Refused
	}
	id.Method = c.Method
	return id, nil
}
