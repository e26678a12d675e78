package endpoint

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// Observer is told what the endpoint does. Events come one at a time, from one goroutine, and may be kept.
//
// Decisions wait for a slow Observer, at most for Timeouts.Observe. What is told of messages never waits: their counts
// stay with the connection and are told later.
type Observer interface {
	Observe(e *event.Event)
}

// ObserverFunc is a function as an Observer.
type ObserverFunc func(*event.Event)

// Observe calls f.
func (f ObserverFunc) Observe(e *event.Event) { f(e) }

// eventsWaiting is how many events may wait for the Observer, of each kind: about 1 KiB each.
const eventsWaiting = 2048

// pump brings events to the Observer.
type pump struct {
	to              Observer
	wait            time.Duration
	reserved, bulk  chan *event.Event
	stop, done      chan struct{}
	lost, postponed atomic.Int64
}

func newPump(to Observer, wait time.Duration) *pump {
	p := &pump{
		to: to, wait: wait, reserved: make(chan *event.Event, eventsWaiting), bulk: make(chan *event.Event, eventsWaiting),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go p.run()
	return p
}

func (p *pump) run() {
	defer close(p.done)
	for {
		select {
		case e := <-p.reserved:
			p.to.Observe(e)
			continue
		default:
		}
		select {
		case e := <-p.reserved:
			p.to.Observe(e)
		case e := <-p.bulk:
			p.to.Observe(e)
		case <-p.stop:
			for {
				select {
				case e := <-p.reserved:
					p.to.Observe(e)
				case e := <-p.bulk:
					p.to.Observe(e)
				default:
					return
				}
			}
		}
	}
}

// decided tells a decision. It waits while the Observer is behind.
func (p *pump) decided(e *event.Event) {
	if p == nil {
		return
	}
	select {
	case <-p.done:
		p.lost.Add(1)
		return
	default:
	}
	select {
	case p.reserved <- e:
		return
	default:
	}
	limit := time.NewTimer(p.wait)
	defer limit.Stop()
	select {
	case p.reserved <- e:
	case <-limit.C:
		p.lost.Add(1)
	case <-p.done:
		p.lost.Add(1)
	}
}

// counted tells what may as well be told later, unless the Observer is behind.
func (p *pump) counted(e *event.Event) bool {
	select {
	case p.bulk <- e:
		return true
	default:
		p.postponed.Add(1)
		return false
	}
}

// peer is what events say of a client. It is kept with each connection, so it is small.
type peer struct {
	id         [16]byte
	trace      [16]byte
	span       [8]byte
	keyHash    [16]byte
	hasKeyHash bool
	traced     bool // span is one of ours
	secure     bool
	tls        uint8 // the minor version, 0 without TLS
	http       uint8 // the minor version
	client     netip.AddrPort
	host, path string
}

func (e *Endpoint) newPeer(r *http.Request) peer {
	p := peer{http: uint8(r.ProtoMinor), host: strings.Clone(r.Host)}
	e.random(p.id[:])
	if r.URL != nil {
		p.path = strings.Clone(r.URL.Path) // which is a part of the line with the query
	}
	p.client = e.clientOf(r)
	if r.TLS != nil {
		p.secure = true
		if v := r.TLS.Version - 0x0301; v <= 3 {
			p.tls = uint8(v) + 1
		}
	}
	parent := traceParent(r.Header)
	p.trace, p.span = parent.trace, parent.span
	if key := r.Header.Get("Sec-WebSocket-Key"); e.config.HashKey != nil && key != "" {
		copy(p.keyHash[:], e.hash(key))
		p.hasKeyHash = true
	}
	return p
}

func (e *Endpoint) hash(s string) []byte {
	h := hmac.New(sha256.New, e.config.HashKey)
	h.Write([]byte(s))
	return h.Sum(nil)
}

// UserHash is the attribute user.hash of a subject's events, "" without a HashKey. It has the form of the pii processor's
// pseudonyms, which lets no other through: p1, which key, which user.
func (e *Endpoint) UserHash(subject string) string {
	if e.config.HashKey == nil || subject == "" {
		return ""
	}
	return "p1:" + e.keyID + ":" + lowerBase32.EncodeToString(e.hash(subject)[:16])
}

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// instance is an event of the endpoint itself.
func (e *Endpoint) instance(name event.Name) *event.Event {
	v := &event.Event{Name: name, Time: time.Now(), Resource: e.config.Resource}
	v.SetString(event.Vantage, e.config.Vantage)
	v.SetString(event.SourceVisibility, event.VisibilityAtOpen)
	v.SetString(event.SourceType, sourceType)
	v.SetString(event.SourceEvidence, event.EvidenceObserved)
	v.SetString(event.NetworkProtocolName, event.ProtocolWebSocket)
	return v
}

const sourceType = "endpoint"

// of is an event of a connection or of a client that wants one.
func (e *Endpoint) of(p *peer, name event.Name) *event.Event {
	v := e.instance(name)
	v.TraceID, v.SpanID = p.trace, p.span
	v.SetString(event.ConnectionID, hex.EncodeToString(p.id[:]))
	v.SetString(event.NetworkTransport, "tcp")
	v.SetString(event.HTTPVersion, "1."+strconv.Itoa(int(min(p.http, 1))))
	scheme := "ws"
	if p.secure {
		scheme = "wss"
	}
	v.SetString(event.URLScheme, scheme)
	if p.tls > 0 {
		v.SetString(event.TLSProtocolVersion, "1."+strconv.Itoa(int(p.tls-1)))
	}
	host, port := splitHost(p.host)
	v.Accept(event.ServerAddress, text(host))
	v.Accept(event.ServerPort, event.Int(port))
	v.Accept(event.URLPath, text(p.path))
	if p.client.IsValid() {
		v.SetString(event.ClientAddress, p.client.Addr().Unmap().WithZone("").String())
		v.Accept(event.ClientPort, event.Int(int64(p.client.Port())))
	}
	if p.hasKeyHash {
		v.SetString(event.HandshakeKeyHash, hex.EncodeToString(p.keyHash[:]))
	}
	return v
}

// text is what a client wrote, as a value; absent where it is empty or cannot be told.
func text(s string) event.Value {
	const most = 512
	if s == "" || len(s) > most || !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return event.Value{}
	}
	return event.String(s)
}

