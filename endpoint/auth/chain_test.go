package auth

import (
	"context"
	"errors"
	"testing"

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
