package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxJWKSBytes    = 512 << 10
	attempts        = 3
	firstPause      = time.Second
	suspendAfter    = 3
	defaultTimeout  = 3 * time.Second
	defaultRefresh  = 10 * time.Minute
	defaultMaxAge   = time.Hour
	defaultUnknown  = 10 * time.Second
	defaultSuspend  = 30 * time.Second
	defaultRetryGap = 100 * time.Millisecond
)

// RemoteKeysConfig says where an issuer publishes its keys, and what to do while it does not.
type RemoteKeysConfig struct {
	// URL is that of the JWK Set: https, or http on a loopback address. It is the only place keys come from: redirects are
	// not followed, and what a token says of keys is not read.
	URL string
	// TLS is for private authorities and client certificates. Default: the system's authorities.
	TLS *tls.Config
	// Timeout bounds one request, and how long an authentication waits for keys. Default 3 seconds.
	Timeout time.Duration
	// Refresh is how old keys may get before they are fetched anew, give or take a tenth. Default 10 minutes.
	Refresh time.Duration
	// MaxAge is how old keys may get while the provider is down. After that tokens cannot be decided. Default 1 hour.
	MaxAge time.Duration
	// UnknownKeyInterval is how often a key id that is not known may make us ask. Default 10 seconds. Whoever makes up key
	// ids can make a key that was published a moment ago wait that long.
	UnknownKeyInterval time.Duration
	// Suspend is how long the provider is left alone after repeated trouble, give or take a tenth. Default 30 seconds.
	Suspend time.Duration
	// Suspended, if not nil, is called when the provider is left alone (true) and when it answers again (false).
	Suspended func(bool)
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// RemoteKeys are the keys that an issuer publishes. They are fetched when a token needs them, never twice at a time, and
// kept: while the provider is slow or down, tokens are verified with the keys that are there, up to an age. A new key
// id makes us ask, once in a while. After repeated failures the provider is left alone: a circuit breaker, whose pauses
// grow and whose first request is a trial.
type RemoteKeys struct {
	config RemoteKeysConfig
	client *http.Client
	end    context.Context
	cancel context.CancelFunc
	flying sync.WaitGroup
	known  atomic.Pointer[fetched]

	mu        sync.Mutex
	flight    *flight
	failures  int
	trouble   string
	notBefore time.Time // the provider is left alone until then
	unknown   time.Time // when an unknown key id last made us ask
	closed    bool
}

// fetched is a JWK Set as it was at a time.
type fetched struct {
	keys    []Key
	at, due time.Time
}

// flight is one refresh, with all its attempts.
type flight struct {
	trial bool // the one before has failed
	done  chan struct{}
	err   error // set before done is closed
}

// NewRemoteKeys returns the keys of an issuer. Nothing is fetched until they are needed, or by Fetch.
func NewRemoteKeys(c RemoteKeysConfig) (*RemoteKeys, error) {
	var faults []error
	if err := checkURL(c.URL); err != nil {
		faults = append(faults, err)
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		or    time.Duration
	}{
		{"timeout", &c.Timeout, defaultTimeout}, {"refresh", &c.Refresh, defaultRefresh}, {"max_age", &c.MaxAge, defaultMaxAge},
		{"unknown_key_interval", &c.UnknownKeyInterval, defaultUnknown}, {"suspend", &c.Suspend, defaultSuspend},
	} {
		if *d.value < 0 {
			faults = append(faults, fmt.Errorf("%s: must not be negative, got %s", d.name, *d.value))
		} else if *d.value == 0 {
			*d.value = d.or
		}
	}
	if c.MaxAge < c.Refresh {
		faults = append(faults, fmt.Errorf("max_age: must be at least refresh, %s, got %s", c.Refresh, c.MaxAge))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLS != nil {
		transport.TLSClientConfig = c.TLS.Clone()
	}
	transport.DisableCompression = true // the size that is bounded is the size that comes
	transport.MaxResponseHeaderBytes = 64 << 10
	r := &RemoteKeys{config: c, client: &http.Client{
		Transport:     transport,
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	r.end, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("url: must be an absolute URL of https")
	case u.User != nil || u.Fragment != "":
		return errors.New("url: must have no user and no fragment")
	case u.Scheme == "http" && loopback(u.Hostname()), u.Scheme == "https":
		return nil
	}
	return errors.New("url: must be of https, or http on a loopback address")
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Close ends a refresh that is going on and waits for it. The keys that are there can still be used.
func (r *RemoteKeys) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.flying.Wait()
	r.client.CloseIdleConnections()
}

// Fetch fetches the keys now, so that the first client does not wait.
func (r *RemoteKeys) Fetch(ctx context.Context) error {
	f, err := r.start(r.config.Now(), r.known.Load(), false)
	if err != nil {
		return err
	}
	return r.wait(ctx, f, nil)
}

// RemoteKeysStatus says how it stands with the provider. It has no address.
type RemoteKeysStatus struct {
	// Keys is how many there are, FetchedAt how they were then.
	Keys      int
	FetchedAt time.Time
	// Failures counts the refreshes that failed since the last one that did not. Trouble is why the last did: timeout,
	// connection, tls, redirect, status_503, too_large, malformed.
	Failures int
	Trouble  string
	// NotBefore is when the provider is next asked, if it is left alone.
	NotBefore time.Time
}

// Status returns how it stands with the provider.
func (r *RemoteKeys) Status() RemoteKeysStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := RemoteKeysStatus{Failures: r.failures, Trouble: r.trouble, NotBefore: r.notBefore}
	if k := r.known.Load(); k != nil {
		s.Keys, s.FetchedAt = len(k.keys), k.at
	}
	return s
}

// Stale returns the keys that are there, of any age, without asking anybody: for [Degraded].
func (r *RemoteKeys) Stale() Keys { return staleKeys{r} }

type staleKeys struct{ *RemoteKeys }

func (s staleKeys) Find(_ context.Context, algorithm, id string, _ *Wait) ([]Key, error) {
	if have := s.known.Load(); have != nil {
		return findIn(have, algorithm, id)
	}
	return nil, KeysOutdated
}

// Find implements [Keys].
func (r *RemoteKeys) Find(ctx context.Context, algorithm, id string, w *Wait) ([]Key, error) {
	now := r.config.Now()
	have := r.known.Load()
	usable := have != nil && now.Before(have.at.Add(r.config.MaxAge))
	if !usable {
		f, err := r.start(now, have, false)
		if err == nil {
			err = r.wait(ctx, f, w)
		}
		if err != nil && have != nil && errors.Is(err, ProviderSuspended) {
			return nil, KeysOutdated
		}
		if err != nil {
			return nil, err
		}
		return findIn(r.known.Load(), algorithm, id)
	}

	found := findKeys(have.keys, algorithm, id)
	switch {
	case len(found) > 0 && now.Before(have.due):
		return found, nil
	case len(found) > 0:
		// The keys that are there do while they are fetched anew. Only after a long silence they may be too old for that,
		// but not worth waiting for a provider that is in trouble.
		f, err := r.start(now, have, false)
		if err != nil || f.trial || now.Before(have.at.Add(2*r.config.Refresh)) {
			return found, nil //nolint:nilerr // keys within their age are what there is while the provider is left alone
		}
		if r.wait(ctx, f, w) != nil {
			return found, nil //nolint:nilerr // as above
		}
		return findIn(r.known.Load(), algorithm, id)
	}
	// Twice, since a refresh that was going on may have asked before the key was there.
	for range 2 {
		f, err := r.start(now, have, true)
		if err == nil {
			err = r.wait(ctx, f, w)
		}
		if err != nil {
			return nil, err
		}
		have = r.known.Load()
		if found := findKeys(have.keys, algorithm, id); len(found) > 0 {
			return found, nil
		}
	}
	return nil, UnknownKey
}

func findIn(have *fetched, algorithm, id string) ([]Key, error) {
	if found := findKeys(have.keys, algorithm, id); len(found) > 0 {
		return found, nil
	}
	return nil, UnknownKey
}

// landed is a refresh that is done.
var landed = func() *flight {
	f := &flight{done: make(chan struct{})}
	close(f.done)
	return f
}()

// start returns the refresh that is going on, or starts one; if the keys are not those that the caller has, one is just
// done. It returns an error if the provider is left alone. For an unknown key it asks once in an interval and then is sure
// that the key is unknown: whoever makes up key ids makes no load for the provider.
func (r *RemoteKeys) start(now time.Time, have *fetched, unknown bool) (*flight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.known.Load() != have:
		return landed, nil
	case r.flight != nil:
		return r.flight, nil
	case r.closed || now.Before(r.notBefore):
		return nil, ProviderSuspended
	case unknown && !r.unknown.IsZero() && now.Before(r.unknown.Add(r.config.UnknownKeyInterval)):
		return nil, UnknownKey
	}
	if unknown {
		r.unknown = now
	}
	f := &flight{trial: r.failures > 0, done: make(chan struct{})}
	tries := attempts
	if f.trial {
		tries = 1
	}
	r.flight = f
	r.flying.Go(func() { r.fly(f, now, tries) })
	return f, nil
}

func (r *RemoteKeys) wait(ctx context.Context, f *flight, w *Wait) error {
	started := time.Now()
	timer := time.NewTimer(r.config.Timeout)
	defer timer.Stop()
	defer func() { w.Add(time.Since(started)) }()
	select {
	case <-f.done:
		return f.err
	case <-timer.C:
		return ProviderTimeout
	case <-ctx.Done():
		return FailureOf(ctx.Err())
	}
}

// fly fetches the keys, in several attempts, and keeps the result.
func (r *RemoteKeys) fly(f *flight, started time.Time, tries int) {
	var keys []Key
	var t trouble
	for try := range tries {
		if keys, t = r.fetch(); t.name == "" || !t.retry || try == tries-1 {
			break
		}
		if !r.pause(jitter(defaultRetryGap << try)) {
			break
		}
	}
	now := r.config.Now()

	r.mu.Lock()
	was := r.failures >= suspendAfter
	if t.name == "" {
		r.failures, r.trouble, r.notBefore = 0, "", time.Time{}
		r.known.Store(&fetched{keys, started, started.Add(jitter(r.config.Refresh))})
	} else {
		f.err = t.failure()
		r.failures, r.trouble = r.failures+1, t.name
		r.notBefore = now.Add(jitter(r.rest(r.failures)))
	}
	is := r.failures >= suspendAfter
	r.flight = nil
	r.mu.Unlock()

	close(f.done)
	if was != is && r.config.Suspended != nil {
		r.config.Suspended(is)
	}
}

// rest is how long the provider is left alone after the nth failure on end.
func (r *RemoteKeys) rest(n int) time.Duration {
	if n >= suspendAfter {
		return r.config.Suspend
	}
	return min(firstPause<<(n-1), r.config.Suspend)
}

func (r *RemoteKeys) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.end.Done():
		return false
	}
}

