package websocketendpointreceiver

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/receiver/websocketendpointreceiver/internal/metadata"
	"github.com/sockeye-project/sockeye/receiver/websocketendpointreceiver/internal/metadatatest"
)

const patience = 20 * time.Second

// sink is a pipeline that keeps what it takes, and what it was asked to take.
type sink struct {
	mu       sync.Mutex
	err      error
	chunks   []eventlog.Chunk
	events   []event.Event
	progress []time.Time
	refused  []eventlog.Chunk
}

var _ consumer.Logs = (*sink)(nil)

func (s *sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

func (s *sink) ConsumeLogs(_ context.Context, logs plog.Logs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rl := range logs.ResourceLogs().All() {
		resource := eventlog.DecodeResource(rl.Resource())
		for _, sl := range rl.ScopeLogs().All() {
			chunk := eventlog.ChunkOf(sl.Scope())
			if s.err != nil {
				if chunk.ID != "" {
					s.refused = append(s.refused, chunk)
				}
				// A pipeline may do what it likes with what it was given.
				logs.ResourceLogs().RemoveIf(func(plog.ResourceLogs) bool { return true })
				return s.err
			}
			for _, lr := range sl.LogRecords().All() {
				var e event.Event
				if err := eventlog.DecodeRecord(lr, resource, &e); err != nil {
					return consumererror.NewPermanent(err)
				}
				if e.Name == event.SourceProgress {
					s.progress = append(s.progress, time.Unix(0, e.Get(event.ProgressReadThrough).Int()))
					continue
				}
				s.events = append(s.events, e)
			}
			if chunk.ID != "" {
				s.chunks = append(s.chunks, chunk)
			}
		}
	}
	return nil
}

func (s *sink) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// count returns how many events of that name there are, or of all names.
func (s *sink) count(name event.Name) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.events {
		if name == "" || s.events[i].Name == name {
			n++
		}
	}
	return n
}

