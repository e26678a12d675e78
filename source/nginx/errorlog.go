package nginx

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
)

// errorLine is a line of an error log: "2026/11/22 07:00:21 [info] 28980#28980: *79 message".
type errorLine struct {
	// second is the time on the clock of nginx's host, in its zone, as if that were UTC.
	second int64
	// process is "28980#28980", connection what follows the asterisk, or empty.
	process, connection []byte
	level               []byte
	message             []byte
}

// parseErrorLine takes a line apart; false if it is no line of an error log.
func parseErrorLine(line []byte) (e errorLine, ok bool) {
	const layout = "2006/01/02 15:04:05"
	if len(line) < len(layout)+2 || line[len(layout)] != ' ' || line[len(layout)+1] != '[' {
		return e, false
	}
	if e.second, ok = clock(line[:len(layout)]); !ok {
		return e, false
	}
	if e.level, line, ok = bytes.Cut(line[len(layout)+2:], []byte("] ")); !ok {
		return e, false
	}
	if e.process, line, ok = bytes.Cut(line, []byte(": ")); !ok || bytes.IndexByte(e.process, '#') <= 0 {
		return e, false
	}
	if len(line) > 0 && line[0] == '*' {
		if number, rest, found := bytes.Cut(line[1:], []byte{' '}); found {
			e.connection, line = number, rest
		}
	}
	e.message = line
	return e, true
}

// clock reads "2026/11/22 07:00:21" as if it were UTC, without memory.
func clock(text []byte) (unix int64, ok bool) {
	number := func(from, to int) int {
		n := 0
		for _, c := range text[from:to] {
			if c < '0' || c > '9' {
				ok = false
				return 0
			}
			n = 10*n + int(c-'0')
		}
		return n
	}
	ok = text[4] == '/' && text[7] == '/' && text[10] == ' ' && text[13] == ':' && text[16] == ':'
	year, month, day := number(0, 4), number(5, 7), number(8, 10)
	hour, minute, second := number(11, 13), number(14, 16), number(17, 19)
	if year < 2000 || year >= 2100 || month < 1 || month > 12 || day < 1 || day > 31 ||
		hour > 23 || minute > 59 || second > 60 {
		return 0, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC).Unix(), ok
}

// cause is why a connection ended.
type cause struct{ errorType, initiator string }

// ended returns the cause of which a line speaks, and the client's address.
func (e *errorLine) ended() (why cause, client []byte, ok bool) {
	message, rest, found := bytes.Cut(e.message, []byte(" while proxying upgraded connection, client: "))
	if !found {
		return why, nil, false
	}
	client, _, _ = bytes.Cut(rest, []byte{','})
	what, code, found := bytes.Cut(message, []byte(" ("))
	if !found {
		return why, nil, false
	}
	code, _, _ = bytes.Cut(code, []byte{':'})
	switch string(what) {
	case "upstream timed out":
		// proxy_read_timeout: neither side has sent anything for so long.
		return cause{event.IdleTimeout, event.InitiatorProxy}, client, true
	case "client timed out":
		// send_timeout: the client takes nothing any more.
		return cause{event.ConnectionLost, event.InitiatorProxy}, client, true
	}
	if !bytes.HasSuffix(what, []byte("() failed")) {
		return why, nil, false
	}
	switch string(code) {
	case "104", "54", "32": // ECONNRESET of Linux and of BSD, EPIPE
		why = cause{event.ConnectionReset, event.InitiatorClient}
	case "110", "60", "113", "65", "101", "51": // ETIMEDOUT, EHOSTUNREACH, ENETUNREACH
		why = cause{event.ConnectionLost, ""}
	default:
		return why, nil, false
	}
	if string(e.level) == "error" {
		// nginx logs errors of its clients' connections at info, of its upstreams' at error.
		why.errorType = event.UpstreamLost
		if why.initiator != "" {
			why.initiator = event.InitiatorServer
		}
	}
	return why, client, true
}

// ErrorLog joins lines of an error log, which say why upgraded connections ended, with the access lines of the same
// connections. nginx writes the error line first. So once an access line has been read, reading the error log to its end
// finds its error line if there is one: nothing has to wait. It may be shared by parsers, and used by several goroutines.
type ErrorLog struct {
	mu sync.Mutex
	// read calls its argument with every line that is new.
	read func(func(line []byte))
	now  func() time.Time
	// looked is when read was last called.
	looked time.Time
	causes map[connectionEnd]knownCause
	// order is a ring of the keys, oldest at next, that bounds causes.
	order []connectionEnd
	next  int
	limit int
}

// connectionEnd tells ends of connections apart. nginx counts connections from 1 after every start, so the number alone
// would not do.
type connectionEnd struct {
	connection uint64
	second     int64
}

type knownCause struct {
	cause
	client string
}

// joinWithin is how far apart the two lines of one end may be, in seconds.
const joinWithin = 2

// NewErrorLog returns an error log that is read by read, which calls its argument with every line that has been written
// since it was last called; it remembers the last limit causes.
func NewErrorLog(read func(func(line []byte)), limit int) *ErrorLog {
	return &ErrorLog{read: read, now: time.Now, limit: limit, causes: map[connectionEnd]knownCause{}}
}

