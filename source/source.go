// Package source holds what the parsers of all formats share: [Parser], which turns one line somebody else wrote into
// the events that the line proves, its settings and its errors. The parsers are the packages below this one; package
// source/format lists them by name.
//
// It reads no files and knows nothing of the collector, so any program can use a parser.
//
// The invariant to keep: a parser states only what its line proves. What the format cannot know is absent, never zero
// and never guessed, and no error ever quotes the line.
package source

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sockeye-project/sockeye/event"
)

// Parser turns lines of one format into events. A Parser is not safe for concurrent use: it keeps memory between
// lines.
type Parser interface {
	// Parse calls emit for every event that line proves, in order of time; line carries no line break. The event
	// belongs to the parser and is valid only until emit returns; strings in it stay valid.
	//
	// The error is [ErrSkipped] where the line is well formed but is not about a WebSocket connection; else it is one
	// that [ReasonOf] knows, and no event of the line has been emitted.
	Parse(line []byte, emit func(*event.Event)) error
}

// Adviser is a [Parser] that knows what its format lacks.
type Adviser interface {
	// Advice returns sentences for whoever configured the format, to be said once at start: what events will not tell
	// and what to add to the format so that they do.
	Advice() []string
}

// Settings are what a parser has to be told, because lines do not say it.
type Settings struct {
	// Vantage is where the writer of the lines stands: one of the Vantage constants of package event. "" is edge.
	Vantage string
	// ConnectionKey keys websocket.connection.id and HandshakeKey websocket.handshake.key_hash. They are derived from
	// the installation key, so that hops of one connection that several sources log can be joined and nobody without
	// the key can try out addresses.
	ConnectionKey, HandshakeKey []byte
	// Resource describes who reports, for formats whose lines do not.
	Resource *event.Resource
	// Now is the clock for formats whose lines may have no time, which then happened when they were read. Nil is
	// time.Now.
	Now func() time.Time
	// Zone is where times that name no zone were written; nil is UTC.
	Zone *time.Location
}

// TimeZone returns the zone of times that name none.
func (s *Settings) TimeZone() *time.Location {
	if s.Zone == nil {
		return time.UTC
	}
	return s.Zone
}

// Purposes for which keys are derived from the installation key.
const (
	ConnectionPurpose = "websocket.connection.id"
	HandshakePurpose  = "websocket.handshake.key_hash"
)

// ErrSkipped says that a line is well formed and is not about a WebSocket connection.
var ErrSkipped = errors.New("not about a WebSocket connection")

// Reasons that parsers add to those of package event ([event.Reasons]). Together they are a small closed set: a reason
// is a metric dimension.
const (
	MalformedJSON = event.ReasonMalformedJSON
	BadTime       = event.ReasonBadTime
	MissingField  = "missing_field" // a field without which the line proves nothing
	BadNumber     = "bad_number"    // not a number, or outside its bounds
	TooLong       = "too_long"      // longer than the reader's limit
	OtherFormat   = "other_format"  // not of the format that was configured
	Invalid       = "invalid"       // none of the others
)

// Reasons returns every reason there is.
func Reasons() []string {
	return append(event.Reasons(), MissingField, BadNumber, TooLong, OtherFormat, Invalid)
}

// Error is a line that could not be read. It names a field of the format where one is at fault, never content.
type Error struct {
	// Reason is one of [Reasons].
	Reason string
	// Field is the name of the field at fault, from the parser's own list of names, or "".
	Field string
}

func (e *Error) Error() string {
	text := strings.ReplaceAll(e.Reason, "_", " ")
	if e.Field == "" {
		return text
	}
	return text + ": " + e.Field
}

// ReasonOf returns the reason of an error of [Parser.Parse].
func ReasonOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	var d *event.DecodeError
	if errors.As(err, &d) {
		return d.Reason
	}
	return Invalid
}

// Text returns s if events can carry it (UTF-8 without NUL), else with U+FFFD for every byte that they cannot. Clients
// choose what stands in a request line; a line is not thrown away for it, or a broken byte would be a way to go
// uncounted.
func Text(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// SetString sets k unless v is empty, or too long for an attribute that may become a dimension: such a value is noise
// of a client, and there it is better absent.
func SetString(e *event.Event, k event.Key, v string) {
	if v == "" || len(v) > event.MaxLowBytes && k.Definition().Low {
		return
	}
	e.SetString(k, v)
}