func (s *sink) first(t *testing.T, name event.Name) *event.Event {
	t.Helper()
	eventually(t, "an event "+string(name), func() bool { return s.count(name) > 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.events {
		if s.events[i].Name == name {
			return &s.events[i]
		}
	}
	return nil
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, patience, 5*time.Millisecond, what)
}

// testConfig is an echo for everybody whose events leave soon.
func testConfig() *Config {
	c := createDefaultConfig().(*Config)
	c.Endpoint, c.InsecureAnonymous, c.AllowMissingOrigin, c.Handler = "127.0.0.1:0", true, true, "echo"
	c.Chunk.MaxAge, c.ProgressInterval = 10*time.Millisecond, 20*time.Millisecond
	c.Resource = map[string]string{"service.name": "chat"}
	c.Timeouts.Shutdown = 5 * time.Second
	return c
}

// start starts a receiver, which the test or its end shuts down.
func start(t *testing.T, id component.ID, cfg *Config, next consumer.Logs, reload bool) *endpointReceiver {
	t.Helper()
	settings := receivertest.NewNopSettings(metadata.Type)
	settings.ID = id
	return startWith(t, settingsOf{r: settings}, cfg, next, reload)
}

func idOf(t *testing.T) component.ID {
	return component.NewIDWithName(metadata.Type, strings.NewReplacer("/", "-", " ", "-", ",", "").Replace(t.Name()))
}

func (r *endpointReceiver) url() string { return "ws://" + r.serving.addr.String() + r.cfg.Path }

func dial(t *testing.T, url string, header http.Header, protocols ...string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	c, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: header, Subprotocols: protocols, HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
	if c != nil {
		t.Cleanup(func() { _ = c.CloseNow() })
	}
	return c, resp, err
}

func connect(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	c, _, err := dial(t, url, nil)
	require.NoError(t, err)
	return c
}

// say sends a message and waits for it to come back.
func say(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, c.Write(ctx, websocket.MessageText, []byte(text)))
	_, got, err := c.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

func closeOf(t *testing.T, c *websocket.Conn) websocket.StatusCode {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if _, _, err := c.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

func TestWhatTheEndpointTellsReachesThePipelineInChunks(t *testing.T) {
	t.Parallel()
	next := &sink{}
	r := start(t, idOf(t), testConfig(), next, false)
	c := connect(t, r.url())
	say(t, c, "hello")
	require.NoError(t, c.Close(websocket.StatusNormalClosure, ""))
	closed := next.first(t, event.Close)
	require.EqualValues(t, 1000, closed.Get(event.CloseCode).Int())
	require.Equal(t, []event.Named{{Name: "service.name", Value: event.String("chat")}}, closed.Resource.Attributes())
	require.NoError(t, closed.Validate())
	require.Equal(t, 1, next.count(event.Open))
	require.Equal(t, 2, next.count(event.Message), "one for each direction")
	require.NoError(t, r.Shutdown(context.Background()))
	next.mu.Lock()
	defer next.mu.Unlock()
	ids, records := map[string]bool{}, 0
	for _, chunk := range next.chunks {
		require.False(t, chunk.Repeated)
		ids[chunk.ID] = true
		records += chunk.Records
	}
	require.Len(t, ids, len(next.chunks), "each chunk has an id of its own")
	require.Equal(t, len(next.events), records)
}

func TestShutdownClosesConnectionsAndStoresTheirEvents(t *testing.T) {
	t.Parallel()
	next := &sink{}
	cfg := testConfig()
	cfg.Chunk.MaxAge = time.Hour // it is the shutdown that makes the chunk leave
	r := start(t, idOf(t), cfg, next, false)
	c := connect(t, r.url())
	say(t, c, "hello")
	code := make(chan websocket.StatusCode, 1)
	go func() { code <- closeOf(t, c) }()
	require.NoError(t, r.Shutdown(context.Background()))
	require.Equal(t, websocket.StatusServiceRestart, <-code)
	require.Equal(t, 1, next.count(event.Open))
	require.Equal(t, 1, next.count(event.Close))
	_, _, err := dial(t, r.url(), nil)
	require.Error(t, err)
}

func TestAPipelineThatRefusesGetsTheSameChunkAgain(t *testing.T) {
	t.Parallel()
	next := &sink{}
	next.refuse(errors.New("away"))
	r := start(t, idOf(t), testConfig(), next, false)
	c := connect(t, r.url())
	say(t, c, "the endpoint goes on")
	eventually(t, "an attempt", r.isRefused)
	next.refuse(nil)
	next.first(t, event.Open)
	next.mu.Lock()
	defer next.mu.Unlock()
	require.Equal(t, next.refused[0].ID, next.chunks[0].ID)
	require.False(t, next.refused[0].Repeated)
	require.True(t, next.chunks[0].Repeated)
}

func TestAShutdownDoesNotRestForLong(t *testing.T) {
	t.Parallel()
	r := &endpointReceiver{hurry: make(chan struct{})}
	done := make(chan bool)
	go func() { done <- r.rest(context.Background(), time.Hour) }()
	close(r.hurry)
	require.True(t, <-done, "a rest that has begun")
	require.True(t, r.rest(context.Background(), time.Hour), "one that begins")
	ended, end := context.WithCancel(context.Background())
	end()
	require.False(t, r.rest(ended, time.Hour))
}

func TestWhatIsRefusedForGoodIsCountedAsLost(t *testing.T) {
	t.Parallel()
	next := &sink{}
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	next.refuse(consumererror.NewPermanent(errors.New("no")))
	settings := metadatatest.NewSettings(tel)
	settings.ID = idOf(t)
	r := startWith(t, settingsOf{r: settings}, testConfig(), next, false)
	c := connect(t, r.url())
	eventually(t, "a refusal", func() bool {
		next.mu.Lock()
		defer next.mu.Unlock()
		return len(next.refused) > 0 && r.recorder.count() == 0
	})
	next.refuse(nil)
	require.NoError(t, c.Close(websocket.StatusNormalClosure, ""))
	next.first(t, event.Close)
	require.NoError(t, r.Shutdown(context.Background()))
	next.mu.Lock()
	defer next.mu.Unlock()
	lost := int64(0)
	for _, chunk := range next.refused {
		lost += int64(chunk.Records)
	}
	require.Positive(t, lost)
	got, err := tel.GetMetric("otelcol_receiver_websocketendpoint_lost_events")
	require.NoError(t, err)
	metadatatest.AssertEqualReceiverWebsocketendpointLostEvents(t, tel, sumOf(lost), metricdatatest.IgnoreTimestamp())
	require.NotEmpty(t, got.Name)
}

func TestARecorderThatIsFullHoldsTheObserverAndNotMore(t *testing.T) {
	t.Parallel()
	rec := newRecorder(2)
	told := make(chan int, 10)
	go func() {
		for i := range 5 {
			rec.Observe(&event.Event{Name: event.Open, Time: time.Unix(int64(i), 0)})
			told <- i
		}
		close(told)
	}()
	require.Equal(t, 0, <-told)
	require.Equal(t, 1, <-told)
	require.Equal(t, 2, rec.count())
	b, ok := rec.cut(1)
	require.True(t, ok)
	again, _ := rec.cut(9)
	require.Equal(t, b.id, again.id)
	require.Len(t, again.items, 1, "a chunk is cut once")
	require.True(t, again.sent)
	rec.settle(false)
	require.Equal(t, 2, <-told)
	require.LessOrEqual(t, rec.count(), 2)
	require.Equal(t, 2, rec.close(), "what waits when it is closed")
	require.Equal(t, 3, <-told)
	require.Equal(t, 4, <-told)
	_, _, lost := rec.state()
	require.EqualValues(t, 2, lost)
}

func TestProgressIsNeverAheadOfWhatWaits(t *testing.T) {
	t.Parallel()
	next := &sink{}
	cfg := testConfig()
	cfg.Chunk.MaxAge = time.Hour
	r := start(t, idOf(t), cfg, next, false)
	began := time.Now()
	connect(t, r.url())
	eventually(t, "an event that waits", func() bool { return r.recorder.count() > 0 })
	seen := func() int {
		next.mu.Lock()
		defer next.mu.Unlock()
		return len(next.progress)
	}
	before := seen()
	eventually(t, "progress", func() bool { return seen() > before+3 })
	next.mu.Lock()
	defer next.mu.Unlock()
	_, first, _ := r.recorder.state()
	oldest := first.Time
	require.WithinRange(t, oldest, began, time.Now())
	for _, through := range next.progress {
		require.False(t, through.After(oldest))
	}
}

// issuer signs tokens with a key in a file.
type issuer struct {
	t    *testing.T
	file string
	key  ed25519.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{t: t, file: filepath.Join(t.TempDir(), "keys.json")}
	i.rotate()
	return i
}

func (i *issuer) rotate() {
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(i.t, err)
	i.key = private
	text := fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public))
	require.NoError(i.t, os.WriteFile(i.file, []byte(text), 0o600))
}

