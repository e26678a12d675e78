package endpoint

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// Session is one connection. Methods that do not say otherwise may be called from any goroutine.
type Session struct {
	e      *Endpoint
	ctx    context.Context
	cancel context.CancelCauseFunc
	conn   net.Conn
	peer   peer

	subprotocol string
	identity    atomic.Pointer[auth.Identity]
	span        atomic.Pointer[event.Span] // of the message that Handle has
	tier        atomic.Pointer[tier]
	// Value is the program's own. The endpoint does not look at it.
	Value any

	// Of the reading goroutine.
	input       input
	in          []byte       // what was read and not looked at yet
	message     wire.Message // the one that was taken last
	reader      wire.MessageReader
	now         int64 // when it was read
	broken      bool  // the reader of messages has ended, by a violation
	refused     bool  // the message that is coming is over its rate
	sampled     bool  // there is a sample of a message
	authed      bool  // the user's and tenant's tallies are held
	limitedAt   int64
	msgs, bytes bucket
	spent       atomic.Pointer[spent] // nil until there is an allowance

	// Of whoever writes.
	writer  wire.Writer
	mu      sync.Mutex
	queue   *queue   // what waits; nil if nothing does
	signing *signing // nil where messages are not signed; set before Handle runs
	room    chan struct{}
	writing bool
	kicked  bool        // a goroutine that will write has begun
	closing bool        // nothing may be sent any more
	waiting atomic.Bool // the reading goroutine waits for input, so that nobody else will write

	end        ending
	unanswered atomic.Bool // the peer's Close frame was not seen
	drainAsked atomic.Bool

	// What the sweep looks at, in the endpoint's nanoseconds.
	opened       int64
	heard        atomic.Int64 // something came
	active       atomic.Int64 // a message came or was sent
	writingSince atomic.Int64 // 0 while nobody writes
	pinged       atomic.Int64 // a Ping waits for its Pong; 0 if none does
	rtt          atomic.Int64
	reported     atomic.Int64
	endBy        atomic.Int64 // when the connection is cut; 0 is never
	notAfter     atomic.Int64 // when the identity ends, in Unix nanoseconds; 0 is never
	authBy       atomic.Int64 // when the first message must have come; 0 is never
	index        int32        // in its shard of the registry, whose lock it needs
	shard        uint8

	address, user, tenant *tally
	counts                [countKinds]counts
	overQuota             counts
	dropped, undelivered  counts // for a client that is too slow; for want of a connection
	sentBytes, readBytes  atomic.Int64
	totals                [countKinds]atomic.Int64
}

// ID is the connection's id, as events have it.
func (s *Session) ID() string { return hex.EncodeToString(s.peer.id[:]) }

// Identity is who the client is, as of the last refresh. Without an Authenticator it is empty.
func (s *Session) Identity() auth.Identity {
	if id := s.identity.Load(); id != nil {
		return *id
	}
	return auth.Identity{}
}

// Subprotocol is the one that was chosen, or "".
func (s *Session) Subprotocol() string { return s.subprotocol }

// Path is that of the handshake's URL.
func (s *Session) Path() string { return s.peer.path }

// RoundTrip is the time from the last Ping to its Pong; 0 if there was none yet.
func (s *Session) RoundTrip() time.Duration { return time.Duration(s.rtt.Load()) }

// Traffic is how many bytes of frames came in, and how many were written.
func (s *Session) Traffic() (received, sent int64) { return s.readBytes.Load(), s.sentBytes.Load() }

// Context ends with the connection; its cause says why.
func (s *Session) Context() context.Context { return s.ctx }

// Messages returns the messages that come in, and nothing else: control frames are answered here. The loop ends without an error
// when the client has closed the connection, or the server is shutting down; with one when something went wrong. Only Handle
// may call it, from its own goroutine. A payload is valid until the loop's body ends.
func (s *Session) Messages() iter.Seq2[wire.Message, error] {
	return func(yield func(wire.Message, error) bool) {
		for {
			err := s.next()
			if err == io.EOF {
				return
			}
			if s.e.tracer != nil && err == nil {
				s.traceMessage()
			}
			more := yield(s.message, err)
			if s.e.tracer != nil {
				s.endMessage()
			}
			if !more || err != nil {
				return
			}
		}
	}
}

// The frames of what is called while the connection waits are kept small, by keeping what they would hold in s and in
// functions that are not inlined: the runtime gives half of a stack back once a quarter is enough, so this is 4 KiB for
// each connection with TLS.

// next reads the next message for Handle. io.EOF is a good end.
func (s *Session) next() error {
	for {
		if err := s.frame(); err != nil {
			return s.readEnded(err)
		}
		if s.wanted() {
			return nil
		}
	}
}

