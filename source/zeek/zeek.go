// Package zeek reads two of Zeek's logs, in Zeek's own tab-separated format or in JSON (LogAscii::use_json): websocket.log,
// which has a line for every handshake that was answered with 101, and http.log for handshakes that were answered
// otherwise.
//
// What they cannot say: frames, messages, how and when a connection ended. http.log has no Upgrade header; the script
// policy/protocols/http/header-names adds the names of the headers, and those of a WebSocket handshake prove one. A
// status of 101 in http.log is not an event: websocket.log has a line for the same connection, and in another file, so
// the two cannot be joined.
//
// The invariant to keep: a line means the same whatever was read before it, but for the header that names its columns.
// Where no header was read, because reading began in the middle of a file, the columns are taken to be Zeek's defaults.
package zeek

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
)

// SourceType is the websocket.source.type of every event of this package.
const SourceType = "zeek"

// Parser is a [source.Parser] of Zeek's logs. Make one with [New].
type Parser struct {
	json      fields.Scanner
	tsv       *tsv
	line      *fields.Line
	emitter   *access.Emitter
	handshake access.Handshake
	paths     access.Paths
}

var _ source.Parser = (*Parser)(nil)

// New returns a parser. paths are patterns of the paths that are WebSockets, for an http.log without names of headers.
func New(s source.Settings, paths []string) *Parser {
	return &Parser{
		json: fields.NewJSON(fieldsByName), tsv: newTSV(), line: fields.NewLine(names[:]), paths: access.NewPaths(paths),
		emitter: access.NewEmitter(s, SourceType, event.VisibilityAtOpen),
	}
}

// Parse implements [source.Parser].
func (p *Parser) Parse(data []byte, emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	tabs := false
	switch {
	case len(data) == 0:
		return &source.Error{Reason: source.MissingField, Field: "ts"}
	case data[0] == '{':
		if err := p.json.Scan(data, l); err != nil {
			return err
		}
	case data[0] == '#':
		if len(data) <= maxHeader {
			p.tsv.directive(string(data))
		}
		return source.ErrSkipped
	case bytes.HasPrefix(data, []byte("ts\tuid\t")):
		// zeek-cut -m and -M leave the names without #fields.
		if len(data) <= maxHeader {
			p.tsv.fields(string(data))
		}
		return source.ErrSkipped
	default:
		tabs = true
		if err := p.tsv.Scan(data, l); err != nil {
			return err
		}
	}
	isHTTP := l.Has(transDepth) || l.Has(statusCode)
	if l.Has(proto) || !l.Has(uri) && !isHTTP {
		return source.ErrSkipped // conn.log and others
	}
	h.Reset()
	var err error
	if isHTTP {
		if err = p.answer(h); err != nil {
			return err
		}
	} else {
		h.Upgraded, h.Status = true, 101
	}
	l.Keep()
	if err := p.fill(h, tabs); err != nil {
		return err
	}
	p.emitter.Emit(h, emit)
	return nil
}

// maxHeader bounds a line that describes others.
const maxHeader = 16 << 10

// answer decides whether a line of http.log tells of a handshake that failed.
func (p *Parser) answer(h *access.Handshake) (err error) {
	l := p.line
	if l.Has(statusCode) {
		if h.Status, err = l.Status(statusCode); err != nil {
			return err
		}
	}
	if h.Status == 101 {
		return source.ErrSkipped
	}
	if h.Status == 0 {
		// That the answer was never seen may be the client's, the server's or the capture's fault.
		h.ErrorType, h.Inferred = event.OtherError, true
	}
	if l.Has(clientHeaderNames) {
		names, _ := l.Raw(clientHeaderNames)
		if !bytes.Contains(names, []byte("SEC-WEBSOCKET-")) {
			return source.ErrSkipped
		}
		return nil
	}
	how, _ := l.Raw(method)
	target, _ := l.Raw(uri)
	if !p.paths.Attempt(nil, how, target, h.Status) {
		return source.ErrSkipped
	}
	h.Inferred = true
	return nil
}

// fill reads what the line says about the handshake.
func (p *Parser) fill(h *access.Handshake, tabs bool) (err error) {
	l := p.line
	if h.Written, err = p.time(); err != nil {
		return err
	}
	h.Opened = h.Written
	id := l.Value(uid)
	if id == "" {
		return l.Fault(source.MissingField, uid)
	}
	h.Client = l.Value(origHost)
	if _, err := netip.ParseAddr(h.Client); err != nil && h.Client != "" {
		// Most of all this is a line that was read by another log's columns.
		return l.Fault(event.ReasonBadValue, origHost)
	}
	if h.ClientPort, err = l.Integer(origPort, fields.MaxPort); err != nil {
		return err
	}
	h.Server, h.Port = access.Host(l.Value(host))
	h.Path, h.Query = access.Target(l.Value(uri))
	h.UserAgent, h.Method = l.Value(userAgent), access.Method(l.Value(method))
	if v := l.Value(version); v != "" {
		h.HTTPVersion = access.HTTPVersion("HTTP/" + v)
	}
	h.Subprotocol = l.Value(subprotocol)
	h.Offered, h.Extensions = p.list(clientProtocols, tabs), p.list(serverExtensions, tabs)

	// Zeek's uid is of the TCP connection, on which a client may try several times before it succeeds.
	p.emitter.Begin()
	p.emitter.Part("uid", []byte(id))
	if !h.Upgraded {
		p.emitter.Part("trans_depth", []byte(l.Value(transDepth)))
	}
	h.ConnectionID = p.emitter.ID()
	return nil
}

// time reads ts in each of the forms that LogAscii::json_timestamps knows.
func (p *Parser) time() (time.Time, error) {
	l := p.line
	v := l.Value(ts)
	switch {
	case v == "":
		return time.Time{}, l.Fault(source.MissingField, ts)
	case strings.IndexByte(v, 'T') > 0:
		return l.Time(ts, time.RFC3339)
	case len(v) == 13 && strings.IndexByte(v, '.') < 0:
		return l.Unix(ts, time.Millisecond)
	}
	return l.Unix(ts, time.Second)
}

// list reads a vector or set. Elements may hold the separator, escaped.
func (p *Parser) list(f fields.ID, tabs bool) []string {
	l := p.line
	if !tabs {
		return l.Strings(f)
	}
	raw, _ := l.Raw(f)
	if len(raw) == 0 {
		return nil
	}
	var list []string
	for item := range bytes.SplitSeq(raw, []byte(p.tsv.cur.setSeparator)) {
		if text := source.Text(string(unescape(nil, item))); text != "" {
			list = append(list, text)
		}
	}
	return list
}

// Fits returns what says whether a line is of one of Zeek's logs.
func Fits() func(line []byte) bool {
	p := New(source.Settings{}, nil)
	ignore := func(*event.Event) {}
	return func(line []byte) bool {
		if len(line) > 0 && line[0] == '{' {
			return bytes.Contains(line, []byte(`"uid":"`)) && bytes.Contains(line, []byte(`"id.orig_h":"`))
		}
		err := p.Parse(line, ignore)
		return err == nil || errors.Is(err, source.ErrSkipped)
	}
}
