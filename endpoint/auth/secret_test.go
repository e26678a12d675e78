package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var secretText = base64.StdEncoding.EncodeToString(secret)

func TestSecretsAreOfATenantsSubject(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secrets")
	write := func(text string) {
		require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	write(`{"subject":"ann","tenant":"acme","secret":"` + secretText + `"}` + "\n\n" +
		`{"subject":"bob","secret":"` + secretText + `"}`)
	s, err := LoadSecrets(path)
	require.NoError(t, err)
	require.Equal(t, secret, s.Of(Identity{Subject: "ann", Tenant: "acme"}))
	require.Equal(t, secret, s.Of(Identity{Subject: "bob"}))
	require.Nil(t, s.Of(Identity{Subject: "ann"}))
	require.Nil(t, s.Of(Identity{Subject: "bob", Tenant: "acme"}))

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	faults := make(chan error, 10)
	go s.Follow(ctx, path, time.Millisecond, func(err error) { faults <- err })
	write("{}")
	require.EqualError(t, <-faults, "secrets:1: must be a JSON object with subject, secret and at will tenant")
	require.NotNil(t, s.Of(Identity{Subject: "bob"}))
	write("")
	require.Eventually(t, func() bool { return s.Of(Identity{Subject: "bob"}) == nil }, 10*time.Second, time.Millisecond)
	_, err = LoadSecrets(path + ".none")
	require.ErrorContains(t, err, "secrets: file: ")
}

func TestFaultsOfSecretsNameLinesAndNothingElse(t *testing.T) {
	t.Parallel()
	good := `{"subject":"ann","secret":"` + secretText + `"}`
	for text, want := range map[string]string{
		good + "\n" + good: "secrets:2: the same subject and tenant as before",
		good + "\n{\"subject\":\"bob\",\"secret\":\"" + canary + "\"}": "secrets:2: the secret must be base64 of at least 32 bytes",
		`{"subject":"ann","secret":"c2hvcnQ="}`:                        "secrets:1: the secret must be base64 of at least 32 bytes",
		`{"subject":"` + canary + `","more":1}`:                        "secrets:1: must be a JSON object with subject, secret and at will tenant",
		`{"secret":"` + secretText + `"}`:                              "secrets:1: must be a JSON object with subject, secret and at will tenant",
		good + " " + good:                                              "secrets:1: must be a JSON object with subject, secret and at will tenant",
		strings.Repeat("x", 1<<17):                                     "secrets: a line must be at most 64 KiB",
	} {
		_, err := parseSecrets(strings.NewReader(text))
		require.EqualError(t, err, want)
	}
}

// TestSessionSecretIsAsDocumented makes one by the words of the documentation alone.
func TestSessionSecretIsAsDocumented(t *testing.T) {
	t.Parallel()
	extract := hmac.New(sha256.New, []byte("id"))
	extract.Write(secret)
	want := mac(extract.Sum(nil), []byte("sockeye session 1\x01"))
	got, err := SessionSecret(secret, "id")
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = SessionSecret(secret[:31], "id")
	require.EqualError(t, err, "message secret: must have at least 32 bytes, got 31")
}

func FuzzSecrets(f *testing.F) {
	f.Add(`{"subject":"ann","tenant":"acme","secret":"` + secretText + `"}`)
	f.Add("{}\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseSecrets(strings.NewReader(text))
		if err != nil {
			require.Nil(t, all)
			return
		}
		for of, s := range all {
			require.NotEmpty(t, of.subject)
			require.GreaterOrEqual(t, len(s), 32)
		}
	})
}
