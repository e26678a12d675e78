package endpoint_test

import (
	"context"
	"encoding/hex"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
)

const (
	clientTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan   = "00f067aa0ba902b7"
	sampledField = "traceparent: 00-" + clientTrace + "-" + clientSpan + "-01\r\n"
	quietField   = "traceparent: 00-" + clientTrace + "-" + clientSpan + "-00\r\n"
)

// spans is a SpanObserver that keeps what it gets.
type spans struct {
	mu  sync.Mutex
	all []*event.Span
	// held, if not nil, is waited for before anything is taken.
	held chan struct{}
}

func (o *spans) ObserveSpan(s *event.Span) {
	if o.held != nil {
		<-o.held
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, s)
}

func (o *spans) named(name string) (found []*event.Span) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.all {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// wait returns the only span of that name.
func (o *spans) wait(t *testing.T, name string) *event.Span {
	t.Helper()
	require.Eventually(t, func() bool { return len(o.named(name)) > 0 }, patience, time.Millisecond, "no span "+name)
	require.Len(t, o.named(name), 1)
	return o.named(name)[0]
}

func TestAHandshakeHasASpan(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		trust   bool
		ratio   float64
		fields  string
		span    bool
		parent  bool // the span is a child of the client's
		link    bool
		byEvent string // the trace that events have where there is no span
	}{
		"without a traceparent":                     {fields: "", span: true},
		"with that of a stranger, which is linked":  {fields: sampledField, span: true, link: true},
		"whose flag decides nothing":                {fields: quietField, span: true, link: true},
		"with a trusted one":                        {trust: true, fields: sampledField, span: true, parent: true},
		"with a trusted one that is not sampled":    {trust: true, fields: quietField, byEvent: clientTrace},
		"where none is wanted, with a stranger's":   {ratio: -1, fields: sampledField, byEvent: clientTrace},
		"where none is wanted, without traceparent": {ratio: -1, fields: "", byEvent: "00000000000000000000000000000000"},
		"with one that is broken":                   {trust: true, fields: "traceparent: 00-" + clientTrace + "-secret-01\r\n", span: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen, set := &spans{}, withTokens()
			set.Authenticator = auth.AuthenticatorFunc(func(ctx context.Context, c auth.Credential) (auth.Identity, error) {
				c.Wait.Add(3 * time.Millisecond)
				return tokens(ctx, c)
			})
			set.Resource = event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("chat")})
			set.Tracing = endpoint.Tracing{Observer: seen, TrustParent: tt.trust, Ratio: tt.ratio}
			s := serve(t, set)
			c := s.open(t, ann+tt.fields)
			c.bye()
			open, told, closed := s.log.wait(event.Open, nil), s.log.wait(event.Auth, nil), s.log.wait(event.Close, nil)
			require.Equal(t, open.TraceID, told.TraceID)
			require.Equal(t, open.TraceID, closed.TraceID)
			require.Equal(t, open.SpanID, closed.SpanID)
			if !tt.span {
				require.Equal(t, tt.byEvent, hex.EncodeToString(open.TraceID[:]))
				require.NoError(t, s.Shutdown(t.Context()))
				require.Empty(t, seen.all)
				return
			}
			span, child := seen.wait(t, "GET"), seen.wait(t, "websocket.auth")
			require.Equal(t, open.TraceID, span.TraceID)
			require.Equal(t, open.SpanID, span.SpanID)
			require.Equal(t, tt.parent, hex.EncodeToString(span.TraceID[:]) == clientTrace)
			require.Equal(t, tt.parent, hex.EncodeToString(span.ParentID[:]) == clientSpan)
			require.Equal(t, !tt.parent, span.ParentID == [8]byte{})
			if tt.link {
				require.Len(t, span.Links, 1)
				require.Equal(t, clientTrace, hex.EncodeToString(span.Links[0].TraceID[:]))
				require.Equal(t, clientSpan, hex.EncodeToString(span.Links[0].SpanID[:]))
			} else {
				require.Empty(t, span.Links)
			}
			require.Equal(t, event.SpanServer, span.Kind)
			require.Equal(t, event.SpanUnset, span.Status)
			require.Equal(t, set.Resource, span.Resource)
			for attribute, want := range map[string]string{
				"http.request.method": "GET", "http.response.status_code": "101", "network.protocol.version": "1.1",
				"url.path": "/chat", "url.scheme": "ws", "server.address": "chat.example.com", "client.address": "127.0.0.1",
				"websocket.connection.id": open.String(event.ConnectionID), "websocket.tenant.id": "acme",
			} {
				require.Equal(t, want, span.Get(attribute).Text(), attribute)
			}
			for _, absent := range []string{"network.protocol.name", "websocket.vantage", "error.type", "url.query"} {
				require.Equal(t, event.KindAbsent, span.Get(absent).Kind(), absent)
			}

			require.Equal(t, span.TraceID, child.TraceID)
			require.Equal(t, span.SpanID, child.ParentID)
			require.NotEqual(t, span.SpanID, child.SpanID)
			require.Equal(t, event.SpanInternal, child.Kind)
			require.Equal(t, "success", child.Get("websocket.auth.result").Str())
			require.Equal(t, "bearer", child.Get("websocket.auth.method").Str())
			require.Equal(t, 0.003, child.Get("websocket.auth.idp.duration").Double())
			require.False(t, child.Start.Before(span.Start))
			require.False(t, child.End.After(span.End))
		})
	}
}

