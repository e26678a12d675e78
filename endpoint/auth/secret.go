package auth

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// maxSecrets is how many clients' secrets are kept: about 200 bytes each.
const maxSecrets = 100_000

// SessionSecret makes the secret of one session, for [NewMessageKey], of one that a client has for long and of the
// session's id, which the server chooses: HKDF-SHA256 with the id as its salt and "sockeye session 1" as its info. What was
// signed in one session is worth nothing in another.
func SessionSecret(secret []byte, id string) ([]byte, error) {
	if len(secret) < messageKey {
		return nil, fmt.Errorf("message secret: must have at least %d bytes, got %d", messageKey, len(secret))
	}
	key, err := hkdf.Key(sha256.New, secret, []byte(id), "sockeye session 1", messageKey)
	if err != nil {
		return nil, fmt.Errorf("message secret: %w", err)
	}
	return key, nil
}

// Secrets are those with which clients sign messages. They can be replaced while in use.
type Secrets struct {
	all atomic.Pointer[map[owner][]byte]
}

type owner struct{ tenant, subject string }

// LoadSecrets reads a file with one secret a line, as JSON: {"subject":"ann","tenant":"acme","secret":"…"}, where the tenant
// may be left out and the secret is base64 of at least 32 random bytes, as openssl rand -base64 32 prints them.
func LoadSecrets(path string) (*Secrets, error) {
	text, err := readFile(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	s := new(Secrets)
	return s, s.take(text)
}

// Of returns the secret of an identity, nil if it has none. It must not be changed.
func (s *Secrets) Of(id Identity) []byte { return (*s.all.Load())[owner{id.Tenant, id.Subject}] }

// Follow keeps the secrets in step with the file until ctx ends, as [KeySet.Follow] does. Sessions keep those that they have
// begun with.
func (s *Secrets) Follow(ctx context.Context, path string, interval time.Duration, fault func(error)) {
	follow(ctx, path, interval, s.take, fault)
}

func (s *Secrets) take(text []byte) error {
	all, err := parseSecrets(bytes.NewReader(text))
	if err == nil {
		s.all.Store(&all)
	}
	return err
}

func parseSecrets(r io.Reader) (map[owner][]byte, error) {
	all := map[owner][]byte{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var of struct{ Subject, Tenant, Secret string }
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		if dec.Decode(&of) != nil || dec.More() || of.Subject == "" {
			return nil, fmt.Errorf("secrets:%d: must be a JSON object with subject, secret and at will tenant", n)
		}
		secret, err := base64.StdEncoding.Strict().DecodeString(of.Secret)
		if err != nil || len(secret) < messageKey {
			return nil, fmt.Errorf("secrets:%d: the secret must be base64 of at least %d bytes", n, messageKey)
		}
		key := owner{of.Tenant, of.Subject}
		if all[key] != nil {
			return nil, fmt.Errorf("secrets:%d: the same subject and tenant as before", n)
		}
		if len(all) == maxSecrets {
			return nil, fmt.Errorf("secrets:%d: there are more than %d", n, maxSecrets)
		}
		all[key] = secret
	}
	if lines.Err() != nil {
		return nil, errors.New("secrets: a line must be at most 64 KiB")
	}
	return all, nil
}
