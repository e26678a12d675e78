package auth

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRevoked(t *testing.T) {
	t.Parallel()
	id := Identity{Subject: "alice", Tenant: "acme", TokenID: "t1", Session: "s1", IssuedAt: epoch}
	undated := id
	undated.IssuedAt = time.Time{}
	for sentence, test := range map[string]struct {
		r    Revocation
		id   Identity
		want bool
	}{
		"the token":                               {Revocation{TokenID: "t1"}, id, true},
		"another token":                           {Revocation{TokenID: "t2"}, id, false},
		"the subject":                             {Revocation{Subject: "alice"}, id, true},
		"the session":                             {Revocation{Session: "s1"}, id, true},
		"the tenant":                              {Revocation{Tenant: "acme"}, id, true},
		"the subject in its tenant":               {Revocation{Subject: "alice", Tenant: "acme"}, id, true},
		"the subject's name in another tenant":    {Revocation{Subject: "alice", Tenant: "other"}, id, false},
		"the subject's name as a tenant":          {Revocation{Tenant: "alice"}, id, false},
		"what was issued before":                  {Revocation{Subject: "alice", Before: epoch.Add(time.Second)}, id, true},
		"what is issued from then on":             {Revocation{Subject: "alice", Before: epoch}, id, false},
		"what does not say when it was issued":    {Revocation{Subject: "alice", Before: epoch}, undated, true},
		"nobody who has no session":               {Revocation{Session: "s1"}, Identity{Subject: "bob"}, false},
		"one that has ended":                      {Revocation{Subject: "alice", Until: epoch.Add(-1)}, id, false},
		"one that ends now":                       {Revocation{Subject: "alice", Until: epoch}, id, false},
		"one that lasts":                          {Revocation{Subject: "alice", Until: epoch.Add(1)}, id, true},
		"all four":                                {Revocation{TokenID: "t1", Subject: "alice", Tenant: "acme", Session: "s1"}, id, true},
		"a token without a name, by an empty one": {Revocation{Subject: "carol"}, Identity{Subject: "bob"}, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			l := NewRevocations(0, newClock().now)
			require.NoError(t, l.Add(test.r))
			require.Equal(t, test.want, l.Revoked(test.id))
			if test.r.Until.IsZero() {
				require.Equal(t, test.want, test.r.Matches(test.id))
			}
		})
	}
	require.False(t, Revocation{}.Matches(Identity{}))
	require.EqualError(t, NewRevocations(0, nil).Add(Revocation{Before: epoch}), "revocation: must name a token_id, subject, tenant or session")
}

func TestRevocationsEndAndAreBounded(t *testing.T) {
	t.Parallel()
	clock := newClock()
	l := NewRevocations(2, clock.now)
	alice, bob, carol := Revocation{Subject: "alice"}, Revocation{Subject: "bob", Until: epoch.Add(time.Hour)}, Revocation{Subject: "carol"}
	require.NoError(t, l.Add(alice))
	require.NoError(t, l.Add(bob))
	require.NoError(t, l.Add(bob), "twice is once")
	require.ErrorIs(t, l.Add(carol), ErrTooManyRevocations)
	require.True(t, l.Revoked(Identity{Subject: "alice"}), "none is dropped for another")
	clock.turn(time.Hour)
	require.False(t, l.Revoked(Identity{Subject: "bob"}))
	require.NoError(t, l.Add(carol))
	require.Equal(t, 2, l.Len())
	require.True(t, l.Lift(carol))
	require.False(t, l.Lift(carol))
	clock.turn(23 * time.Hour)
	require.False(t, l.Revoked(Identity{Subject: "alice"}), "a day by default")
}

// kept is what the list has of a subject.
func kept(l *Revocations, subject string) Revocation {
	r, _ := l.list.Find(func(int) target { return target{subject: subject} }, nil)
	return r
}

func TestRevocationsOnlyReachFurther(t *testing.T) {
	t.Parallel()
	l := NewRevocations(0, newClock().now)
	require.NoError(t, l.Add(Revocation{Subject: "a", Until: epoch.Add(2 * time.Hour)}))
	require.NoError(t, l.Add(Revocation{Subject: "a", Before: epoch, Until: epoch.Add(time.Hour)}))
	require.Equal(t, Revocation{Subject: "a", Until: epoch.Add(2 * time.Hour)}, kept(l, "a"))
	require.NoError(t, l.Add(Revocation{Subject: "b", Before: epoch}))
	require.NoError(t, l.Add(Revocation{Subject: "b", Before: epoch.Add(-time.Hour)}))
	require.Equal(t, epoch, kept(l, "b").Before)
}

