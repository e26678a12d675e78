package auth

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
)

// provider is an identity provider on a real socket.
type provider struct {
	*httptest.Server
	asked atomic.Int64
	serve atomic.Pointer[http.HandlerFunc]
}

func newProvider(t testing.TB) *provider {
	t.Helper()
	p := new(provider)
	p.keys()
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		(*p.serve.Load())(w, r)
	}))
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

func (p *provider) answer(h http.HandlerFunc) { p.serve.Store(&h) }

func (p *provider) keys(keys ...map[string]string) {
	text := jwks(keys...)
	p.answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Write(text)
	})
}

func (p *provider) status(code int) {
	p.answer(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, canary, code) })
}

func (p *provider) trust() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(p.Certificate())
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// bed is a provider, its keys as we see them, and an Authenticator that uses them.
type bed struct {
	*provider
	clock  *clock
	remote *RemoteKeys
	jwt    *JWT
	pair   pair
}

func newBed(t testing.TB, change func(*RemoteKeysConfig)) *bed {
	t.Helper()
	b := &bed{provider: newProvider(t), clock: newClock(), pair: pairs()["ES256"]}
	b.keys(publicJWK("one", b.pair))
	c := RemoteKeysConfig{URL: b.URL + "/" + canary, TLS: b.trust(), Timeout: 10 * time.Second, Now: b.clock.now}
	if change != nil {
		change(&c)
	}
	b.remote = must(NewRemoteKeys(c))
	t.Cleanup(b.remote.Close)
	config := jwtConfig(b.remote, b.clock)
	config.MaxAge = 0
	b.jwt = must(NewJWT(config))
	return b
}

// try authenticates with a token of p that lives a day.
func (b *bed) try(ctx context.Context, p pair, id string) (time.Duration, error) {
	var w Wait
	claims := body(map[string]any{"exp": epoch.Add(1000 * time.Hour).Unix()})
	_, err := b.jwt.Authenticate(ctx, Credential{Method: Bearer, Token: p.token(p.head(id), claims), Wait: &w})
	return w.Duration(), err
}

func (b *bed) accepts(t testing.TB, id string) {
	t.Helper()
	_, err := b.try(t.Context(), b.pair, id)
	require.NoError(t, err)
}

// settled waits until no refresh is going on.
func (b *bed) settled(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		b.remote.mu.Lock()
		defer b.remote.mu.Unlock()
		return b.remote.flight == nil
	}, 20*time.Second, time.Millisecond)
}

func TestRemoteKeysAreFetchedOnceForManyClients(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	var clients sync.WaitGroup
	var failed, waited atomic.Int64
	for range 50 {
		clients.Go(func() {
			w, err := b.try(t.Context(), b.pair, "one")
			if err != nil {
				failed.Add(1)
			}
			waited.Add(int64(w))
		})
	}
	clients.Wait()
	require.Zero(t, failed.Load())
	require.EqualValues(t, 1, b.asked.Load())
	require.Positive(t, waited.Load(), "the provider's time is known apart")
	w, err := b.try(t.Context(), b.pair, "one")
	require.NoError(t, err)
	require.Zero(t, w, "nobody was asked")
}

func TestRemoteKeysRotateWithoutAGap(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	old, fresh := b.pair, freshPair("ES256")
	b.accepts(t, "one")

	b.keys(publicJWK("one", old), publicJWK("two", fresh))
	_, err := b.try(t.Context(), fresh, "two")
	require.NoError(t, err, "a new key is fetched when the first token names it")
	b.accepts(t, "one")

	b.keys(publicJWK("two", fresh))
	b.clock.turn(12 * time.Minute)
	b.accepts(t, "one") // and is fetched anew behind that
	b.settled(t)
	_, err = b.try(t.Context(), old, "one")
	require.Equal(t, UnknownKey, err, "a key that was withdrawn ends")
	_, err = b.try(t.Context(), fresh, "two")
	require.NoError(t, err)

	b.keys(publicJWK("two", old)) // the same id, another key
	b.clock.turn(25 * time.Minute)
	_, err = b.try(t.Context(), fresh, "two")
	require.Equal(t, WrongSignature, err, "after a long silence we look before we trust")
}

