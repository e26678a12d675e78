// Package apigateway reads the access log of an AWS API Gateway WebSocket API: JSON whose values are $context variables,
// keyed by their own names or the usual other ones. API Gateway terminates the WebSocket and writes a line for each
// CONNECT, MESSAGE and DISCONNECT when it happens, with the code of the Close frame.
//
// What it cannot say: the path (there is none), the size of a message, who closed, and messages to clients unless the
// backend's calls are logged.
//
// The invariant to keep: no line depends on another, since the lines of one connection may be far apart and in any order.
package apigateway

import (
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
)

// SourceType is the websocket.source.type of every event of this package.
const SourceType = "aws_apigateway"

// Parser is a [source.Parser] of API Gateway's access log. Make one with [New].
type Parser struct {
	scanner   fields.Scanner
	line      *fields.Line
	emitter   *access.Emitter
	handshake access.Handshake
}

var _ source.Parser = (*Parser)(nil)

// New returns a parser.
func New(s source.Settings) *Parser {
	return &Parser{
		scanner: fields.NewJSON(fieldsByName), line: newLine(),
		emitter: access.NewEmitter(s, SourceType, event.VisibilityAtOpen),
	}
}

// Parse implements [source.Parser].
func (p *Parser) Parse(data []byte, emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	if err := p.scanner.Scan(data, l); err != nil {
		return err
	}
	// Lines of REST and HTTP APIs have neither.
	kind, logged := l.Raw(eventType)
	if !logged {
		if !l.Has(connectionID) {
			return source.ErrSkipped
		}
		return l.Fault(source.MissingField, eventType)
	}
	switch string(kind) {
	case "CONNECT", "MESSAGE", "DISCONNECT", "":
	default:
		return source.ErrSkipped
	}
	l.Keep()
	h.Reset()
	if err := p.fill(h); err != nil {
		return err
	}
	switch l.Value(eventType) {
	case "MESSAGE":
		return p.message(emit)
	case "DISCONNECT":
		return p.disconnect(emit)
	}
	return p.connect(emit)
}

// fill reads what lines of all types have.
func (p *Parser) fill(h *access.Handshake) (err error) {
	l := p.line
	if h.Written, err = p.written(); err != nil {
		return err
	}
	h.Opened = h.Written
	h.Server, _ = access.Host(l.Value(domainName))
	h.Client, h.UserAgent = l.Value(sourceIP), l.Value(userAgent)
	p.emitter.Begin()
	if id, _ := l.Raw(connectionID); len(id) > 0 {
		p.emitter.Part("connectionId", id)
	} else if id, _ = l.Raw(requestID); len(id) > 0 {
		// Before a route was found there is no connection.
		p.emitter.Part("requestId", id)
	} else {
		return l.Fault(source.MissingField, connectionID)
	}
	h.ConnectionID = p.emitter.ID()
	return nil
}

// written returns the time: $context.requestTimeEpoch has milliseconds, $context.requestTime whole seconds.
func (p *Parser) written() (time.Time, error) {
	l := p.line
	switch v := l.Value(timeEpoch); {
	case v != "" && v != "0":
		return l.Unix(timeEpoch, time.Millisecond)
	case l.Value(timeText) != "":
		return l.Time(timeText, "02/Jan/2006:15:04:05 -0700")
	}
	return time.Time{}, l.Fault(source.MissingField, timeEpoch)
}

// connect reads a CONNECT, or a request that was refused before a route was found, whose event type is "-".
func (p *Parser) connect(emit func(*event.Event)) (err error) {
	l, h := p.line, &p.handshake
	if h.Status, err = l.Status(status); err != nil {
		return err
	}
	authenticated, duration, err := p.authorization()
	if err != nil {
		return err
	}
	switch {
	case l.Value(eventType) == "":
		if h.Status < 400 {
			return source.ErrSkipped
		}
		// A WebSocket API takes nothing but handshakes, yet that this was one is not said.
		h.Inferred = true
	case h.Status == 0:
		return l.Fault(source.MissingField, status)
	}
	// The status is that of the integration behind $connect. With any 2xx the client is answered 101, over HTTP/1.1, which
	// is all that API Gateway speaks to WebSocket clients.
	h.Upgraded = h.Status == 101 || h.Status >= 200 && h.Status < 300
	if h.Upgraded {
		h.Status = 101
	}
	h.AuthSaid = authenticated != unknown
	if authenticated != unknown {
		e := p.emitter.Event(h, event.Auth, h.Written)
		if authenticated == "" {
			e.SetString(event.AuthResult, event.AuthSuccess)
		} else {
			e.SetString(event.AuthResult, event.AuthFailure)
			e.SetString(event.ErrorType, authenticated)
		}
		if duration >= 0 {
			e.SetDouble(event.AuthDuration, duration.Seconds())
		}
		emit(e)
	}
	p.emitter.Emit(h, emit)
	return nil
}

