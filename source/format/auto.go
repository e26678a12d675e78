package format

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
)

// Auto recognises the format of a log by its first lines.
const Auto = "auto"

// Bounds of what Auto looks at.
const (
	AutoLines = 100
	AutoBytes = 64 << 10
)

// AutoOptions are what [Auto] is told and what it tells. They belong to one log: a parser made with the options of
// another takes the lines for the same.
type AutoOptions struct {
	// Head returns the beginning of the log, as far as it has been written, but at least the line that is parsed next.
	Head func() []byte
	// Prefer is the Choice for the log that had the name before, or "": it is kept if it fits.
	Prefer string
	// Choice is what was recognised, or was before a restart, as [Recognition.Choice] has it.
	Choice string
	// Recognised is told once; Unrecognised every time that the lines fit no format. Both may be nil.
	Recognised   func(Recognition)
	Unrecognised func(error)
}

// Recognition is what Auto took a log for.
type Recognition struct {
	// Choice names the format, and the template where it has several: "nginx", "nginx combined".
	Choice string
	// Of Lines, Fitting are lines of that format.
	Fitting, Lines int
	// Advice is what the format lacks, as [source.Adviser] has it.
	Advice []string
}

func (r Recognition) String() string {
	return fmt.Sprintf("%s (%d of %d lines)", r.Choice, r.Fitting, r.Lines)
}

// variant is one way to read a format that Auto tries.
type variant struct {
	// template is the option, name what follows the format's in a choice.
	template, name string
	// fits returns what says whether a line is of this format; nil asks the parser, which is right for formats whose lines
	// no other has.
	fits func() func(line []byte) bool
}

// candidate is a variant of a format.
type candidate struct {
	format Format
	variant
}

func (c candidate) choice() string {
	if c.name == "" {
		return c.format.Name
	}
	return c.format.Name + " " + c.name
}

func candidates() (list []candidate) {
	for _, f := range formats {
		for _, v := range f.variants {
			list = append(list, candidate{f, v})
		}
	}
	return list
}

// test returns what says whether a line is of c.
func (c candidate) test() func(line []byte) bool {
	if c.fits != nil {
		fits := c.fits()
		return func(line []byte) bool { return fits(line) || fits(access.Message(line)) }
	}
	p, err := c.format.New(source.Settings{}, Options{Template: c.template})
	if err != nil {
		return func([]byte) bool { return false }
	}
	ignore := func(*event.Event) {}
	return func(line []byte) bool {
		err := p.Parse(line, ignore)
		return err == nil || errors.Is(err, source.ErrSkipped)
	}
}

// count returns how many lines are of c.
func (c candidate) count(lines [][]byte) (n int) {
	fits := c.test()
	for _, line := range lines {
		if fits(line) {
			n++
		}
	}
	return n
}

// Recognise says which format the beginning of a log is in: the one that most lines fit, the first in the list of those
// that fit as many, and prefer before any other that half of the lines do not tell from it. It looks at the first
// [AutoLines] lines and [AutoBytes] bytes.
func Recognise(head []byte, prefer string) (Recognition, error) {
	r, _, err := recognise(head, prefer)
	return r, err
}

func recognise(head []byte, prefer string) (best Recognition, winner candidate, err error) {
	lines := headLines(head)
	var tried []string
	for _, c := range candidates() {
		n := c.count(lines)
		if n > 0 {
			tried = append(tried, fmt.Sprintf("%s %d", c.choice(), n))
		}
		r := Recognition{Choice: c.choice(), Fitting: n, Lines: len(lines)}
		if r.Choice == prefer && 2*n > len(lines) {
			return r, c, nil
		}
		if n > best.Fitting {
			best, winner = r, c
		}
	}
	if 2*best.Fitting <= len(lines) {
		found := ""
		if len(tried) > 0 {
			found = " (" + strings.Join(tried, ", ") + ")"
		}
		return Recognition{}, candidate{}, fmt.Errorf("no format fits more than half of the first %d lines%s; name the "+
			"format, and its template if it is not the default, or describe a JSON log by a mapping", len(lines), found)
	}
	return best, winner, nil
}

// headLines returns the lines to look at that are not empty. A last one without a break counts only if it is alone.
func headLines(head []byte) (lines [][]byte) {
	cut := len(head) > AutoBytes
	head = head[:min(len(head), AutoBytes)]
	for len(head) > 0 && len(lines) < AutoLines {
		line, rest, whole := bytes.Cut(head, []byte{'\n'})
		head = rest
		if !whole && (len(lines) > 0 || cut) {
			break
		}
		if line = access.Unwrap(bytes.TrimRight(line, "\r")); len(line) > 0 {
			lines = append(lines, line)
		}
	}
	return lines
}

// autoParser decides when the first line comes, and goes on as the parser of what it has recognised.
type autoParser struct {
	settings source.Settings
	options  Options
	parser   source.Parser
	// tries counts lines while nothing fits; at is the one at which to look again.
	tries, at int
	full      bool
}

var errUnrecognised error = &source.Error{Reason: source.OtherFormat}

func newAuto(s source.Settings, o Options) (source.Parser, error) {
	if o.Auto == nil {
		o.Auto = &AutoOptions{}
	}
	p := &autoParser{settings: s, options: o}
	for _, c := range candidates() {
		if c.choice() == o.Auto.Choice {
			return p.choose(c)
		}
	}
	return p, nil
}

// choose returns the parser of c, with those options that c knows.
func (p *autoParser) choose(c candidate) (source.Parser, error) {
	o := c.format.known(p.options)
	o.Template = c.template
	parser, err := c.format.make(p.settings, o)
	if err != nil {
		return nil, err
	}
	return headed{parser}, nil
}

// Parse implements [source.Parser].
func (p *autoParser) Parse(line []byte, emit func(*event.Event)) error {
	if p.parser == nil && !p.decide(line) {
		return errUnrecognised
	}
	return p.parser.Parse(line, emit)
}

// decide looks at the log's beginning, at ever longer intervals as long as that may grow.
func (p *autoParser) decide(line []byte) bool {
	if p.tries++; p.tries < p.at || p.full {
		return false
	}
	p.at = 2 * p.tries
	head := line
	if p.options.Auto.Head != nil {
		head = p.options.Auto.Head()
	}
	r, c, err := recognise(head, p.options.Auto.Prefer)
	if err == nil {
		p.parser, err = p.choose(c)
	}
	if err != nil {
		p.full = len(head) >= AutoBytes || len(headLines(head)) >= AutoLines
		if p.options.Auto.Unrecognised != nil {
			p.options.Auto.Unrecognised(err)
		}
		return false
	}
	if adviser, ok := p.parser.(source.Adviser); ok {
		r.Advice = adviser.Advice()
	}
	p.options.Auto.Choice = r.Choice
	if p.options.Auto.Recognised != nil {
		p.options.Auto.Recognised(r)
	}
	return true
}