func TestRemoteKeysRotateUnderLoad(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.accepts(t, "one")
	for round := range 30 {
		id := fmt.Sprint("round-", round)
		b.keys(publicJWK(id, b.pair))
		b.clock.turn(10 * time.Second)
		asked := b.asked.Load()
		begin := make(chan struct{})
		var clients sync.WaitGroup
		var failed atomic.Int64
		for range 30 {
			clients.Go(func() {
				<-begin
				if keys, err := b.remote.Find(context.Background(), "ES256", id, nil); err != nil || len(keys) != 1 {
					failed.Add(1)
				}
			})
		}
		close(begin)
		clients.Wait()
		require.Zero(t, failed.Load())
		require.EqualValues(t, 1, b.asked.Load()-asked)
	}
}

func TestWhoComesLateFindsTheKeysThatAnotherFetched(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.accepts(t, "one")
	before := b.remote.known.Load()
	b.keys(publicJWK("two", b.pair))
	b.accepts(t, "two")
	f, err := b.remote.start(b.clock.now(), before, true)
	require.NoError(t, err, "not an unknown key, although we have asked within the interval")
	require.NoError(t, b.remote.wait(t.Context(), f, nil))
	_, err = b.remote.start(b.clock.now(), b.remote.known.Load(), true)
	require.Equal(t, UnknownKey, err)
	require.EqualValues(t, 2, b.asked.Load())
}

func TestRemoteKeysAreNotAskedForMadeUpKeys(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.accepts(t, "one")
	for i := range 200 {
		_, err := b.try(t.Context(), b.pair, fmt.Sprint("made-up-", i))
		require.Equal(t, UnknownKey, err)
	}
	require.EqualValues(t, 2, b.asked.Load())
	b.clock.turn(10 * time.Second)
	for i := range 200 {
		_, err := b.try(t.Context(), b.pair, fmt.Sprint("made-up-", i))
		require.Equal(t, UnknownKey, err)
	}
	require.EqualValues(t, 3, b.asked.Load())
	b.accepts(t, "one")
}