func TestASpanSaysHowAHandshakeFailed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fields, error, authError string
		status, authStatus       event.SpanStatus
	}{
		"the client's fault": {"Authorization: Bearer secret\r\n", event.Unauthenticated, event.TokenInvalid, event.SpanUnset, event.SpanUnset},
		"the provider's":     {"Authorization: Bearer secret-idp\r\n", event.UpstreamUnavailable, event.IDPUnavailable, event.SpanError, event.SpanError},
		"before anybody is asked": {
			ann + "Origin: https://evil.example\r\n", event.Forbidden, "", event.SpanUnset, event.SpanUnset,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen, set := &spans{}, withTokens()
			set.Tracing.Observer = seen
			s := serve(t, set)
			s.dial(t, handshake+tt.fields+"\r\n").status()
			span := seen.wait(t, "GET")
			require.Equal(t, tt.error, span.Get("error.type").Str())
			require.Equal(t, tt.status, span.Status)
			require.Equal(t, s.log.wait(event.HandshakeRejected, nil).SpanID, span.SpanID)
			if tt.authError == "" {
				require.Empty(t, seen.named("websocket.auth"))
				return
			}
			child := seen.wait(t, "websocket.auth")
			require.Equal(t, tt.authError, child.Get("error.type").Str())
			require.Equal(t, tt.authStatus, child.Status)
		})
	}
}

// TestAFloodOfSampledHandshakesHasFewSpans has clients that ask for every handshake to be sampled.
func TestAFloodOfSampledHandshakesHasFewSpans(t *testing.T) {
	t.Parallel()
	for name, trust := range map[string]bool{"of strangers": false, "of those that are trusted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen, set := &spans{}, config()
			set.Tracing = endpoint.Tracing{
				Observer: seen, TrustParent: trust, Rate: endpoint.Rate{PerSecond: 0.001, Burst: 3},
			}
			s := serve(t, set)
			for range 20 {
				s.open(t, sampledField).bye()
			}
			require.NoError(t, s.Shutdown(t.Context()))
			require.Len(t, seen.all, 3)
			require.Equal(t, int64(17), s.Stats().SpansLost)
			require.Len(t, s.log.all(event.Open), 20, "events are not sampled")
		})
	}
	t.Run("over the limit of an address", func(t *testing.T) {
		t.Parallel()
		seen, set := &spans{}, config()
		set.Limits.Address.Handshakes = endpoint.Rate{PerSecond: 0.001, Burst: 1}
		set.Tracing.Observer = seen
		s := serve(t, set)
		s.open(t).bye()
		require.Equal(t, http.StatusTooManyRequests, s.dial(t, handshake+sampledField+"\r\n").status())
		require.NoError(t, s.Shutdown(t.Context()))
		require.Len(t, seen.all, 1)
	})
}

func TestASlowSpanObserverHoldsUpNobody(t *testing.T) {
	t.Parallel()
	seen, set := &spans{held: make(chan struct{})}, config()
	set.Tracing = endpoint.Tracing{Observer: seen, Messages: 1, Rate: endpoint.NoRate}
	s := serve(t, set)
	c := s.open(t)
	const many = 1500 // more than may wait
	for range many {
		c.text("hello")
		c.next()
	}
	c.bye()
	s.log.wait(event.Close, nil)
	lost := s.Stats().SpansLost
	require.Positive(t, lost)
	close(seen.held)
	require.NoError(t, s.Shutdown(t.Context()))
	require.Equal(t, many+1, len(seen.all)+int(lost))
}

