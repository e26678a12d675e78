package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/sockeye-project/sockeye/event"
)

const (
	serviceName = "chat"
	goodToken   = "demo-good-token"
	badToken    = "demo-expired-token"
	// idpTimeout is how long the application waits for the identity provider.
	idpTimeout = 300 * time.Millisecond
)

// identityProvider answers whether a token is good, until it is told to hang as one that is overloaded does.
type identityProvider struct {
	*http.Server
	hanging atomic.Bool
	addr    string
}

func startIdentityProvider() (*identityProvider, error) {
	p := &identityProvider{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("identity provider: %w", err)
	}
	p.addr = l.Addr().String()
	introspect := func(w http.ResponseWriter, r *http.Request) {
		if p.hanging.Load() {
			<-r.Context().Done()
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+goodToken {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	p.Server = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(introspect)}
	go p.Serve(l) //nolint:errcheck // ends with ErrServerClosed when the demo does
	return p, nil
}

// application is a small WebSocket service: an echo behind /ws, and /auth, which the proxy asks before it lets a
// handshake through. It reports every authentication to Sockeye.
type application struct {
	*http.Server
	addr   string
	idpURL string
	client *http.Client
	report *reporter
	// accessLog is where the application writes nginx's lines itself when no nginx stands before it; else nil.
	accessLog *os.File
	logLock   sync.Mutex
	sequence  atomic.Int64
	resource  *event.Resource
}

func startApplication(idp string, report *reporter, accessLog *os.File) (*application, error) {
	a := &application{
		idpURL: "http://" + idp + "/introspect", report: report, accessLog: accessLog,
		client: &http.Client{Timeout: idpTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		resource: event.NewResource(
			event.Named{Name: event.ServiceName, Value: event.String(serviceName)},
			event.Named{Name: event.ServiceInstanceID, Value: event.String("chat-1")},
			event.Named{Name: event.Environment, Value: event.String("demo")},
			event.Named{Name: event.Region, Value: event.String("local")},
		),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/auth", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(a.authenticate(r)) })
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		if a.accessLog == nil {
			a.echo(w, r)
			return
		}
		a.withoutProxy(w, r)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("application: %w", err)
	}
	a.addr = l.Addr().String()
	a.Server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go a.Serve(l) //nolint:errcheck // ends with ErrServerClosed when the demo does
	return a, nil
}

// authenticate asks the identity provider about the request's token, reports the outcome and returns the status that
// the proxy's auth_request expects: 200, 401, or a 5xx that means "could not tell".
func (a *application) authenticate(r *http.Request) int {
	start := time.Now()
	status, errorType := a.introspect(r.Context(), r.Header.Get("Authorization"))
	elapsed := time.Since(start)

	e := event.Event{Name: event.Auth, Time: start, Resource: a.resource}
	e.SetString(event.ConnectionID, randomID())
	e.SetString(event.Vantage, event.VantageApp)
	e.SetString(event.SourceVisibility, event.VisibilityAtOpen)
	e.SetString(event.SourceType, "chat-app")
	e.SetString(event.SourceEvidence, event.EvidenceObserved)
	e.SetString(event.NetworkProtocolName, event.ProtocolWebSocket)
	e.SetString(event.AuthMethod, "bearer")
	e.SetDouble(event.AuthDuration, elapsed.Seconds())
	e.SetDouble(event.AuthIDPDuration, elapsed.Seconds())
	e.SetString(event.AuthResult, event.AuthSuccess)
	if errorType != "" {
		e.SetString(event.AuthResult, event.AuthFailure)
		e.SetString(event.ErrorType, errorType)
	}
	if uri, err := url.ParseRequestURI(r.Header.Get("X-Original-URI")); err == nil {
		e.SetString(event.URLPath, uri.Path)
	}
	a.report.add(&e)
	return status
}

func (a *application) introspect(ctx context.Context, authorization string) (status int, errorType string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.idpURL, nil)
	if err != nil {
		return http.StatusInternalServerError, event.OtherError
	}
	req.Header.Set("Authorization", authorization)
	resp, err := a.client.Do(req)
	if err != nil {
		return http.StatusServiceUnavailable, event.IDPTimeout
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return http.StatusOK, ""
	}
	return http.StatusUnauthorized, event.TokenInvalid
}

func (a *application) echo(w http.ResponseWriter, r *http.Request) (sent int64, upgraded bool) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat.v1"}})
	if err != nil {
		return 0, false
	}
	defer c.CloseNow() //nolint:errcheck // the connection is over either way
	for {
		kind, payload, err := c.Read(r.Context())
		if err != nil {
			return sent, true
		}
		if c.Write(r.Context(), kind, payload) != nil {
			return sent, true
		}
		sent += int64(len(payload)) + 2
	}
}

// withoutProxy does what nginx would: ask for authentication, pass the handshake on, and write the access log line
// when the connection ends.
func (a *application) withoutProxy(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	status := a.authenticate(r)
	var sent int64
	switch status {
	case http.StatusOK:
		status = http.StatusSwitchingProtocols
		var upgraded bool
		if sent, upgraded = a.echo(w, r); !upgraded {
			status = http.StatusBadRequest
		}
	case http.StatusUnauthorized:
		w.WriteHeader(status)
	default: // nginx answers 500 where auth_request fails otherwise
		status = http.StatusInternalServerError
		w.WriteHeader(status)
	}
	now := time.Now()
	host, port, _ := net.SplitHostPort(r.RemoteAddr)
	line, err := json.Marshal(map[string]any{
		"time": now.Format(time.RFC3339), "msec": json.Number(fmt.Sprintf("%.3f", float64(now.UnixMilli())/1000)),
		"request_id": randomID(), "connection": a.sequence.Add(1), "remote_addr": host, "remote_port": port,
		"request_method": r.Method, "scheme": "http", "host": r.Host, "request_uri": r.RequestURI,
		"server_protocol": r.Proto, "status": status, "body_bytes_sent": sent,
		"request_time": json.Number(strconv.FormatFloat(now.Sub(start).Seconds(), 'f', 3, 64)),
		"http_upgrade": r.Header.Get("Upgrade"), "http_user_agent": r.UserAgent(),
	})
	if err != nil {
		return
	}
	a.logLock.Lock()
	defer a.logLock.Unlock()
	a.accessLog.Write(append(line, '\n')) //nolint:errcheck // a lost line shows in the counts at the end
}

func randomID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // never fails
	return hex.EncodeToString(b[:])
}

