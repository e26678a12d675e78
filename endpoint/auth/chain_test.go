package auth

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestChain(t *testing.T) {
	t.Parallel()
	fails := func(f error) Authenticator {
		return AuthenticatorFunc(func(context.Context, Credential) (Identity, error) { return Identity{Subject: canary}, f })
	}
	for sentence, test := range map[string]struct {
		chain []Authenticator
		want  error
	}{
		"nobody":                             {nil, MissingCredential},
		"the first that knows it":            {[]Authenticator{fails(MissingCredential), fails(WrongIssuer), fails(nil), fails(Internal)}, nil},
		"a bad token has no second chance":   {[]Authenticator{fails(WrongSignature), fails(nil)}, WrongSignature},
		"nor has one that cannot be decided": {[]Authenticator{fails(ProviderTimeout), fails(nil)}, ProviderTimeout},
		"an issuer that nobody knows":        {[]Authenticator{fails(WrongIssuer), fails(MissingCredential)}, WrongIssuer},
		"an error that says too much":        {[]Authenticator{fails(errors.New(canary))}, Internal},
		"somebody without a name":            {[]Authenticator{AuthenticatorFunc(func(context.Context, Credential) (Identity, error) { return Identity{}, nil })}, MissingSubject},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			id, err := Chain(test.chain...).Authenticate(t.Context(), Credential{})
			require.Equal(t, test.want, err)
			require.Equal(t, err != nil, id == Identity{})
		})
	}
}

func TestDegraded(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.accepts(t, "one")
	b.status(500)
	b.clock.turn(2 * time.Hour)
	config := jwtConfig(b.remote.Stale(), b.clock)
	stale := must(NewJWT(config))
	left := 2
	var seen []Failure
	a := Degraded(b.jwt, stale, func(f Failure, _ Credential) bool {
		seen = append(seen, f)
		left--
		return left >= 0
	})
	try := func(p pair) error {
		claims := body(map[string]any{"exp": epoch.Add(9 * time.Hour).Unix()})
		_, err := a.Authenticate(t.Context(), Credential{Method: Bearer, Token: p.token(p.head("one"), claims)})
		return err
	}
	require.NoError(t, try(b.pair))
	require.Equal(t, KeysOutdated, try(otherES()), "whom b refuses, a could not decide on")
	require.Equal(t, KeysOutdated, try(b.pair), "the cap")
	require.Equal(t, []Failure{ProviderUnavailable, KeysOutdated, KeysOutdated}, seen)
	b.keys(publicJWK("one", b.pair))
	b.clock.turn(time.Minute)
	require.NoError(t, try(b.pair))
	require.Equal(t, WrongSignature, try(otherES()), "what is decided stays")
	require.Len(t, seen, 3)
	_, err := must(NewRemoteKeys(RemoteKeysConfig{URL: "https://id.example.com"})).Stale().Find(t.Context(), "ES256", "one", nil)
	require.Equal(t, KeysOutdated, err)
}