func TestAMessageHasASpanOfItsOwn(t *testing.T) {
	t.Parallel()
	seen, set := &spans{}, config()
	inHandle := make(chan string, 1)
	set.Handle = func(_ context.Context, s *endpoint.Session) error {
		for range s.Messages() {
			inHandle <- s.TraceParent()
		}
		return nil
	}
	set.Tracing = endpoint.Tracing{Observer: seen, Messages: 1}
	s := serve(t, set)
	c := s.open(t)
	c.text(`{"traceparent":"00-` + clientTrace + "-" + clientSpan + `-01","secret":"x"}`)
	told := <-inHandle
	c.bye()
	handshake, span := seen.wait(t, "GET"), seen.wait(t, "websocket.message")
	require.Equal(t, "00-"+hex.EncodeToString(span.TraceID[:])+"-"+hex.EncodeToString(span.SpanID[:])+"-01", told)
	require.NotEqual(t, handshake.TraceID, span.TraceID)
	require.Zero(t, span.ParentID)
	require.Equal(t, event.SpanConsumer, span.Kind)
	require.Len(t, span.Links, 2)
	require.Equal(t, handshake.SpanID, span.Links[0].SpanID)
	require.Equal(t, clientSpan, hex.EncodeToString(span.Links[1].SpanID[:]))
	require.Equal(t, "text", span.Get("websocket.message.type").Str())
	for _, a := range span.Attributes {
		require.NotContains(t, a.Value.Text(), "secret")
	}
}

func TestAFirstMessagesAuthenticationIsInTheHandshakesTrace(t *testing.T) {
	t.Parallel()
	seen, set := &spans{}, withTokens()
	set.FirstMessage = true
	set.Tracing = endpoint.Tracing{Observer: seen, Messages: 1}
	s := serve(t, set)
	c := s.open(t)
	c.text(`{"auth":"good-ann"}`)
	c.works()
	c.bye()
	handshake, child := seen.wait(t, "GET"), seen.wait(t, "websocket.auth")
	require.Equal(t, handshake.TraceID, child.TraceID)
	require.Equal(t, handshake.SpanID, child.ParentID)
	require.Equal(t, "first_message", child.Get("websocket.auth.method").Str())
	seen.wait(t, "websocket.message") // one: what authenticates is none of Handle's
}

func TestSpansAreTurnedOffWhileTheEndpointServes(t *testing.T) {
	t.Parallel()
	seen, set := &spans{}, config()
	set.Tracing.Observer = seen
	s := serve(t, set)
	s.TraceOn(false)
	s.open(t, sampledField).bye()
	open := s.log.wait(event.Open, nil)
	require.Equal(t, clientTrace, hex.EncodeToString(open.TraceID[:]))
	s.TraceOn(true)
	s.open(t).bye()
	seen.wait(t, "GET")
}

func TestASpanIsNamedByItsRoute(t *testing.T) {
	t.Parallel()
	seen, set := &spans{}, config()
	set.Tracing.Observer = seen
	e, err := endpoint.New(set)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("GET /{room}", e)
	server, err := e.Server(endpoint.ServerSettings{Handler: mux})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := serveMade(t, listener, e, server)
	s.open(t).bye()
	require.Equal(t, "/{room}", seen.wait(t, "GET /{room}").Get("http.route").Str())
}

func TestTracingHasFaults(t *testing.T) {
	t.Parallel()
	for _, bad := range []endpoint.Tracing{{Ratio: 1.5}, {Messages: -1}, {Messages: 2}} {
		set := config()
		set.Tracing = bad
		_, err := endpoint.New(set)
		require.EqualError(t, err, "Tracing: Ratio must be at most 1, and Messages from 0 to 1")
	}
}

// BenchmarkSpans is what the spans of a handshake cost: a refused one, so that no connection is measured.
func BenchmarkSpans(b *testing.B) {
	for name, observer := range map[string]endpoint.SpanObserver{"without": nil, "with": endpoint.SpanObserverFunc(func(*event.Span) {})} {
		b.Run(name, func(b *testing.B) {
			set := withTokens()
			set.Observer = endpoint.ObserverFunc(func(*event.Event) {})
			set.Tracing = endpoint.Tracing{Observer: observer, Rate: endpoint.NoRate}
			e, err := endpoint.New(set)
			require.NoError(b, err)
			defer func() { require.NoError(b, e.Shutdown(context.Background())) }()
			r := httptest.NewRequest(http.MethodGet, "http://chat.example.com/chat", nil)
			for name, value := range map[string]string{
				"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
				"Sec-WebSocket-Version": "13", "Authorization": "Bearer no", "Traceparent": "00-" + clientTrace + "-" + clientSpan + "-01",
			} {
				r.Header.Set(name, value)
			}
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				e.ServeHTTP(w, r)
				if w.Code != http.StatusUnauthorized {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
