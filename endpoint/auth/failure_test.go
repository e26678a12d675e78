package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

func TestEveryFailureIsWhole(t *testing.T) {
	t.Parallel()
	var allowed []string
	for _, s := range event.Schemas() {
		if s.Name == event.Auth {
			allowed = s.ErrorTypes
		}
	}
	require.NotEmpty(t, allowed)
	rules := map[string]bool{}
	for f := Failure(1); int(f) < len(failures); f++ {
		require.NotEmpty(t, f.Rule(), "%d", f)
		require.False(t, rules[f.Rule()], f.Rule())
		rules[f.Rule()] = true
		require.Contains(t, allowed, f.ErrorType(), f.Rule())
		require.NotEqual(t, event.FaultUnknown, f.Fault(), f.Rule())
		require.NotEqual(t, event.FaultNone, f.Fault(), f.Rule())
		require.GreaterOrEqual(t, f.Status(), 400, f.Rule())
		require.LessOrEqual(t, len(f.Reason()), wire.MaxCloseReason, f.Rule())
		require.True(t, f.CloseCode().Sendable(), f.Rule())
		h := http.Header{}
		f.SetHeader(h)
		require.Equal(t, f.Status() == http.StatusUnauthorized, h.Get("WWW-Authenticate") != "", f.Rule())
		require.Equal(t, f.Fault() == event.FaultIDP || f == TicketsFull, h.Get("Retry-After") != "", f.Rule())
		require.Equal(t, f.Fault() == event.FaultIDP || f == TicketsFull, f.CloseCode() == wire.CloseTryAgainLater, f.Rule())
	}
	require.Equal(t, "unknown", Failure(0).Rule())
	require.Equal(t, "unknown", Failure(255).Rule())
}

func TestFailureOf(t *testing.T) {
	t.Parallel()
	for sentence, test := range map[string]struct {
		err  error
		want Failure
	}{
		"no error":                 {nil, 0},
		"a failure":                {TokenExpired, TokenExpired},
		"a failure that is inside": {fmt.Errorf("x: %w", TokenExpired), TokenExpired},
		"a deadline":               {fmt.Errorf("x: %w", context.DeadlineExceeded), ProviderTimeout},
		"a client that left":       {context.Canceled, Aborted},
		"anything else":            {errors.New(canary), Internal},
		"a failure of no meaning":  {Failure(0), Internal},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, FailureOf(test.err))
		})
	}
	require.Equal(t, event.FaultServer, Internal.Fault())
	require.Equal(t, event.FaultClient, Aborted.Fault())
	require.EqualError(t, TokenExpired, "auth: token expired")
	require.EqualValues(t, 3000, TokenExpired.CloseCode())
	require.EqualValues(t, 3003, NotAllowed.CloseCode())
	require.EqualValues(t, 3008, CredentialTimeout.CloseCode())
}

func TestSet(t *testing.T) {
	t.Parallel()
	s := NewSet("b", "a", "b", "", "x\ny")
	require.Equal(t, Set("a\nb"), s)
	require.True(t, s.Has("a") && s.Has("b"))
	require.False(t, s.Has("x") || s.Has("") || s.Has("a\nb") || Set("").Has(""))
	for name := range s.All() {
		require.Equal(t, "a", name)
		break
	}
}
