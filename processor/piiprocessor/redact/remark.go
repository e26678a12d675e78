package redact

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