// reporter pushes the application's own events to the collector as NDJSON. It keeps at most maxPending bytes; what
// does not fit is counted, and the demo says so.
type reporter struct {
	url     string
	client  *http.Client
	lock    sync.Mutex
	pending []byte
	count   int
	// sent and lost are events.
	sent, lost int
}

const (
	maxPending = 16 << 20
	// pushLimit is longer than the collector takes to answer a push that it cannot store, which is 20 s.
	pushLimit = 25 * time.Second
	// finishLimit bounds how long pushing goes on once the traffic has ended.
	finishLimit = time.Minute
)

func newReporter(url string) *reporter {
	return &reporter{url: url, client: &http.Client{Timeout: pushLimit}}
}

func (r *reporter) add(e *event.Event) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if len(r.pending) > maxPending {
		r.lost++
		return
	}
	r.pending = append(e.AppendJSON(r.pending), '\n')
	r.count++
}

// run pushes what is pending every second until traffic ends, then once more, for at most finishLimit or until ctx ends.
func (r *reporter) run(ctx, traffic context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(traffic, func() { wait(ctx, finishLimit); cancel() })()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.push(ctx)
		case <-traffic.Done():
			r.push(ctx)
			return
		}
	}
}

// push sends one batch and repeats it under the same Idempotency-Key until it is stored or ctx ends.
func (r *reporter) push(ctx context.Context) {
	r.lock.Lock()
	body, n := bytes.Clone(r.pending), r.count
	r.pending, r.count = r.pending[:0], 0
	r.lock.Unlock()
	if n == 0 {
		return
	}
	key := randomID()
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		status, err := r.post(ctx, key, body)
		switch {
		case err == nil && status < 300:
			r.lock.Lock()
			r.sent += n
			r.lock.Unlock()
			return
		case err == nil && status != http.StatusTooManyRequests && status < 500:
			r.lock.Lock()
			r.lost += n
			r.lock.Unlock()
			return
		}
		select {
		case <-ctx.Done():
			r.lock.Lock()
			r.lost += n
			r.lock.Unlock()
			return
		case <-time.After(pause):
		}
	}
}

func (r *reporter) post(ctx context.Context, key string, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Idempotency-Key", key)
	resp, err := r.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body) //nolint:errcheck // only to reuse the connection
	return resp.StatusCode, nil
}

func (r *reporter) totals() (sent, lost int) {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.sent, r.lost
}

// clients open connections, talk, and close them, as browsers would.
type clients struct {
	url string
	// opened and refused count handshakes by what the client saw; failed counts those that got no HTTP answer.
	opened, refused, failed atomic.Int64
}

// run keeps n clients busy until ctx ends, and returns when the last connection is closed.
func (c *clients) run(ctx context.Context, n int) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for k := i; ctx.Err() == nil; k++ {
				c.session(ctx, k)
			}
		})
	}
	wg.Wait()
}

func (c *clients) session(ctx context.Context, k int) {
	token := goodToken
	if k%499 == 498 { // some clients always come with an old token; that is theirs to mend and must page nobody
		token = badToken
	}
	query := url.Values{"room": {"eurusd"}, "user": {"user" + strconv.Itoa(k) + "@example.com"}}
	// The handshake is let finish although the demo may end meanwhile, so that both sides count the same.
	dialContext, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	//nolint:bodyclose // Dial documents that the body needs no closing
	conn, resp, err := websocket.Dial(dialContext, c.url+"?"+query.Encode(), &websocket.DialOptions{
		Subprotocols: []string{"chat.v1"},
		HTTPHeader:   http.Header{"Authorization": {"Bearer " + token}},
	})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			c.refused.Add(1)
		} else {
			c.failed.Add(1)
		}
		wait(ctx, 400*time.Millisecond)
		return
	}
	c.opened.Add(1)
	for m := range 1 + k%4 {
		payload := strings.Repeat("x", 20+m*30)
		if conn.Write(dialContext, websocket.MessageText, []byte(payload)) != nil {
			break
		}
		if _, _, err := conn.Read(dialContext); err != nil {
			break
		}
		wait(ctx, time.Duration(150+(k*37)%400)*time.Millisecond)
	}
	conn.Close(websocket.StatusNormalClosure, "") //nolint:errcheck // the server may have gone first
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