func (g *ErrorLog) line(data []byte) {
	e, ok := parseErrorLine(data)
	if !ok {
		return
	}
	why, client, ok := e.ended()
	if !ok {
		return
	}
	n, err := strconv.ParseUint(string(e.connection), 10, 64)
	if err != nil {
		return
	}
	key := connectionEnd{n, e.second}
	if _, known := g.causes[key]; known {
		return // the first says why, what follows is its consequence
	}
	if len(g.order) < g.limit {
		g.order = append(g.order, key)
	} else {
		delete(g.causes, g.order[g.next])
		g.order[g.next] = key
		g.next = (g.next + 1) % g.limit
	}
	g.causes[key] = knownCause{why, string(client)}
}

// annotate adds to h why the connection of line l ended, if the error log says so. The log is written in the zone other if
// the line does not tell which.
func (g *ErrorLog) annotate(l *fields.Line, h *access.Handshake, other *time.Location) {
	n, err := strconv.ParseUint(l.Value(connection), 10, 64)
	client := l.Value(remoteAddr)
	if err != nil || client == "" {
		return
	}
	second := h.Written.Unix() + int64(zone(l, h.Written, other))
	g.mu.Lock()
	defer g.mu.Unlock()
	// What was written so long before the last look has been seen then.
	if now := g.now(); g.looked.IsZero() || h.Written.After(g.looked.Add(-joinWithin*time.Second)) {
		g.looked = now
		g.read(g.line)
	}
	for s := second + 1; s >= second-joinWithin; s-- {
		if known, ok := g.causes[connectionEnd{n, s}]; ok && known.client == client {
			h.CloseError, h.Initiator = known.errorType, known.initiator
			return
		}
	}
}

// zone returns the offset from UTC of the clock that nginx writes error logs by: that of the line's own time if it has
// one, else that of other.
func zone(l *fields.Line, at time.Time, other *time.Location) int {
	for _, f := range [...]fields.ID{timeText, timeLocal} {
		if offset, ok := offset(l.Value(f)); ok {
			return offset
		}
	}
	_, offset := at.In(other).Zone()
	return offset
}

// offset returns the seconds of the zone that ends a time: "Z", "+02:00" or "+0200".
func offset(text string) (int, bool) {
	text = strings.TrimSuffix(text, "]")
	if len(text) > 0 && text[len(text)-1] == 'Z' {
		return 0, true
	}
	for _, layout := range [...]string{"-07:00", "-0700"} {
		if len(text) < len(layout) {
			continue
		}
		if t, err := time.Parse(layout, text[len(text)-len(layout):]); err == nil {
			_, offset := t.Zone()
			return offset, true
		}
	}
	return 0, false
}

// ErrorParser is a [source.Parser] of nginx error logs: of TLS handshakes that failed, which leave no access line. Make
// one with [NewErrorParser].
type ErrorParser struct {
	// location is nginx's, whose times have no zone.
	location  *time.Location
	emitter   *access.Emitter
	handshake access.Handshake
}

var _ source.Parser = (*ErrorParser)(nil)

// NewErrorParser returns a parser.
func NewErrorParser(s source.Settings) *ErrorParser {
	return &ErrorParser{location: s.TimeZone(), emitter: access.NewEmitter(s, SourceType, event.VisibilityAtClose)}
}

// tlsFailures are the beginnings of what nginx says of a client's handshake that failed. "client closed connection" is not
// among them: that client sent nothing, as a check of the port does.
var tlsFailures = [][]byte{
	[]byte("SSL_do_handshake() failed"), []byte("peer closed connection in SSL handshake"), []byte("client timed out"),
}

var errNotErrorLog error = &source.Error{Reason: source.OtherFormat}

// Parse implements [source.Parser].
func (p *ErrorParser) Parse(data []byte, emit func(*event.Event)) error {
	e, ok := parseErrorLine(data)
	if !ok {
		return errNotErrorLog
	}
	// "while SSL handshaking to upstream" is between nginx and its upstream.
	what, rest, ok := bytes.Cut(e.message, []byte(" while SSL handshaking, client: "))
	if !ok || !slices.ContainsFunc(tlsFailures, func(begin []byte) bool { return bytes.HasPrefix(what, begin) }) {
		return source.ErrSkipped
	}
	client, rest, _ := bytes.Cut(rest, []byte(", server: "))
	server, _, _ := bytes.Cut(rest, []byte{','})
	h := &p.handshake
	h.Reset()
	year, month, day := time.Unix(e.second, 0).UTC().Date()
	hour, minute, second := time.Unix(e.second, 0).UTC().Clock()
	h.Written = time.Date(year, month, day, hour, minute, second, 0, p.location).UTC()
	h.Opened = h.Written
	// Nothing tells what the client would have asked for.
	h.Inferred, h.ErrorType, h.Scheme = true, event.TLSFailed, access.Scheme("wss")
	if string(client) != "unix:" {
		h.Client = source.Text(string(client))
	}
	// The address is the one that nginx listens on, often a wildcard, and not the name the client asked for.
	_, h.Port = access.Host(string(server))
	m := p.emitter
	m.Begin()
	m.Part("process", e.process)
	m.Part("connection", e.connection)
	m.Part("client", client)
	m.PartTime(h.Written)
	h.ConnectionID = m.ID()
	m.Emit(h, emit)
	return nil
}