// frame reads the next message, and does what control frames ask for.
func (s *Session) frame() error {
	for {
		if err := s.take(); err != nil {
			return err
		}
		switch s.message.Opcode {
		case wire.OpText, wire.OpBinary:
			return nil
		case wire.OpContinuation:
			if err := s.fill(); err != nil {
				return err
			}
		default:
			if err := s.answer(); err != nil {
				return err
			}
		}
	}
}

// take takes a message or a control frame out of what was read.
//
//go:noinline
func (s *Session) take() (err error) {
	s.message, s.in, err = s.reader.Next(s.in)
	s.broken = err != nil
	return err
}

// answer does what a control frame asks for.
//
//go:noinline
func (s *Session) answer() error {
	switch s.message.Opcode {
	case wire.OpPing:
		s.control(func(b []byte) []byte { return s.writer.AppendPong(b, s.message.Payload) })
	case wire.OpPong:
		s.pong(s.message.Payload)
	case wire.OpClose:
		s.unanswered.Store(false)
		s.begin(reason{code: s.message.Code, by: event.InitiatorClient})
		return io.EOF
	}
	return nil
}

// wanted counts the message, and reports whether it is one for Handle.
//
//go:noinline
func (s *Session) wanted() bool {
	if s.end.silenced() {
		return false // nothing is, until the peer's Close frame comes, or the sweep cuts the connection
	}
	m := s.message
	kind := kindOf(receivedText, m.Opcode)
	s.counts[kind].add(len(m.Payload)) // also those refused below, or a share of refused messages could pass 1
	s.totals[kind].Add(1)
	if s.signing != nil {
		if !s.verified() { // before some are dropped, or those behind would be out of order
			return false
		}
		m = s.message
	}
	if s.refused {
		s.refused = false
		s.overQuota.add(len(m.Payload))
		return false
	}
	if s.active.Load() != s.now {
		s.active.Store(s.now)
	}
	if s.e.config.InBandRefresh && s.authed {
		if token, ok := s.e.config.Token(m); ok {
			_ = s.Refresh(token) // which ends the connection if it fails
			return false
		}
	}
	return s.e.config.Validate == nil || !s.authed || s.valid(m)
}

// fill writes what waits, and waits for input.
func (s *Session) fill() error {
	s.in = nil
	for {
		s.waiting.Store(true)
		if s.drainAsked.Load() {
			s.drain()
		}
		if s.flushOnce() {
			s.kick() // others keep sending, which must not keep this goroutine from reading
		}
		in, err := s.input.read(s.conn)
		s.waiting.Store(false)
		if err == nil {
			s.in = in
			s.came(len(in))
			return nil
		}
		if !s.poked(err) {
			return err
		}
	}
}

//go:noinline
func (s *Session) drain() { s.begin(drained()) }

// poked reports whether err is no more than somebody asking to look up.
//
//go:noinline
func (s *Session) poked(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && s.conn.SetReadDeadline(time.Time{}) == nil
}

// came notes that there was input.
func (s *Session) came(n int) {
	s.now = s.e.nanos()
	s.heard.Store(s.now)
	s.readBytes.Add(int64(n))
}

// header sees every frame before its payload is kept.
func (s *Session) header(h wire.Header) error {
	if h.Opcode.Control() || s.end.begun() {
		return nil
	}
	if !s.authed {
		return nil // s.e.first bounds the first message
	}
	if h.Opcode.Data() {
		s.refused = false
	} else if s.refused {
		return nil
	}
	if over := s.spend(h); over != "" {
		if now := s.now; now-s.limitedAt >= int64(time.Second) || s.limitedAt == 0 {
			s.limitedAt = now
			s.limited(over.scope(), string(over))
		}
		if s.e.config.Limits.Excess == DropOnExcess {
			s.refused = true
			return nil
		}
		return over
	}
	return nil
}

// spend takes a frame out of the budgets, and returns the one that has too little.
func (s *Session) spend(h wire.Header) policy {
	t, n := s.tier.Load(), float64(h.Length)
	if h.Opcode.Data() {
		switch {
		case !s.msgs.take(t.connection.messages, s.now, 1):
			return policyMessages
		case s.user != nil && !s.user.messages.take(t.user.messages, s.now, 1):
			return policyUserMessages
		case s.tenant != nil && !s.tenant.messages.take(t.tenant.messages, s.now, 1):
			return policyTenantMessages
		}
	}
	switch {
	case !s.bytes.take(t.connection.bytes, s.now, n):
		return policyBytes
	case s.user != nil && !s.user.bytes.take(t.user.bytes, s.now, n):
		return policyUserBytes
	case s.tenant != nil && !s.tenant.bytes.take(t.tenant.bytes, s.now, n):
		return policyTenantBytes
	}
	return s.spendAllowance(t, h)
}