func splitHost(s string) (host string, port int64) {
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		if n, err := strconv.ParseUint(s[i+1:], 10, 16); err == nil {
			return s[:i], int64(n)
		}
	}
	return s, 0
}

func seconds(d time.Duration) float64 { return max(d.Seconds(), 0) }

// of is an event of the connection.
func (s *Session) event(name event.Name) *event.Event {
	v := s.e.of(&s.peer, name)
	if id := s.identity.Load(); id != nil {
		s.e.identify(v, id.Subject, id.Tenant, id.Tier)
	}
	return v
}

func (e *Endpoint) identify(v *event.Event, subject, tenant, tier string) {
	v.Accept(event.TenantID, text(tenant))
	v.Accept(event.TenantTier, text(tier))
	v.Accept(event.UserHash, text(e.UserHash(subject)))
}

// counts are the messages of one direction and type since they were told last.
type counts struct{ messages, bytes atomic.Int64 }

func (c *counts) add(n int) {
	c.messages.Add(1)
	c.bytes.Add(int64(n))
}

// directions and types of counts, as they are indexed.
const (
	receivedText = iota
	receivedBinary
	sentText
	sentBinary
	countKinds
)

func kindOf(base int, op wire.Opcode) int {
	if op == wire.OpBinary {
		return base + 1
	}
	return base
}

// report tells what was received and sent since the last time. last is at the end of the connection.
func (s *Session) report(now int64, last bool) {
	if s.e.pump == nil {
		return
	}
	interval := time.Duration(now - s.reported.Swap(now))
	for kind := range s.counts {
		c := &s.counts[kind]
		n := c.messages.Swap(0)
		if n == 0 {
			continue
		}
		size := c.bytes.Swap(0)
		v := s.event(event.Message)
		direction, kindName := event.DirectionReceive, event.MessageText
		if kind >= sentText {
			direction = event.DirectionTransmit
		}
		if kind == receivedBinary || kind == sentBinary {
			kindName = event.MessageBinary
		}
		v.SetString(event.Direction, direction)
		v.SetString(event.MessageType, kindName)
		v.SetInt(event.MessageCount, n)
		v.SetInt(event.MessageSize, size)
		v.SetDouble(event.IntervalDuration, seconds(interval))
		if last {
			s.e.pump.decided(v)
		} else if !s.e.pump.counted(v) {
			c.messages.Add(n)
			c.bytes.Add(size)
			s.reported.Add(-int64(interval))
			return
		}
	}
	s.reportLosses(last)
}