func TestGuardRefusesWhatIsRevoked(t *testing.T) {
	t.Parallel()
	l := NewRevocations(0, nil)
	a := l.Guard(AuthenticatorFunc(func(_ context.Context, c Credential) (Identity, error) {
		if c.Token == "" {
			return Identity{}, ProviderTimeout
		}
		return Identity{Subject: c.Token}, nil
	}))
	require.NoError(t, l.Add(Revocation{Subject: "alice"}))
	_, err := a.Authenticate(t.Context(), Credential{Token: "alice"})
	require.Equal(t, Revoked, err)
	_, err = a.Authenticate(t.Context(), Credential{Token: "bob"})
	require.NoError(t, err)
	_, err = a.Authenticate(t.Context(), Credential{})
	require.Equal(t, ProviderTimeout, err)
}

// TestNoSessionSlipsPastARevocation runs sessions that begin, as the documentation of Watch has it, against revocations.
func TestNoSessionSlipsPastARevocation(t *testing.T) {
	t.Parallel()
	l := NewRevocations(0, nil)
	var mu sync.Mutex
	live := map[string]bool{}
	defer l.Watch(func(r Revocation) {
		mu.Lock()
		defer mu.Unlock()
		delete(live, r.Subject)
	})()
	guarded := l.Guard(AuthenticatorFunc(func(_ context.Context, c Credential) (Identity, error) { return Identity{Subject: c.Token}, nil }))
	var all sync.WaitGroup
	for i := range 500 {
		name := fmt.Sprint(i)
		begin := make(chan struct{})
		all.Go(func() {
			<-begin
			id, err := guarded.Authenticate(context.Background(), Credential{Token: name})
			if err != nil {
				return
			}
			mu.Lock()
			live[name] = true
			mu.Unlock()
			if l.Revoked(id) {
				mu.Lock()
				delete(live, name)
				mu.Unlock()
			}
		})
		all.Go(func() {
			<-begin
			if l.Add(Revocation{Subject: name}) != nil {
				panic("full")
			}
		})
		close(begin)
	}
	all.Wait()
	require.Empty(t, live)
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	l := NewRevocations(0, nil)
	var told atomic.Int64
	stop := l.Watch(func(Revocation) { told.Add(1) })
	require.NoError(t, l.Add(Revocation{Subject: "a"}))
	stop()
	require.NoError(t, l.Add(Revocation{Subject: "b"}))
	require.EqualValues(t, 1, told.Load())
}

func TestFollowKeepsInStepWithAFile(t *testing.T) {
	t.Parallel()
	clock := newClock()
	l := NewRevocations(0, clock.now)
	path := filepath.Join(t.TempDir(), "revoked")
	faults := make(chan error, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { l.Follow(ctx, path, time.Millisecond, func(err error) { faults <- err }) })
	defer following.Wait()
	defer cancel()
	write := func(lines ...string) {
		require.NoError(t, os.WriteFile(path+".new", []byte(strings.Join(lines, "\n")), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	eventually := func(subject string, want bool) {
		t.Helper()
		require.Eventually(t, func() bool { return l.Revoked(Identity{Subject: subject}) == want }, 10*time.Second, time.Millisecond)
	}
	require.ErrorIs(t, <-faults, os.ErrNotExist)
	write(`{"subject":"alice"}`, ``, `{"subject":"bob","tenant":""}`)
	eventually("alice", true)
	eventually("bob", true)
	write(`{"subject":"alice"}`, `{"subject":"`+canary+`","reason":"x"}`)
	err := <-faults
	require.EqualError(t, err, "revocations:2: must be a JSON object with token_id, subject, tenant or session, and at will before and until in RFC 3339")
	require.True(t, l.Revoked(Identity{Subject: "bob"}), "what cannot be understood changes nothing")
	write(`{"subject":"alice","until":"2026-03-01T13:00:00Z"}`)
	eventually("bob", false)
	require.NoError(t, os.Remove(path))
	require.ErrorIs(t, <-faults, os.ErrNotExist)
	require.True(t, l.Revoked(Identity{Subject: "alice"}))
	clock.turn(time.Hour)
	require.False(t, l.Revoked(Identity{Subject: "alice"}))
}

func FuzzParseRevocations(f *testing.F) {
	f.Add(`{"subject":"alice"}`)
	f.Add("\n{\"token_id\":\"x\",\"before\":\"2026-03-01T13:00:00Z\"}\n")
	f.Add(`{"subject":"` + canary + `"`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseRevocations(strings.NewReader(text))
		if err != nil {
			require.NotContains(t, err.Error(), canary)
			return
		}
		for _, r := range list {
			require.NotEqual(t, target{}, r.target())
		}
	})
}
