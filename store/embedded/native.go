//go:build linux && amd64 && !noembedded

package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/ch-go/proto"
)

// Limits of connections of the native protocol.
const (
	maxSessions      = 256
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 10 * time.Minute
	// lingerTimeout is how long a client that broke the protocol has to read why.
	lingerTimeout = time.Second
)

// nativeServer is ClickHouse's native protocol.
type nativeServer struct {
	*server
	mu       sync.Mutex
	sessions map[*session]struct{}
	draining bool
	listener net.Listener
	running  sync.WaitGroup
}

func newNativeServer(s *server) *nativeServer {
	return &nativeServer{server: s, sessions: map[*session]struct{}{}}
}

// serve takes connections until drain is called. Each ends with ctx at the latest.
func (n *nativeServer) serve(ctx context.Context, listener net.Listener) error {
	n.mu.Lock()
	n.listener = listener
	if n.draining {
		listener.Close()
	}
	n.mu.Unlock()
	for {
		conn, err := listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			// Out of file descriptors, mostly: others will be given back.
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		s := newSession(n.server, conn)
		n.mu.Lock()
		full := len(n.sessions) >= maxSessions
		if !full && !n.draining {
			n.sessions[s] = struct{}{}
			n.running.Add(1)
		}
		closing := n.draining
		n.mu.Unlock()
		if full || closing {
			// A new connection has room for a packet, so this does not wait.
			s.refuse(newException(codeTooManyConnections, "NO_FREE_CONNECTION", "%d connections are open already", maxSessions))
			conn.Close()
			continue
		}
		go func() {
			defer n.running.Done()
			s.run(ctx)
			n.mu.Lock()
			delete(n.sessions, s)
			n.mu.Unlock()
		}()
	}
}

// drain takes no more connections and closes those that run no statement; the others close when theirs has ended.
func (n *nativeServer) drain() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.draining = true
	if n.listener != nil {
		n.listener.Close()
	}
	for s := range n.sessions {
		s.drain()
	}
}

// wait returns when all connections have ended, or ctx has.
func (n *nativeServer) wait(ctx context.Context) {
	ended := make(chan struct{})
	go func() {
		n.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// timedConn gives every read and write its own time.
type timedConn struct {
	net.Conn
	read time.Duration // 0 leaves the deadline as it is
}

func (c *timedConn) Read(p []byte) (int, error) {
	if c.read > 0 {
		_ = c.SetReadDeadline(time.Now().Add(c.read))
	}
	return c.Conn.Read(p)
}

// Write writes in pieces, each of which has its own time.
func (c *timedConn) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
		n, err := c.Conn.Write(p[:min(len(p), frameBytes)])
		total += n
		if err != nil {
			return total, err
		}
		p = p[n:]
	}
	return total, nil
}

// session is one connection. Its statements run one after the other.
type session struct {
	*server
	packets
	conn     *timedConn
	out      *nativeOutput
	allowed  access
	database string    // of USE, or of the hello
	settings []setting // of SET

	mu             sync.Mutex
	idle, draining bool
}

func newSession(s *server, conn net.Conn) *session {
	timed := &timedConn{Conn: conn, read: handshakeTimeout}
	return &session{
		server: s, conn: timed,
		packets: packets{r: bufio.NewReaderSize(timed, 64<<10), numeric: s.engine.numeric},
		out:     &nativeOutput{w: timed, revision: nativeRevision},
	}
}

// drain ends the session now if it runs nothing, else after what it runs.
func (s *session) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	if s.idle {
		s.conn.Close()
	}
}

// next waits for a packet and returns what it is.
func (s *session) next() (proto.ClientCode, error) {
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		return 0, net.ErrClosed
	}
	s.idle = true
	s.mu.Unlock()
	s.conn.read = idleTimeout
	code, err := s.r.ReadByte()
	s.conn.read = readTimeout
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = false
	return proto.ClientCode(code), err
}

// run serves the connection until it or ctx ends.
func (s *session) run(ctx context.Context) {
	defer s.conn.Close()
	defer context.AfterFunc(ctx, func() { s.conn.Close() })()
	if !s.handshake() {
		return
	}
	for {
		code, err := s.next()
		if err != nil {
			return
		}
		switch code {
		case proto.ClientCodePing:
			err = s.out.send(func(b *proto.Buffer) { proto.ServerCodePong.Encode(b) })
		case proto.ClientCodeQuery:
			err = s.query(ctx)
		case proto.ClientCodeCancel: // of what has ended already
		default:
			err = fmt.Errorf("%w: unexpected packet %d", errProtocol, code)
		}
		if err != nil {
			s.refuse(protocolException(err))
			return
		}
	}
}