// reportLosses tells what was refused or dropped.
func (s *Session) reportLosses(last bool) {
	tell := func(c *counts, name event.Name, errorType, direction string) {
		n := c.messages.Swap(0)
		if n == 0 {
			return
		}
		size := c.bytes.Swap(0)
		v := s.event(name)
		v.SetString(event.ErrorType, errorType)
		v.SetString(event.Direction, direction)
		v.SetInt(event.MessageCount, n)
		v.SetInt(event.MessageSize, size)
		if last {
			s.e.pump.decided(v)
		} else if !s.e.pump.counted(v) {
			c.messages.Add(n)
			c.bytes.Add(size)
		}
	}
	tell(&s.overQuota, event.MessageRejected, event.QuotaExceeded, event.DirectionReceive)
	tell(&s.dropped, event.MessageDropped, event.SlowConsumer, event.DirectionTransmit)
	tell(&s.undelivered, event.MessageDropped, event.OtherError, event.DirectionTransmit)
}

// reportInstance tells the gauges of websocket.connections.
func (e *Endpoint) reportInstance(active, idle int) {
	if e.pump == nil {
		return
	}
	v := e.instance(event.Connections)
	v.SetInt(event.ConnectionsActive, int64(active))
	v.SetInt(event.ConnectionsIdle, int64(idle))
	v.SetInt(event.ConnectionsCapacity, int64(e.config.Limits.Connections))
	if n, ok := residentBytes(); ok {
		v.SetInt(event.ProcessMemory, n)
	}
	if n, ok := memoryLimit("/"); ok {
		v.SetInt(event.ProcessMemoryLimit, n)
	}
	if open, most, ok := descriptors(); ok {
		v.SetInt(event.ProcessFDs, open)
		v.SetInt(event.ProcessFDLimit, most)
	}
	e.pump.counted(v)
}

// errorTypes are those of websocket.error. What is missing here is a limit, and told as websocket.rate_limited.
var errorTypes = map[wire.Violation]string{
	wire.ReservedOpcode:         event.ReservedOpcode,
	wire.ReservedBits:           event.ReservedBits,
	wire.UnmaskedClientFrame:    event.UnmaskedClientFrame,
	wire.FragmentedControl:      event.FragmentedControl,
	wire.ControlTooBig:          event.ControlTooBig,
	wire.InvalidUTF8:            event.InvalidUTF8,
	wire.InvalidCloseReason:     event.InvalidUTF8,
	wire.InvalidCloseCode:       event.InvalidCloseCode,
	wire.InvalidClosePayload:    event.InvalidCloseCode,
	wire.InflateFailed:          event.InflateFailed,
	wire.InflateRatioExceeded:   event.InflateFailed,
	wire.MessageTooBig:          event.MessageTooBig,
	wire.NonMinimalLength:       event.OtherError,
	wire.InvalidLength:          event.OtherError,
	wire.UnexpectedContinuation: event.OtherError,
	wire.ExpectedContinuation:   event.OtherError,
}

// violated tells that the client broke a rule or passed a budget.
func (s *Session) violated(v wire.Violation) {
	if s.e.pump == nil {
		return
	}
	if errorType, ok := errorTypes[v]; ok {
		told := s.event(event.Error)
		told.SetString(event.ErrorType, errorType)
		told.SetString(event.Direction, event.DirectionReceive)
		told.SetInt(event.CloseCode, int64(v.CloseCode()))
		s.e.pump.decided(told)
		return
	}
	s.limited(event.ScopeMessage, v.Rule())
}

func (s *Session) limited(scope, rule string) {
	if s.e.pump == nil {
		return
	}
	told := s.event(event.RateLimited)
	told.SetString(event.RateLimitScope, scope)
	told.SetString(event.RateLimitPolicy, rule)
	if scope == event.ScopeMessage {
		told.SetString(event.Direction, event.DirectionReceive)
	}
	s.e.pump.decided(told)
}