// spendAllowance takes a frame out of what may be sent in a period.
func (s *Session) spendAllowance(t *tier, h wire.Header) policy {
	messages := int64(0)
	if h.Opcode.Data() {
		messages = 1
	}
	take := func(a Allowance, used *spent, forMessages, forBytes policy) policy {
		switch noMessages, noBytes := used.take(a, s.e.period, s.now, messages, h.Length); {
		case noMessages:
			return forMessages
		case noBytes:
			return forBytes
		}
		return ""
	}
	over := policy("")
	if a := t.connection.allowance; a.on() {
		over = take(a, used(&s.spent), policyMessageAllowance, policyByteAllowance)
	}
	if a := t.user.allowance; over == "" && a.on() && s.user != nil {
		over = take(a, used(&s.user.spent), policyUserMessageAllowance, policyUserByteAllowance)
	}
	if a := t.tenant.allowance; over == "" && a.on() && s.tenant != nil {
		over = take(a, used(&s.tenant.spent), policyTenantMessageAllowance, policyTenantByteAllowance)
	}
	return over
}

// valid asks the program's own validator.
func (s *Session) valid(m wire.Message) bool {
	err := s.e.config.Validate(s, m)
	if err == nil {
		return true
	}
	r := &Rejection{Type: event.SchemaInvalid}
	errors.As(err, &r)
	s.reject(m, r)
	switch r.Type {
	case event.ACLDenied, event.QuotaExceeded: // which is no fault of the payload
	default:
		s.sample(m, r.Type, r.Schema)
	}
	if r.Observed {
		return true
	}
	if r.Close != 0 {
		s.begin(reason{code: r.Close, text: "message refused"})
	}
	return false
}

// reject tells that a message was refused, or would have been.
func (s *Session) reject(m wire.Message, r *Rejection) {
	if s.e.pump == nil {
		return
	}
	name := event.MessageRejected
	if r.Observed {
		name = event.MessageFlagged
	}
	v := s.event(name)
	v.SetString(event.Direction, event.DirectionReceive)
	if !v.Accept(event.ErrorType, event.String(r.Type)) || v.Validate() != nil {
		v.SetString(event.ErrorType, event.OtherError)
	}
	v.Accept(event.MessageType, event.String(m.Opcode.String()))
	v.SetInt(event.MessageSize, int64(len(m.Payload)))
	v.Accept(event.SchemaID, text(r.Schema))
	if !r.Observed {
		s.e.pump.decided(v)
	} else if !s.e.pump.counted(v) {
		s.e.pump.lost.Add(1)
	}
}

// pong matches a Pong to the Ping that waits for it.
func (s *Session) pong(payload []byte) {
	sent := s.pinged.Load()
	if sent == 0 || string(payload) != string(pingPayload(sent)) {
		return
	}
	s.pinged.Store(0)
	took := max(s.e.nanos()-sent, 1)
	s.rtt.Store(took)
	if s.e.pump == nil {
		return
	}
	v := s.event(event.Ping)
	v.SetString(event.Direction, event.DirectionReceive)
	v.SetString(event.FrameOpcode, wire.OpPong.String())
	v.SetDouble(event.PingRTT, seconds(time.Duration(took)))
	s.e.pump.counted(v)
}

// readEnded takes the end of the input, and returns what Handle is told.
//
//go:noinline
func (s *Session) readEnded(err error) error {
	var violation wire.Violation
	var over policy
	switch {
	case err == io.EOF && !s.unanswered.Load():
	case errors.As(err, &violation):
		if s.begin(reason{code: violation.CloseCode(), text: violation.Reason(), cause: violation}) {
			s.violated(violation)
			if violation == wire.InvalidUTF8 && s.authed && s.signing == nil { // else it may be a credential, or forged
				s.sample(wire.Message{Opcode: wire.OpText, Payload: s.message.Payload}, event.InvalidUTF8, "")
			}
		}
	case errors.As(err, &over):
		s.begin(reason{code: wire.ClosePolicyViolation, text: "over the limit", cause: over})
	default:
		if s.end.begun() {
			s.settle() // a peer that has closed its side alone still gets the Close frame
		}
		errorType := event.ConnectionLost
		if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
			errorType = event.ConnectionReset
		}
		s.lose(reason{errorType: errorType, by: event.InitiatorUnknown, cause: errConnectionLost})
	}
	s.flush()
	return s.end.err()
}

