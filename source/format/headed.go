package format

import (
	"errors"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
)

// headed reads lines also behind the head that syslog or a container's runtime puts before them. A line is first taken as
// it stands, since a format may begin as a head does.
type headed struct{ parser source.Parser }

var _ source.Adviser = headed{}

// Parse implements [source.Parser].
func (p headed) Parse(line []byte, emit func(*event.Event)) error {
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