// refuse tells a client why its connection is closed, and gives it a moment to read that: a connection that is closed
// with something unread takes the reason with it.
func (s *session) refuse(e *exception) {
	if e == nil || s.out.exception(e) != nil {
		return
	}
	if tcp, ok := s.conn.Conn.(*net.TCPConn); ok && s.revision > 0 && tcp.CloseWrite() == nil {
		s.conn.read = 0
		_ = s.conn.SetReadDeadline(time.Now().Add(lingerTimeout))
		_, _ = io.CopyN(io.Discard, s.r, 64<<20)
	}
}

// protocolException is what a client is told before its connection closes, nil if it has gone itself.
func protocolException(err error) *exception {
	var known *exception
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, errBadUpload):
		return asException(uploadException(err))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isNetwork(err):
		return nil
	}
	return newException(codeUnexpectedPacket, "UNEXPECTED_PACKET_FROM_CLIENT", "%v", err)
}

func isNetwork(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, net.ErrClosed)
}

// handshake lets a client in, or says why not.
func (s *session) handshake() bool {
	// All of it has its time, not each piece.
	s.conn.read = 0
	_ = s.conn.SetDeadline(time.Now().Add(handshakeTimeout))
	first, err := s.r.ReadByte()
	if err != nil {
		return false
	}
	if first != byte(proto.ClientCodeHello) {
		if first >= 'A' && first <= 'Z' {
			_, _ = io.WriteString(s.conn, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n"+
				"This port speaks ClickHouse's native protocol. HTTP has a port of its own, 8123 by default.\n")
		}
		return false
	}
	h, err := s.readHello()
	if err != nil {
		s.refuse(protocolException(err))
		return false
	}
	s.revision, s.out.revision = h.revision, h.revision
	if h.revision < oldestRevision {
		s.refuse(newException(codeNotImplemented, "NOT_IMPLEMENTED", "The client is too old: it speaks revision %d of the "+
			"protocol, %d is the first that is understood", h.revision, oldestRevision))
		return false
	}
	if s.allowed = s.access(h.password); s.allowed == accessNone {
		s.refuse(errPassword())
		return false
	}
	if h.database != "" {
		c, err := s.engine.acquire(h.database, nil)
		if err != nil {
			s.refuse(asException(err))
			return false
		}
		s.engine.release(c)
		s.database = h.database
	}
	if s.out.send(func(b *proto.Buffer) { s.hello().EncodeAware(b, h.revision) }) != nil {
		return false
	}
	if s.has(proto.FeatureAddendum) {
		if _, err := s.text(maxNameBytes); err != nil { // the quota's key
			return false
		}
	}
	_ = s.conn.SetDeadline(time.Time{})
	return true
}

func (s *session) hello() *proto.ServerHello {
	var version [3]int
	for i, part := range strings.SplitN(s.version, ".", 4)[:min(3, strings.Count(s.version, ".")+1)] {
		version[i], _ = strconv.Atoi(part)
	}
	return &proto.ServerHello{
		Name: "ClickHouse", Major: version[0], Minor: version[1], Patch: version[2],
		Revision: nativeRevision, Timezone: s.timezone, DisplayName: s.name,
	}
}

// errCancelled says that the client wants no more of its statement.
var errCancelled = errors.New("cancelled by the client")

// query reads a query and answers it. An error ends the connection.
func (s *session) query(ctx context.Context) error {
	received, err := s.readQuery()
	if err != nil {
		return err
	}
	began := time.Now()
	rows := &rowsReader{packets: s.packets, compressed: received.compressed, frames: newFrames(s.r)}
	rows.frames.source.most = frameBytes
	s.out.begin(received, began)
	extra := false
	for {
		// Tables that come with the query, and an empty one after them.
		b, err := rows.next()
		if err != nil {
			return err
		}
		if b.end() {
			break
		}
		extra = true
		if err := rows.copy(b, bufio.NewWriter(io.Discard)); err != nil {
			return err
		}
	}
	rows.frames.source.most = 0
	q, err := s.request(received)
	if err == nil && extra {
		err = newException(codeNotImplemented, "NOT_IMPLEMENTED", "The embedded engine takes no external tables")
	}
	if err == nil {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		if q.kind == kindInsert && q.feed == nil {
			err = s.insert(ctx, q, rows)
		} else {
			watched := s.watchClient(cancel)
			err = s.serve(ctx, q, s.out)
			watched()
		}
		if rows.cancelled || errors.Is(context.Cause(ctx), errCancelled) {
			return s.out.end()
		}
	}
	switch {
	case s.out.failed() != nil:
		return s.out.failed()
	case err != nil && rows.broken:
		return err
	case err != nil:
		return s.out.exception(asException(err))
	}
	s.remember(q)
	return s.out.end()
}