var errConnectionLost = errors.New("websocket: connection lost")

// run serves the connection in its own goroutine.
func (s *Session) run() {
	s.input.start(s.conn)
	err := s.handle()
	s.conclude(err)
}

// conclude ends the connection after Handle has returned err.
//
//go:noinline
func (s *Session) conclude(err error) {
	s.endMessage() // a panic leaves it
	s.begin(reasonOf(err))
	s.flush()
	s.awaitPeer()
	s.settle()
	s.finish()
}

// reasonOf is how a connection ends whose Handle has returned err.
func reasonOf(err error) reason {
	var chosen *CloseError
	switch {
	case err == nil:
		return reason{code: wire.CloseNormal}
	case errors.As(err, &chosen):
		return reason{code: chosen.Code, text: chosen.Reason}
	}
	return reason{code: wire.CloseInternalError}
}

// handle calls the user's function. Its panic ends this connection and no other.
func (s *Session) handle() (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.panicked(p)
			err = errPanic
		}
	}()
	if !s.authed {
		if err := s.authenticateFirst(); err != nil {
			return err
		}
	}
	return s.e.config.Handle(s.ctx, s)
}

//go:noinline
func (s *Session) panicked(p any) {
	// Where it happened is told; what the panic says may be anything, a payload too.
	s.e.config.Logger.Error("handler panicked", "websocket.connection.id", s.ID(),
		"type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
	s.begin(reason{code: wire.CloseInternalError, errorType: event.OtherError, cause: errPanic})
}

var errPanic = errors.New("handler panicked")

// lingerBytes is how much is read behind a violation, for the peer to read the Close frame before a reset can destroy it.
const lingerBytes = 1 << 20

// awaitPeer reads until the peer's Close frame, its end, or until the sweep cuts the connection.
func (s *Session) awaitPeer() {
	if s.end.lost() {
		return
	}
	for s.unanswered.Load() && !s.broken {
		if err := s.frame(); err != nil {
			break
		}
	}
	if !s.unanswered.Load() || s.end.cut.Load() {
		return
	}
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() != nil {
		return
	}
	for total, in := 0, s.in; total < lingerBytes; total += len(in) {
		if s.closeIn(in) {
			s.unanswered.Store(false)
			return
		}
		var err error
		if in, err = s.input.read(s.conn); err != nil {
			return
		}
	}
}

// closeIn reports whether a Close frame is among what comes behind a violation, which only the frames' reader still knows.
func (s *Session) closeIn(in []byte) bool {
	frames := s.reader.Frames()
	for {
		e, rest, err := frames.Next(in)
		switch {
		case errors.Is(err, wire.InvalidLength), e.Kind == wire.NeedInput:
			return false
		case e.Kind == wire.FrameHeader && e.Header.Opcode == wire.OpClose && err == nil:
			return true
		}
		in = rest
	}
}

// finish gives back all that the connection held, and tells that it has ended.
func (s *Session) finish() {
	s.cut(false)
	s.input.release()
	s.reader.Release()
	s.drop(nil)
	s.cancel(s.end.cause())
	s.address.disconnect()
	s.user.disconnect()
	s.tenant.disconnect()
	now := s.e.nanos()
	s.report(now, true)
	s.closed(now)
	s.e.leave(s)
}

// closed tells how the connection ended.
func (s *Session) closed(now int64) {
	if s.e.pump == nil {
		return
	}
	r := s.end.reason()
	v := s.event(event.Close)
	by := r.by
	if by == "" {
		by = event.InitiatorServer
	}
	v.SetString(event.CloseInitiator, by)
	if r.code != 0 {
		v.Accept(event.CloseCode, event.Int(int64(r.code)))
	}
	v.SetBool(event.CloseClean, !s.unanswered.Load() && !s.end.lost() && !s.end.unsent.Load())
	errorType := r.errorType
	if errorType == "" && s.unanswered.Load() && !s.end.lost() {
		errorType = event.OtherError // no Close frame came back
	}
	v.Accept(event.ErrorType, text(errorType))
	v.SetDouble(event.ConnectionDuration, seconds(time.Duration(now-s.opened)))
	v.SetInt(event.IOReceived, s.readBytes.Load())
	v.SetInt(event.IOSent, s.sentBytes.Load())
	v.SetInt(event.IOMessagesReceived, s.totals[receivedText].Load()+s.totals[receivedBinary].Load())
	v.SetInt(event.IOMessagesSent, s.totals[sentText].Load()+s.totals[sentBinary].Load())
	v.Accept(event.Subprotocol, text(s.subprotocol))
	s.e.pump.decided(v)
}