func TestRemoteKeysRefuse(t *testing.T) {
	t.Parallel()
	evil := newProvider(t)
	evil.keys(publicJWK("one", pairs()["ES256"]))
	good := jwks(publicJWK("one", pairs()["ES256"]))
	for sentence, test := range map[string]struct {
		answer  http.HandlerFunc
		trouble string
		asked   int64
	}{
		"a redirect, even to the same keys": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, evil.URL, http.StatusFound)
		}, "redirect", 1},
		"10 MB in one answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(10<<20))
			w.Write(good)
			w.Write(bytes.Repeat([]byte(" "), 10<<20-len(good)))
		}, "too_large", 1},
		"an answer without an end, which we do not wait for": {func(w http.ResponseWriter, _ *http.Request) {
			w.Write(good)
			io.Copy(w, spaces{})
		}, "too_large", 1},
		"not JSON":              {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>"+canary) }, "malformed", 1},
		"no keys":               {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"keys":[]}`) }, "malformed", 1},
		"a thousand keys":       {func(w http.ResponseWriter, _ *http.Request) { w.Write(jwks(make([]map[string]string, 1000)...)) }, "malformed", 1},
		"a secret for everyone": {func(w http.ResponseWriter, _ *http.Request) { w.Write(jwks(publicJWK("one", pairs()["HS256"]))) }, "malformed", 1},
		"404":                   {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, canary, http.StatusNotFound) }, "status_404", 1},
		"500, three times":      {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, canary, http.StatusInternalServerError) }, "status_500", 3},
		"a connection that ends, three times": {func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, "connection", 3},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, nil)
			b.answer(test.answer)
			_, err := b.try(t.Context(), b.pair, "one")
			require.Equal(t, ProviderUnavailable, err)
			require.Equal(t, event.FaultIDP, FailureOf(err).Fault())
			s := b.remote.Status()
			require.Equal(t, test.trouble, s.Trouble)
			require.Zero(t, s.Keys)
			require.Equal(t, test.asked, b.asked.Load())
			require.NotContains(t, fmt.Sprint(err, s), canary)
			require.NotContains(t, fmt.Sprint(err, s), "127.0.0.1")

			b.keys(publicJWK("one", b.pair))
			b.clock.turn(2 * time.Second)
			b.accepts(t, "one")
			b.answer(test.answer)
			b.clock.turn(15 * time.Minute)
			b.accepts(t, "one")
			b.settled(t)
			require.Equal(t, test.trouble, b.remote.Status().Trouble)
			b.accepts(t, "one") // the keys that were there survive
		})
	}
	t.Cleanup(func() { require.Zero(t, evil.asked.Load()) })
}

type spaces struct{}

func (spaces) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

func TestRemoteKeysOfAStrangerAreRefused(t *testing.T) {
	t.Parallel()
	b := newBed(t, func(c *RemoteKeysConfig) { c.TLS = nil })
	_, err := b.try(t.Context(), b.pair, "one")
	require.Equal(t, ProviderUnavailable, err)
	require.Equal(t, "tls", b.remote.Status().Trouble)
	require.Zero(t, b.asked.Load())
}

func TestRemoteKeysOutliveAnOutageUpToAnAge(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.accepts(t, "one")
	b.status(http.StatusServiceUnavailable)
	for range 11 {
		b.clock.turn(5 * time.Minute)
		b.accepts(t, "one")
		b.settled(t)
	}
	_, err := b.try(t.Context(), freshPair("ES256"), "new")
	require.Equal(t, event.FaultIDP, FailureOf(err).Fault(), "while nobody can say, an unknown key is not the client's fault")
	b.clock.turn(5*time.Minute - time.Second)
	b.accepts(t, "one")
	b.settled(t)
	b.clock.turn(time.Second)
	_, err = b.try(t.Context(), b.pair, "one")
	require.Equal(t, KeysOutdated, err)
	require.Equal(t, event.FaultIDP, FailureOf(err).Fault())

	b.keys(publicJWK("one", b.pair))
	b.clock.turn(34 * time.Second)
	b.accepts(t, "one")
	require.Zero(t, b.remote.Status().Failures)
}

func TestRemoteKeysLeaveABrokenProviderAlone(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var changes []bool
	b := newBed(t, func(c *RemoteKeysConfig) {
		c.Suspended = func(on bool) {
			mu.Lock()
			defer mu.Unlock()
			changes = append(changes, on)
		}
	})
	seen := func() []bool {
		b.remote.flying.Wait()
		mu.Lock()
		defer mu.Unlock()
		return append([]bool(nil), changes...)
	}
	b.status(http.StatusInternalServerError)
	for i, wait := range []time.Duration{0, 1200 * time.Millisecond, 2300 * time.Millisecond} {
		b.clock.turn(wait)
		_, err := b.try(t.Context(), b.pair, "one")
		require.Equal(t, ProviderUnavailable, err, i)
	}
	require.EqualValues(t, 3+1+1, b.asked.Load(), "retries at first, then one trial at a time")
	require.Equal(t, []bool{true}, seen())
	for range 100 {
		w, err := b.try(t.Context(), b.pair, "one")
		require.Equal(t, ProviderSuspended, err)
		require.Zero(t, w)
	}
	require.EqualValues(t, 5, b.asked.Load())
	b.clock.turn(33 * time.Second)
	_, err := b.try(t.Context(), b.pair, "one")
	require.Equal(t, ProviderUnavailable, err)
	require.EqualValues(t, 6, b.asked.Load())
	b.keys(publicJWK("one", b.pair))
	b.clock.turn(33 * time.Second)
	b.accepts(t, "one")
	require.Equal(t, []bool{true, false}, seen())
}

func TestRemoteKeysOfAFlappingProvider(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	text := jwks(publicJWK("one", b.pair))
	b.accepts(t, "one")
	var n atomic.Int64
	b.answer(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%2 == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Write(text)
	})
	for range 20 {
		b.clock.turn(11 * time.Minute)
		b.accepts(t, "one")
		b.settled(t)
		require.Zero(t, b.remote.Status().Failures, "the second attempt succeeds")
	}
}

func TestRemoteKeysOfASlowProvider(t *testing.T) {
	t.Parallel()
	b := newBed(t, func(c *RemoteKeysConfig) { c.Timeout = 100 * time.Millisecond })
	held := make(chan struct{})
	slow := func(http.ResponseWriter, *http.Request) { <-held }
	b.answer(slow)
	defer func() { close(held) }()

	w, err := b.try(t.Context(), b.pair, "one")
	require.Equal(t, ProviderTimeout, err)
	require.Equal(t, event.IDPTimeout, FailureOf(err).ErrorType())
	require.Equal(t, event.FaultIDP, FailureOf(err).Fault())
	require.GreaterOrEqual(t, w, 100*time.Millisecond)
	b.settled(t)
	require.Equal(t, "timeout", b.remote.Status().Trouble)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.clock.turn(2 * time.Second)
	_, err = b.try(ctx, b.pair, "one")
	require.Contains(t, []error{Aborted, ProviderTimeout}, err)
	b.settled(t)

	b.keys(publicJWK("one", b.pair))
	b.clock.turn(10 * time.Second)
	require.Eventually(t, func() bool {
		_, err := b.try(t.Context(), b.pair, "one")
		b.clock.turn(40 * time.Second)
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
	b.answer(slow)
	b.settled(t)
	b.clock.turn(12 * time.Minute)
	w, err = b.try(t.Context(), b.pair, "one")
	require.NoError(t, err)
	require.Zero(t, w, "who has keys does not wait for fresh ones")
	for range 3 {
		b.settled(t)
		b.clock.turn(10 * time.Minute)
		w, err = b.try(t.Context(), b.pair, "one")
		require.NoError(t, err)
		require.Zero(t, w, "nor for a trial, however old the keys")
	}
}

func TestRemoteKeysCloseEndsARefresh(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	arrived, left := make(chan struct{}), make(chan struct{})
	b.answer(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(left)
	})
	result := make(chan error, 1)
	go func() {
		_, err := b.try(context.Background(), b.pair, "one")
		result <- err
	}()
	<-arrived
	b.remote.Close()
	require.Equal(t, event.FaultIDP, FailureOf(<-result).Fault())
	<-left
	_, err := b.try(t.Context(), b.pair, "one")
	require.Equal(t, ProviderSuspended, err)
	require.Equal(t, ProviderSuspended, b.remote.Fetch(t.Context()))
}

func TestRemoteKeysFetchAhead(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	require.NoError(t, b.remote.Fetch(t.Context()))
	require.Equal(t, 1, b.remote.Status().Keys)
	w, err := b.try(t.Context(), b.pair, "one")
	require.NoError(t, err)
	require.Zero(t, w)
}

func TestJitterIsATenth(t *testing.T) {
	t.Parallel()
	low, high := time.Hour, time.Duration(0)
	for range 10_000 {
		d := jitter(time.Second)
		low, high = min(low, d), max(high, d)
	}
	require.GreaterOrEqual(t, low, 900*time.Millisecond)
	require.LessOrEqual(t, high, 1100*time.Millisecond)
	require.Greater(t, high-low, 150*time.Millisecond)
}

func TestRemoteKeysConfigSaysItsFaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://id.example.com/keys":                    "",
		"http://127.0.0.1:80/keys":                       "",
		"http://[::1]/keys":                              "",
		"http://localhost:8080/keys":                     "",
		"http://id.example.com/keys":                     "url: must be of https, or http on a loopback address",
		"http://127.0.0.1.example/keys":                  "url: must be of https, or http on a loopback address",
		"http://localhost.evil.example/":                 "url: must be of https, or http on a loopback address",
		"file:///etc/keys":                               "url: must be an absolute URL of https",
		"keys.json":                                      "url: must be an absolute URL of https",
		"":                                               "url: must be an absolute URL of https",
		"https://user:" + canary + "@id.example.com/":    "url: must have no user and no fragment",
		"https://id.example.com/" + canary + "#fragment": "url: must have no user and no fragment",
		"ftp://id.example.com/":                          "url: must be of https, or http on a loopback address",
		"https://id.example.com/%zz" + canary:            "url: must be an absolute URL of https",
		strings.Repeat("x", 10) + ":opaque":              "url: must be an absolute URL of https",
	} {
		r, err := NewRemoteKeys(RemoteKeysConfig{URL: text})
		if want == "" {
			require.NoError(t, err, text)
			r.Close()
			continue
		}
		require.EqualError(t, err, want, text)
	}
	_, err := NewRemoteKeys(RemoteKeysConfig{URL: "https://id.example.com", Timeout: -1, MaxAge: time.Second})
	require.EqualError(t, err, "timeout: must not be negative, got -1ns\nmax_age: must be at least refresh, 10m0s, got 1s")
}
