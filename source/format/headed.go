package format

import (
	"errors"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
)

// headed reads lines also within what a container's runtime makes of them, and behind the head that syslog or another such
// runtime puts before them. A line is first taken without a head, since a format may begin as a head does.
type headed struct{ parser source.Parser }

var _ source.Adviser = headed{}

// Parse implements [source.Parser].
func (p headed) Parse(line []byte, emit func(*event.Event)) error {
	line = access.Unwrap(line)
	err := p.parser.Parse(line, emit)
	if err == nil || errors.Is(err, source.ErrSkipped) {
		return err
	}
	if message := access.Message(line); len(message) < len(line) {
		if err := p.parser.Parse(message, emit); err == nil || errors.Is(err, source.ErrSkipped) {
			return err
		}
	}
	return err
}

// Advice implements [source.Adviser].
func (p headed) Advice() []string {
	if adviser, ok := p.parser.(source.Adviser); ok {
		return adviser.Advice()
	}
	return nil
}
