// Package audit measures a redactor on labelled data: what of the labelled values is gone, and what that had to stay
// has stayed. It knows nothing of how a redactor works, so that any can be measured in the same way.
//
// It keeps no value: a Report holds types and numbers only.
package audit

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"
)

// Share is how many of Total did what they should.
type Share struct {
	Count int `json:"count"`
	Total int `json:"total"`
}

// Percent is the share in percent, and 100 where there is nothing to count.
func (s Share) Percent() float64 {
	if s.Total == 0 {
		return 100
	}
	return 100 * float64(s.Count) / float64(s.Total)
}

func (s *Share) add(ok bool) {
	s.Total++
	if ok {
		s.Count++
	}
}

// Type is the result for one type of value.
type Type struct {
	Type string `json:"type"`
	// Gone is the recall: values of which at most 60 % survive in one piece.
	Gone Share `json:"gone"`
	// LookAlikes are texts that must not be taken for the type and came through unchanged.
	LookAlikes Share `json:"look_alikes_kept"`
}

// Precision is the share of what was taken for the type that is of the type, as far as look-alikes show it.
func (t Type) Precision() float64 {
	lost := t.LookAlikes.Total - t.LookAlikes.Count
	return Share{t.Gone.Count, t.Gone.Count + lost}.Percent()
}

// Report is what an audit found.
type Report struct {
	Rows  int    `json:"rows"`
	Types []Type `json:"types"`
	// SafeKept counts the values of events that must survive and did.
	SafeKept Share `json:"safe_kept"`
	// WordsKept counts the words of texts with spans that no span covers and that did survive.
	WordsKept Share `json:"words_kept"`
}

// Type returns the result for a type, empty where the data has none.
func (r *Report) Type(name string) Type {
	for _, t := range r.Types {
		if t.Type == name {
			return t
		}
	}
	return Type{Type: name}
}

// Auditor adds up the results of one redactor. It is for one goroutine.
type Auditor struct {
	redact func(plog.Logs)
	types  map[string]*Type
	report Report
}

// New returns an Auditor of redact, which changes data in place.
func New(redact func(plog.Logs)) *Auditor {
	return &Auditor{redact: redact, types: map[string]*Type{}}
}

func (a *Auditor) typ(name string) *Type {
	t := a.types[name]
	if t == nil {
		t = &Type{Type: name}
		a.types[name] = t
	}
	return t
}

// Add redacts a row and judges what is left.
func (a *Auditor) Add(row *Row) {
	a.report.Rows++
	ld := plog.NewLogs()
	lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	row.Record(lr)
	before := Flat(lr)
	a.redact(ld)
	after := flatLogs(ld)
	for _, l := range row.Labels {
		a.value(after, l.Value, l.Type)
	}
	for _, v := range row.Safe {
		if strings.Contains(before, v) {
			a.report.SafeKept.add(strings.Contains(after, v))
		}
	}
	for _, s := range row.Spans {
		a.value(after, row.Text[s.Start:s.End], s.Type)
	}
	if row.NegFor != "" {
		a.typ(row.NegFor).LookAlikes.add(after == row.Text)
	}
	if len(row.Spans) > 0 && row.NegFor == "" {
		for word, covered := range row.words {
			if !covered {
				a.report.WordsKept.add(strings.Contains(after, word))
			}
		}
	}
}

func (a *Auditor) value(after, value, typ string) {
	if isAddress(typ) && nobodys(value) {
		return
	}
	a.typ(typ).Gone.add(!Survives(after, value, typ))
}

func isAddress(typ string) bool { return typ == "IPV4" || typ == "IPV6" }

// nobodys reports whether value is an address that says nothing of a person: loopback, unspecified, broadcast, or the
// name of a network. They are not counted.
func nobodys(value string) bool {
	address, _, network := strings.Cut(value, "/")
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.WithZone("").Prefix(bits)
	return err == nil && (network || a.IsLoopback() || a.IsUnspecified() || address == "255.255.255.255" || p.Addr() == a)
}

// Report returns the results so far, types in alphabetical order.
func (a *Auditor) Report() *Report {
	r := a.report
	for _, t := range a.types {
		r.Types = append(r.Types, *t)
	}
	slices.SortFunc(r.Types, func(a, b Type) int { return cmp.Compare(a.Type, b.Type) })
	return &r
}

// Flat is all that a record carries, as one text.
func Flat(lr plog.LogRecord) string {
	var b strings.Builder
	for k, v := range lr.Attributes().All() {
		fmt.Fprintf(&b, "%s=%s\n", k, v.AsString())
	}
	b.WriteString(lr.Body().AsString())
	return b.String()
}

func flatLogs(ld plog.Logs) string {
	var b strings.Builder
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				b.WriteString(Flat(lr))
			}
		}
	}
	return b.String()
}

// shortest is the length from which a part of a value says something. Three letters of a first name stand in many
// words.
const shortest = 8

// Survives reports whether more than 60 % of value stands in text in one piece. An address that lost its last octet or
// its host part does not survive, although its network is longer than that.
func Survives(text, value, typ string) bool {
	if isAddress(typ) {
		return strings.Contains(text, value)
	}
	if len(value) < shortest {
		return wholeWord(text, value)
	}
	n := len(value)*6/10 + 1
	for i := 0; i+n <= len(value); i++ {
		if strings.Contains(text, value[i:i+n]) {
			return true
		}
	}
	return false
}

// wholeWord reports whether value stands in text with no letter or digit beside it.
func wholeWord(text, value string) bool {
	for at := 0; ; {
		i := strings.Index(text[at:], value)
		if i < 0 {
			return false
		}
		start, end := at+i, at+i+len(value)
		if (start == 0 || !isWord(text[start-1])) && (end == len(text) || !isWord(text[end])) {
			return true
		}
		at = start + 1
	}
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// Merge adds the results of other reports, as if one Auditor had seen all rows.
func Merge(reports ...*Report) *Report {
	sum, types := &Report{}, map[string]Type{}
	for _, r := range reports {
		sum.Rows += r.Rows
		sum.SafeKept.plus(r.SafeKept)
		sum.WordsKept.plus(r.WordsKept)
		for _, t := range r.Types {
			all := types[t.Type]
			all.Type = t.Type
			all.Gone.plus(t.Gone)
			all.LookAlikes.plus(t.LookAlikes)
			types[t.Type] = all
		}
	}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		sum.Types = append(sum.Types, types[name])
	}
	return sum
}

func (s *Share) plus(o Share) {
	s.Count += o.Count
	s.Total += o.Total
}
