package auth

import (
	"context"
	"slices"

	"github.com/sockeye-project/sockeye/event"
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

// Degraded returns an Authenticator that asks a, and b where a cannot decide because the identity provider is in trouble and
// allowed agrees. Which clients b accepts then, such as those with tokens by keys that are out of date ([RemoteKeys.Stale]),
// and how many allowed lets in, is how far the user goes to stay available. allowed is called by many goroutines.
func Degraded(a, b Authenticator, allowed func(Failure, Credential) bool) Authenticator {
	return AuthenticatorFunc(func(ctx context.Context, c Credential) (Identity, error) {
		id, err := a.Authenticate(ctx, c)
		if err == nil {
			return id, nil
		}
		f := FailureOf(err)
		if f.Fault() != event.FaultIDP || ctx.Err() != nil || !allowed(f, c) {
			return Identity{}, f
		}
		if id, err = b.Authenticate(ctx, c); err != nil {
			return Identity{}, f
		}
		return id, nil
	})
}
