// Package awsalb reads access logs of AWS Application Load Balancers. A WebSocket connection leaves one line, at its
// close, of the type ws or wss, with the times of its open and close.
//
// A handshake that was rejected may stand as plain http or https, and then only its path tells what it was. The bytes are
// those of the whole connection, heads included. The load balancer says neither who ended a connection nor why.
package awsalb

import (
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
)

// SourceType is the websocket.source.type of every event of this package.
const SourceType = "aws_alb"

// The fields of a line, in their order ("Access log entries" of the Elastic Load Balancing user guide).
const (
	kind fields.ID = iota
	written
	client
	requestTime
	targetTime
	responseTime
	status
	received
	sent
	request
	userAgent
	tlsVersion
	trace
	domain
	created
	fieldCount
)

var names = [fieldCount]string{
	"type", "time", "client:port", "request_processing_time", "target_processing_time", "response_processing_time",
	"elb_status_code", "received_bytes", "sent_bytes", "request", "user_agent", "ssl_protocol", "trace_id", "domain_name",
	"request_creation_time",
}

// layout is a line; what follows the time of creation is not read, and AWS adds to it.
var layout = func() (tokens []fields.Token) {
	field := func(name string) {
		token := fields.Token{Name: name, Field: fields.None}
		for f, known := range names {
			if known == name {
				token.Field = fields.ID(f)
			}
		}
		tokens = append(tokens, token)
	}
	text := func(s string) { tokens = append(tokens, fields.Token{Literal: s}) }
	for i, name := range strings.Fields(`type time elb client:port target:port request_processing_time ` +
		`target_processing_time response_processing_time elb_status_code target_status_code received_bytes sent_bytes "request" "user_agent" ssl_cipher ` +
		`ssl_protocol target_group_arn "trace_id" "domain_name" "chosen_cert_arn" matched_rule_priority request_creation_time rest`) {
		if i > 0 {
			text(" ")
		}
		bare := strings.Trim(name, `"`)
		if bare != name {
			text(`"`)
		}
		field(bare)
		if bare != name {
			text(`"`)
		}
	}
	return tokens
}()

// Parser is a [source.Parser] of an ALB's access log. Make one with [New].
type Parser struct {
	template  *fields.Template
	line      *fields.Line
	paths     access.Paths
	emitter   *access.Emitter
	handshake access.Handshake
}

var _ source.Parser = (*Parser)(nil)

// New returns a parser. paths are those that are WebSockets, for handshakes that were rejected.
func New(s source.Settings, paths []string) (*Parser, error) {
	template, err := fields.NewTemplate(layout, fields.Backslash)
	if err != nil {
		return nil, err
	}
	return &Parser{
		template: template, line: fields.NewLine(names[:]), paths: access.NewPaths(paths),
		emitter: access.NewEmitter(s, SourceType, event.VisibilityAtClose),
	}, nil
}

// Parse implements [source.Parser].
func (p *Parser) Parse(data []byte, emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	if err := p.template.Scan(data, l); err != nil {
		return err
	}
	h.Reset()
	var err error
	if h.Status, err = l.Status(status); err != nil {
		return err
	}
	h.Upgraded = h.Status == 101
	switch v, _ := l.Raw(kind); string(v) {
	case "ws":
		h.Scheme = "ws"
	case "wss":
		h.Scheme = "wss"
	case "http", "https", "h2", "grpcs":
		if line, _ := l.Raw(request); h.Upgraded || !p.paths.Attempt(line, nil, nil, h.Status) {
			// 101 of a plain request is an upgrade to something else.
			return source.ErrSkipped
		}
		h.Inferred = true
		if h.Scheme = "wss"; string(v) == "http" {
			h.Scheme = "ws"
		}
	default:
		return l.Fault(source.OtherFormat, kind)
	}
	l.Keep()
	if err := p.fill(h); err != nil {
		return err
	}
	p.emitter.Emit(h, emit)
	return nil
}

// clientClosed is what the load balancer notes where the client left before the answer.
const clientClosed = 460

// fill reads what the line says about the handshake and the connection.
func (p *Parser) fill(h *access.Handshake) (err error) {
	l := p.line
	if h.Written, err = l.Time(written, time.RFC3339); err != nil {
		return err
	}
	h.Opened = h.Written
	if l.Value(created) != "" {
		at, err := l.Time(created, time.RFC3339)
		if err != nil {
			return err
		}
		if at.Before(h.Written) {
			h.Opened = at
		}
	}
	if err := p.timers(h); err != nil {
		return err
	}
	if h.Upgraded {
		h.Closed, h.Connection = h.Written, h.Written.Sub(h.Opened)
		if h.Received, err = l.Integer(received, fields.MaxInteger); err != nil {
			return err
		}
		if h.Sent, err = l.Integer(sent, fields.MaxInteger); err != nil {
			return err
		}
	} else if h.Status == clientClosed {
		h.ErrorType = event.ClientAborted
	}

	verb, target, version := access.RequestLine(l.Value(request))
	h.Path, h.Query = access.Target(target)
	h.Method, h.HTTPVersion = access.Method(verb), access.HTTPVersion(version)
	h.Client, h.ClientPort = access.Host(l.Value(client))
	// The target has the Host header and the listener's port.
	if _, rest, ok := strings.Cut(target, "://"); ok {
		authority, _, _ := strings.Cut(rest, "/")
		h.Server, h.Port = access.Host(authority)
	}
	if name := l.Value(domain); name != "" {
		h.Server, _ = access.Host(name)
	}
	h.UserAgent, h.TLSVersion = l.Value(userAgent), access.TLSVersion(l.Value(tlsVersion))

	m := p.emitter
	m.Begin()
	for _, f := range [...]fields.ID{trace, client, created, written} {
		value, _ := l.Raw(f)
		m.Part(names[f], value)
	}
	h.ConnectionID = m.ID()
	return nil
}

// timers reads how long the handshake took, from its three parts; -1 says that it never came to one.
func (p *Parser) timers(h *access.Handshake) error {
	l := p.line
	total := time.Duration(0)
	for _, f := range [...]fields.ID{requestTime, targetTime, responseTime} {
		if l.Value(f) == "-1" {
			return nil
		}
		d, err := l.Duration(f, time.Second)
		if err != nil {
			return err
		}
		if d < 0 {
			return nil
		}
		total += d
	}
	h.Handshake = total
	return nil
}
