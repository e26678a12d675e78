package audit

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// Row is one line of labelled data: an event with labels, or a text with spans.
type Row struct {
	ID string `json:"id"`

	Attrs  map[string]any `json:"attrs"`
	Body   string         `json:"body"`
	Labels []Label        `json:"labels"`
	// Safe are values that must survive.
	Safe []string `json:"safe"`

	Text  string `json:"text"`
	Spans []Span `json:"spans"`
	// NegFor is the type that the text looks like and is not.
	NegFor string `json:"neg_for"`
	// Rule is the rule of the software that the text comes from.
	Rule string `json:"rule"`
	// Region and Format are those of a telephone number.
	Region string `json:"region"`
	Format string `json:"format"`
}

// Label is a value of an event that must go.
type Label struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// Span is a part of a text that must go, in bytes.
type Span struct {
	Type  string `json:"type"`
	Start int    `json:"start"`
	End   int    `json:"end"`
	// Whole says that the text is the value and nothing around it says what it is.
	Whole bool `json:"whole"`
}

// maxLine is the longest line that is read.
const maxLine = 8 << 20

// Rows returns the rows of r, which is plain or gzip. A line that is no row ends it with an error that names the line
// and quotes nothing.
func Rows(r io.Reader) iter.Seq2[*Row, error] {
	return func(yield func(*Row, error) bool) {
		in := bufio.NewReader(r)
		var text io.Reader = in
		if head, _ := in.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
			z, err := gzip.NewReader(in)
			if err != nil {
				yield(nil, fmt.Errorf("not gzip: %w", err))
				return
			}
			text = z
		}
		lines := bufio.NewScanner(text)
		lines.Buffer(nil, maxLine)
		n := 0
		for lines.Scan() {
			n++
			line := bytes.TrimSpace(lines.Bytes())
			if len(line) == 0 {
				continue
			}
			row, err := parse(line)
			if err != nil {
				yield(nil, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if !yield(row, nil) {
				return
			}
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(nil, fmt.Errorf("line %d: longer than %d bytes", n+1, maxLine))
		case err != nil:
			yield(nil, fmt.Errorf("line %d: %w", n+1, err))
		}
	}
}

var errNoRow = errors.New(
	`not a labelled row: want a JSON object {"text":…,"spans":[…]} or {"attrs":{…},"labels":[…],"safe":[…]}`)

func parse(line []byte) (*Row, error) {
	row := &Row{}
	// UseNumber: a count must not become a float.
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	// The decoder's errors quote what they read.
	if d.Decode(row) != nil || d.More() {
		return nil, errNoRow
	}
	if row.Text == "" && row.NegFor == "" && row.Spans == nil && row.Attrs == nil && row.Body == "" {
		return nil, errNoRow
	}
	for i, s := range row.Spans {
		if s.Start < 0 || s.End <= s.Start || s.End > len(row.Text) {
			return nil, fmt.Errorf("spans[%d]: want byte offsets 0 <= start < end <= %d, got %d and %d",
				i, len(row.Text), s.Start, s.End)
		}
	}
	for i, l := range row.Labels {
		if l.Value == "" {
			return nil, fmt.Errorf("labels[%d]: has no value", i)
		}
	}
	return row, nil
}

// Record fills lr with the row: an event's attributes and body, or a text as the body.
func (row *Row) Record(lr plog.LogRecord) {
	if row.Attrs == nil && row.Body == "" {
		lr.Body().SetStr(row.Text)
		return
	}
	lr.SetEventName("websocket.open")
	lr.Attributes().EnsureCapacity(len(row.Attrs) + 1)
	fill(lr.Attributes(), row.Attrs)
	if row.Body != "" {
		lr.Body().SetStr(row.Body)
	}
}

// fill puts members in a fixed order.
func fill(m pcommon.Map, members map[string]any) {
	for _, k := range slices.Sorted(maps.Keys(members)) {
		set(m.PutEmpty(k), members[k])
	}
}

func set(v pcommon.Value, raw any) {
	switch raw := raw.(type) {
	case string:
		v.SetStr(raw)
	case bool:
		v.SetBool(raw)
	case json.Number:
		if n, err := raw.Int64(); err == nil {
			v.SetInt(n)
		} else if f, err := raw.Float64(); err == nil {
			v.SetDouble(f)
		} else {
			v.SetStr(raw.String())
		}
	case map[string]any:
		fill(v.SetEmptyMap(), raw)
	case []any:
		list := v.SetEmptySlice()
		for _, item := range raw {
			set(list.AppendEmpty(), item)
		}
	}
}

// words yields the words of the text and whether a span touches them.
func (row *Row) words(yield func(word string, covered bool) bool) {
	start := -1
	emit := func(end int) bool {
		from := start
		start = -1
		if from < 0 {
			return true
		}
		touches := func(s Span) bool { return s.Start < end && from < s.End }
		return yield(row.Text[from:end], slices.ContainsFunc(row.Spans, touches))
	}
	for i := 0; i < len(row.Text); {
		c, n := utf8.DecodeRuneInString(row.Text[i:])
		if unicode.IsSpace(c) {
			if !emit(i) {
				return
			}
		} else if start < 0 {
			start = i
		}
		i += n
	}
	emit(len(row.Text))
}