func (i *issuer) token(subject string) http.Header {
	encode := base64.RawURLEncoding.EncodeToString
	claims, err := json.Marshal(map[string]any{
		"iss": "https://login.example.com", "aud": "chat", "sub": subject, "jti": subject, "tenant": "acme",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	require.NoError(i.t, err)
	text := encode([]byte(`{"alg":"EdDSA","kid":"k"}`)) + "." + encode(claims)
	return http.Header{"Authorization": {"Bearer " + text + "." + encode(ed25519.Sign(i.key, []byte(text)))}}
}

func (i *issuer) config() *Config {
	c := testConfig()
	c.InsecureAnonymous = false
	c.JWT = JWTConfig{
		Issuer: "https://login.example.com", Audiences: []string{"chat"}, Algorithms: []string{"EdDSA"}, KeyFile: i.file,
		TenantClaim: "tenant",
	}
	return c
}

func TestTokensAndTicketsLetClientsIn(t *testing.T) {
	t.Parallel()
	issuer, next := newIssuer(t), &sink{}
	cfg := issuer.config()
	cfg.Tickets.Path, cfg.KeyFile = "/ticket", filepath.Join(t.TempDir(), "key")
	cfg.RevocationsFile = filepath.Join(t.TempDir(), "revoked")
	require.NoError(t, os.WriteFile(cfg.RevocationsFile, nil, 0o600))
	r := start(t, idOf(t), cfg, next, false)

	_, resp, err := dial(t, r.url(), nil)
	require.Error(t, err)
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	_, resp, err = dial(t, r.url()+"elsewhere", issuer.token("ann"))
	require.Error(t, err)
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	c, _, err := dial(t, r.url(), issuer.token("ann"))
	require.NoError(t, err)
	say(t, c, "hello")
	open := next.first(t, event.Open)
	require.Equal(t, "acme", open.String(event.TenantID))
	require.Len(t, open.String(event.HandshakeKeyHash), 32, "as long as those that other sources make of the same handshake")
	require.NotEmpty(t, open.String(event.UserHash))

	ticket := func(subject string) string {
		req, err := http.NewRequest(http.MethodPost, "http://"+r.serving.addr.String()+"/ticket", nil)
		require.NoError(t, err)
		req.Header = issuer.token(subject)
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, http.StatusOK, resp.StatusCode)
		var answer struct{ Ticket string }
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
		return r.url() + "?ticket=" + answer.Ticket
	}
	url := ticket("bob")
	byTicket, _, err := dial(t, url, nil)
	require.NoError(t, err)
	say(t, byTicket, "hello")
	_, resp, err = dial(t, url, nil)
	require.Error(t, err, "a ticket is for once")
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)

	unused := ticket("bob")
	tmp := cfg.RevocationsFile + ".new"
	require.NoError(t, os.WriteFile(tmp, []byte(`{"subject":"bob"}`+"\n"), 0o600))
	require.NoError(t, os.Rename(tmp, cfg.RevocationsFile))
	require.Equal(t, websocket.StatusCode(3000), closeOf(t, byTicket), "a revocation ends the session")
	_, resp, err = dial(t, unused, nil)
	require.Error(t, err, "and what was issued before is worthless")
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	say(t, c, "others stay")
	next.mu.Lock()
	defer next.mu.Unlock()
	for i := range next.events {
		text := string(next.events[i].AppendJSON(nil))
		require.NotContains(t, text, "bob")
		require.NotContains(t, text, "eyJ")
	}
}