// jitter returns d, give or take a tenth, so that many processes do not ask at once.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// trouble is why keys could not be fetched.
type trouble struct {
	name  string
	retry bool
}

func (t trouble) failure() Failure {
	if t.name == "timeout" {
		return ProviderTimeout
	}
	return ProviderUnavailable
}

func (r *RemoteKeys) fetch() ([]Key, trouble) {
	req, err := http.NewRequestWithContext(r.end, http.MethodGet, r.config.URL, nil)
	if err != nil {
		return nil, trouble{name: "malformed"}
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, troubleOf(err)
	}
	defer resp.Body.Close()
	switch s := resp.StatusCode; {
	case s >= 300 && s < 400:
		return nil, trouble{name: "redirect"}
	case s != http.StatusOK:
		return nil, trouble{"status_" + strconv.Itoa(s), s >= 500 || s == http.StatusTooManyRequests}
	case resp.ContentLength > maxJWKSBytes:
		return nil, trouble{name: "too_large"}
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKSBytes+1))
	switch {
	case err != nil:
		return nil, troubleOf(err)
	case len(text) > maxJWKSBytes:
		return nil, trouble{name: "too_large"}
	}
	// A secret that everybody can fetch is none.
	keys, err := parseJWKS(text, false)
	if err != nil {
		return nil, trouble{name: "malformed"}
	}
	return keys, trouble{}
}

func troubleOf(err error) trouble {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var network net.Error
	switch {
	case errors.As(err, &network) && network.Timeout():
		return trouble{"timeout", true}
	case errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &alert):
		return trouble{"tls", false}
	}
	return trouble{"connection", true}
}