// request is a query as the server takes it.
func (s *session) request(received nativeQuery) (*request, error) {
	if received.stage != uint64(proto.StageComplete) {
		return nil, newException(codeNotImplemented, "NOT_IMPLEMENTED", "Queries that another server completes are not run")
	}
	q := &request{
		database: s.database, settings: append([]setting(nil), s.settings...), params: received.params,
		format: "Native", revision: uint64(s.revision), id: received.id, progress: s.out.progress,
	}
	for _, set := range received.settings {
		_, known := s.engine.numeric(set.name)
		switch {
		case set.name == logComment, strings.HasPrefix(set.name, "network_"):
			// The former is how we find the statement, the latter is for us.
		case !known && !set.important:
			// A newer client's, which it says may be passed over.
		case strings.ContainsRune(set.value, 0):
			return nil, newException(36, "BAD_ARGUMENTS", "The value of %s holds a zero byte", set.name)
		default:
			q.set(set.setting)
		}
	}
	var err error
	if q.statement, err = readStatement(received.text, false); err != nil {
		return nil, newException(codeSyntax, "SYNTAX_ERROR", "%v", err)
	}
	if s.allowed == accessRead {
		q.restrict()
	}
	if q.kind == kindInsert {
		// Rows in the statement are in its format; those that follow it are in Native format whatever it says.
		if inline := received.text[q.data:]; strings.TrimSpace(inline) != "" {
			q.feed = feedFrom(strings.NewReader(inline))
			q.insertFormat()
		}
	}
	if q.session && q.keyword != "USE" && q.keyword != "SET" {
		return nil, newException(codeNotImplemented, "NOT_IMPLEMENTED", "The embedded engine has no temporary tables")
	}
	if q.keyword == "SET" {
		changed, ok := readSet(received.text)
		if !ok {
			return nil, newException(codeNotImplemented, "NOT_IMPLEMENTED",
				"This form of SET is not understood; write SET name = value")
		}
		// The session keeps them, and so does each connection that has them.
		for _, set := range changed {
			if len(set.value) > maxNameBytes {
				return nil, newException(codeQueryTooLarge, "QUERY_IS_TOO_LARGE",
					"The value of %s is longer than the %d bytes that a session keeps", shorten(set.name), maxNameBytes)
			}
		}
	}
	return q, nil
}

// remember keeps what a statement has changed for those after it.
func (s *session) remember(q *request) {
	switch q.keyword {
	case "USE":
		l := &lexer{text: q.text}
		for t := l.next(); t.kind == tokenWord || t.kind == tokenQuoted; t = l.next() {
			s.database = unquoteName(t)
		}
	case "SET":
		changed, _ := readSet(q.text)
		kept := &request{settings: s.settings}
		for _, set := range changed {
			kept.set(set)
		}
		s.settings = kept.settings[:min(len(kept.settings), maxNamed)]
	}
}

// watchClient cancels when the client says so or goes away, until the returned function is called.
func (s *session) watchClient(cancel context.CancelCauseFunc) func() {
	s.conn.read = 0
	_ = s.conn.SetReadDeadline(time.Time{})
	gone := make(chan struct{})
	var finished sync.Once
	stopping := make(chan struct{})
	go func() {
		defer close(gone)
		next, err := s.r.Peek(1)
		select {
		case <-stopping:
			return
		default:
		}
		switch {
		case err != nil:
			cancel(fmt.Errorf("the client went away: %w", err))
		case proto.ClientCode(next[0]) == proto.ClientCodeCancel:
			cancel(errCancelled)
		}
		// Anything else is the next query of a client that does not wait.
	}()
	return func() {
		finished.Do(func() {
			close(stopping)
			_ = s.conn.SetReadDeadline(time.Unix(1, 0))
			<-gone
			_ = s.conn.SetReadDeadline(time.Time{})
			s.conn.read = readTimeout
		})
	}
}