func TestTicketsHaveTheRateOfHandshakes(t *testing.T) {
	t.Parallel()
	issuer, next := newIssuer(t), &sink{}
	cfg := issuer.config()
	cfg.Tickets.Path = "/ticket"
	cfg.Limits.Address.Handshakes = RateConfig{PerSecond: 0.001, Burst: 3}
	r := start(t, idOf(t), cfg, next, false)
	var got []int
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 4 {
		resp, err := client.Post("http://"+r.serving.addr.String()+"/ticket", "", nil)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		got = append(got, resp.StatusCode)
	}
	require.Equal(t, []int{401, 401, 401, 429}, got)
	require.Equal(t, "handshakes_per_address", next.first(t, event.RateLimited).String(event.RateLimitPolicy))
}

func TestAnAddressInUseIsAnErrorWithARemedy(t *testing.T) {
	t.Parallel()
	r := start(t, idOf(t), testConfig(), &sink{}, false)
	cfg := testConfig()
	cfg.Endpoint = r.serving.addr.String()
	settings := receivertest.NewNopSettings(metadata.Type)
	second, err := newReceiver(cfg, settings, &sink{})
	require.NoError(t, err)
	err = second.Start(context.Background(), componenttest.NewNopHost())
	require.ErrorContains(t, err, "endpoint: listen tcp")
	require.ErrorContains(t, err, "choose a free address")
	require.NoError(t, second.Shutdown(context.Background()))
}

func TestTroubleOfTheIdentityProviderIsAChangeOfPolicy(t *testing.T) {
	t.Parallel()
	next := &sink{}
	r := start(t, idOf(t), testConfig(), next, false)
	r.serving.suspended(true)
	r.serving.suspended(false)
	eventually(t, "both are told", func() bool { return next.count(event.PolicyChanged) == 2 })
	for i, state := range []string{"open", "closed"} {
		e := next.events[i]
		require.Equal(t, "circuit_breaker", e.String(event.PolicyKind))
		require.Equal(t, state, e.String(event.PolicyState))
		require.Equal(t, "identity_provider", e.String(event.PolicyReason))
	}
}
