package redact

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Remark says what was done and why, never to what.
type Remark struct {
	Rule   Rule
	Action Action
	// Start and End are bytes of the value as it came in. Both are -1 where the whole value is meant, or a place that
	// cannot be told because of what was done before.
	Start, End int
}

// Explain makes the Scanner keep remarks until it is released.
func (s *Scanner) Explain() { s.explain = true }

// TakeRemarks returns the remarks since the last call.
func (s *Scanner) TakeRemarks() []Remark {
	taken := s.remarks
	s.remarks = nil
	return taken
}

func (s *Scanner) remark(r Rule, a Action, start, end int) {
	if end < start || s.base < 0 {
		s.remarks = append(s.remarks, Remark{r, a, -1, -1})
		return
	}
	s.remarks = append(s.remarks, Remark{r, a, s.base + start, s.base + end})
}

// shift says that the text looked at next begins n bytes further on, and returns what to set base to afterwards.
func (s *Scanner) shift(n int) (before int) {
	before = s.base
	if before >= 0 {
		s.base += n
	}
	return before
}

// ShowsKey reports whether the text of a key may be shown. A sender chose it, as he chose the value.
func (s *Scanner) ShowsKey(key string) bool { return s.keyTextOK(key) }

// Counts says how often each rule took each action.
type Counts = [RuleCount][ActionCount]uint32

// maxRemarks bounds what [FormatRemarks] lists.
const maxRemarks = 16

// FormatRemarks returns what was done as text without a value or a key: "ip:truncate:1,query_parameter:mask:2". Custom
// rules are summed up as "custom:mask:1", since whoever reads it need not have them, and what is over maxRemarks as
// "other:drop:3".
func FormatRemarks(counts Counts) string {
	var b []byte
	n := 0
	var others [ActionCount]uint64
	for a, count := range counts[ruleNone] {
		others[a] = uint64(count)
	}
	entry := func(rule string, action int, count uint64) {
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, rule...), ':'), actionNames[action]...)
		b = strconv.AppendUint(append(b, ':'), min(count, math.MaxUint32), 10)
	}
	for r := custom0 + 1; r < RuleCount; r++ {
		for a, count := range counts[r] {
			counts[custom0][a] = uint32(min(uint64(counts[custom0][a])+uint64(count), math.MaxUint32))
		}
	}
	for r := ruleNone + 1; r <= custom0; r++ {
		for a, count := range counts[r] {
			switch {
			case count == 0:
			case n < maxRemarks:
				n++
				entry(r.String(), a, uint64(count))
			default:
				others[a] += uint64(count)
			}
		}
	}
	for a, count := range others {
		if count > 0 {
			entry(ruleNames[ruleNone], a, count)
		}
	}
	return string(b)
}

// ParseRemarks reads what [FormatRemarks] wrote. Not ok means that the text is anything else.
func ParseRemarks(text string) (counts Counts, ok bool) {
	if len(text) > maxRemarksBytes {
		return counts, false
	}
	for entry := range strings.SplitSeq(text, ",") {
		rule, rest, _ := strings.Cut(entry, ":")
		action, digits, _ := strings.Cut(rest, ":")
		r := slices.Index(ruleNames[:custom0+1], rule)
		a, known := ActionOf(action)
		n, err := strconv.ParseUint(digits, 10, 32)
		if r < 0 || !known || err != nil || n == 0 || digits[0] == '0' {
			return Counts{}, false
		}
		counts[r][a] = uint32(min(uint64(counts[r][a])+n, math.MaxUint32))
	}
	return counts, true
}

const maxRemarksBytes = 1024
