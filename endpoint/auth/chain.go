package auth

import (
	"context"
	"slices"
)

// Chain returns an Authenticator that asks each in turn. The first that knows the credential decides: only
// MissingCredential, which says that the method is another's, and WrongIssuer, which says that the token is, lead on. So
// no bad token gets a second chance, and a provider in trouble is not passed over.
func Chain(all ...Authenticator) Authenticator { return chain(slices.Clone(all)) }

type chain []Authenticator

func (all chain) Authenticate(ctx context.Context, c Credential) (Identity, error) {
	var last error = MissingCredential
	for _, a := range all {
		id, err := a.Authenticate(ctx, c)
		switch f := FailureOf(err); f {
		case WrongIssuer:
			last = f
		case MissingCredential:
		case 0:
			if id.Subject == "" {
				return Identity{}, MissingSubject
			}
			return id, nil
		default:
			return Identity{}, f
		}
	}
	return Identity{}, last
}