// unknown says that no authorizer was asked.
const unknown = "unknown"

// authorization returns how the Lambda authorizer decided: "" for success, else an error type of websocket.auth, or
// unknown; and how long it took. A log without its variables, or an API without an authorizer, has "-" there.
func (p *Parser) authorization() (errorType string, took time.Duration, err error) {
	l, h := p.line, &p.handshake
	if took, err = l.Duration(authorizerLatency, time.Millisecond); err != nil {
		return "", 0, err
	}
	code := int64(0)
	if l.Value(authorizerStatus) != "" {
		if code, err = l.Integer(authorizerStatus, 599); err != nil {
			return "", 0, err
		}
	} else if took < 0 {
		return unknown, took, nil
	}
	switch {
	case code == 504:
		return event.IDPTimeout, took, nil
	case code >= 500:
		return event.IDPUnavailable, took, nil
	case code == 401 || h.Status == 401:
		return event.Unauthenticated, took, nil
	case code == 403 || h.Status == 403:
		// The authorizer's policy denies.
		return event.Forbidden, took, nil
	case code >= 400:
		return event.OtherError, took, nil
	}
	return "", took, nil
}

// message reads a MESSAGE. API Gateway takes text frames only: a binary one ends the connection with 1003.
func (p *Parser) message(emit func(*event.Event)) (err error) {
	l, h := p.line, &p.handshake
	code := 0
	if l.Has(status) {
		if code, err = l.Status(status); err != nil {
			return err
		}
	}
	to := event.DirectionReceive
	if l.Value(direction) == "OUT" {
		to = event.DirectionTransmit
	}
	e := p.emitter.Event(h, event.Message, h.Written)
	e.SetString(event.Direction, to)
	e.SetString(event.MessageType, event.MessageText)
	emit(e)

	var name event.Name
	var errorType string
	switch {
	case code < 400:
		return nil
	case code == 429:
		e = p.emitter.Event(h, event.RateLimited, h.Written)
		e.SetString(event.RateLimitScope, event.ScopeMessage)
		e.SetInt(event.HTTPResponseStatusCode, int64(code))
		e.SetString(event.Direction, to)
		emit(e)
		name, errorType = event.MessageRejected, event.QuotaExceeded
	case code == 403:
		name, errorType = event.MessageRejected, event.ACLDenied
	case code < 500:
		name, errorType = event.MessageRejected, event.OtherError
	case code == 502 || code == 503 || code == 504:
		name, errorType = event.MessageDropped, event.UpstreamLost
	default:
		name, errorType = event.MessageDropped, event.OtherError
	}
	e = p.emitter.Event(h, name, h.Written)
	e.SetString(event.ErrorType, errorType)
	e.SetString(event.Direction, to)
	e.SetString(event.MessageType, event.MessageText)
	emit(e)
	return nil
}

// disconnect reads a DISCONNECT.
func (p *Parser) disconnect(emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	code, err := l.Integer(disconnectCode, 65535)
	if err != nil {
		return err
	}
	duration := fields.Absent
	if v := l.Value(connectedAt); v != "" && v != "0" {
		opened, err := l.Unix(connectedAt, time.Millisecond)
		if err != nil {
			return err
		}
		duration = h.Written.Sub(opened)
	}
	e := p.emitter.Event(h, event.Close, h.Written)
	e.SetString(event.CloseInitiator, event.InitiatorUnknown)
	if code > 0 {
		access.SetCloseCode(e, code)
	}
	source.SetString(e, event.CloseReason, l.Value(disconnectReason))
	if duration >= 0 {
		e.SetDouble(event.ConnectionDuration, duration.Seconds())
	}
	emit(e)
	return nil
}
