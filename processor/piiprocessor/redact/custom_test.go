package redact

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func withRules(rules ...CustomRule) func(*Settings) {
	return func(s *Settings) { s.Rules = rules }
}

func TestCustomRules(t *testing.T) {
	t.Parallel()
	customer := CustomRule{Name: "customer", Pattern: `\bC-\d{4}\b`}
	for name, tt := range map[string]struct {
		rules    []CustomRule
		in, want string
	}{
		"a match":                        {[]CustomRule{customer}, "order of C-1234, C-99", "order of [custom], C-99"},
		"all of the text":                {[]CustomRule{customer}, "C-1234", "[custom]"},
		"behind an encoding":             {[]CustomRule{customer}, "q=C%2D1234", "q=[custom]"},
		"in a message with a form":       {[]CustomRule{customer}, "SEND\ndestination:/a\n\nfor C-1234\x00", "SEND\ndestination:/a\n\nfor [custom]\x00"},
		"a group":                        {[]CustomRule{{Name: "desk", Pattern: `desk (\d+)`, Group: 1}}, "at desk 17 now", "at desk [custom] now"},
		"a group that took no part":      {[]CustomRule{{Name: "desk", Pattern: `desk|seat (\d+)`, Group: 1}}, "a desk", "a [custom]"},
		"a keyword that is there":        {[]CustomRule{{Name: "k", Pattern: `\d{4}`, Keywords: []string{"Kunde"}}}, "KUNDE 1234", "KUNDE [custom]"},
		"a keyword that is not there":    {[]CustomRule{{Name: "k", Pattern: `\d{4}`, Keywords: []string{"kunde"}}}, "room 1234", "room 1234"},
		"a detector's find inside":       {[]CustomRule{{Name: "w", Pattern: `<.*>`}}, "to <ann@example.com> x", "to [custom] x"},
		"a secret that is hashed no way": {[]CustomRule{{Name: "w", Pattern: `password=\w+`, Action: Hash}}, "password=hunter2 x", "[secret] x"},
		"a match that is dropped":        {[]CustomRule{{Name: "w", Pattern: `internal`, Action: Drop}}, "an internal host", ""},
		"everything":                     {[]CustomRule{{Name: "w", Pattern: `\S+`}}, "a b", "[custom] [custom]"},
		"what would match a mask":        {[]CustomRule{{Name: "w", Pattern: `custom|mail`}}, "ann@example.com customs", "[email] [custom]s"},
		"two rules":                      {[]CustomRule{customer, {Name: "d", Pattern: `D-\d+`}}, "C-1234 D-5", "[custom] [custom]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, r := range tt.rules {
				require.NoError(t, r.Check())
			}
			s := scanner(t, withRules(tt.rules...))
			got, verdict := s.Text(tt.in)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.want == "", verdict == Dropped)
			again, _ := s.Text(got)
			require.Equal(t, got, again, "redacting twice")
		})
	}
}

func TestCustomRulesOfOneEngineHaveTheirOwnPseudonymsAndCounts(t *testing.T) {
	t.Parallel()
	s := scanner(t, withRules(
		CustomRule{Name: "one", Pattern: `A-\d+`, Action: Hash}, CustomRule{Name: "two", Pattern: `B-\d+`, Action: Hash}))
	s.Explain()
	got, _ := s.Text("A-1 B-1")
	first, second, ok := strings.Cut(got, " ")
	require.True(t, ok)
	require.True(t, IsPseudonym(first) && IsPseudonym(second), got)
	remarks := s.TakeRemarks()
	require.Len(t, remarks, 2)
	require.Equal(t, "one", s.e.Name(remarks[0].Rule))
	require.Equal(t, "two", s.e.Name(remarks[1].Rule))
	require.Equal(t, 4, remarks[1].Start)
	require.EqualValues(t, 1, s.Counts[custom0+1][Hash])
	require.Equal(t, "email", s.e.Name(Email))

	other, _ := scanner(t, withRules(CustomRule{Name: "two", Pattern: `A-\d+`, Action: Hash})).Text("A-1")
	require.NotEqual(t, first, other, "the rule's name is part of the key")
	masked, _ := scanner(t, withRules(CustomRule{Name: "one", Pattern: `A-\d+`, Action: Hash}),
		func(s *Settings) { s.Key = nil }).Text("A-1")
	require.Equal(t, "[custom]", masked, "without a key a hash becomes a mask, never the value")
}

// TestCustomRulesHaveABudget: what cannot be judged in time is dropped, and the next record begins anew.
func TestCustomRulesHaveABudget(t *testing.T) {
	t.Parallel()
	s := scanner(t, withRules(CustomRule{Name: "w", Pattern: `zzz`, Keywords: []string{"look"}}))
	clock := time.Unix(0, 0)
	s.e.now = func() time.Time { clock = clock.Add(30 * time.Millisecond); return clock }
	for i, want := range []Verdict{Kept, Kept, Dropped, Dropped} {
		_, verdict := s.Text("look here " + strings.Repeat("x", i))
		require.Equal(t, want, verdict, i)
	}
	_, verdict := s.Text("a value without the keyword")
	require.Equal(t, Kept, verdict)
	require.EqualValues(t, 2, s.Counts[Budget][Drop])
	out, _ := s.SubprotocolItem("look.here", false)
	require.Equal(t, Redacted, out)
	s.SetTime(time.Unix(0, 0))
	_, verdict = s.Text("look here again")
	require.Equal(t, Kept, verdict)

	s = scanner(t, withRules(CustomRule{Name: "w", Pattern: `x`}))
	_, verdict = s.Text(strings.Repeat("x ", maxMatches))
	require.Equal(t, Dropped, verdict, "too many matches to be sure that they are all")
}

func TestCustomRulesThatAreWrong(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rule CustomRule
		want string
	}{
		"no name":                 {CustomRule{Pattern: "x"}, "name: must be 1 to 32 lower-case letters"},
		"a name with a space":     {CustomRule{Name: "a b", Pattern: "x"}, "name: must be"},
		"a detector's name":       {CustomRule{Name: "email", Pattern: "x"}, `name: "email" is the name of a detector`},
		"no pattern":              {CustomRule{Name: "a"}, "pattern: must have 1 to 1024 bytes, got 0"},
		"a long pattern":          {CustomRule{Name: "a", Pattern: strings.Repeat("x", 1025)}, "got 1025"},
		"an open bracket":         {CustomRule{Name: "a", Pattern: `ab[c`}, "pattern: byte 3: missing closing ]: \"[c\""},
		"a look behind":           {CustomRule{Name: "a", Pattern: `a(?<!b)c`}, "pattern: byte 2: invalid"},
		"a back reference":        {CustomRule{Name: "a", Pattern: `(a)\1`}, "pattern: byte 4: invalid escape sequence"},
		"the empty string":        {CustomRule{Name: "a", Pattern: `x*`}, "pattern: matches the empty string"},
		"a place only":            {CustomRule{Name: "a", Pattern: `\b(?:x|)`}, "pattern: matches the empty string"},
		"a group that is empty":   {CustomRule{Name: "a", Pattern: `x(y*)`, Group: 1}, "group: group 1 matches the empty string"},
		"a group too many":        {CustomRule{Name: "a", Pattern: `x(y)`, Group: 2}, "group: the pattern has 1 groups, got 2"},
		"a program that is large": {CustomRule{Name: "a", Pattern: `(?:[a-z]{20}x){50}`}, "pattern: compiles to"},
		"classes that are large":  {CustomRule{Name: "a", Pattern: `(?:\pL{20}x){30}`}, "pattern: its classes of characters come to"},
		"a short keyword":         {CustomRule{Name: "a", Pattern: "x", Keywords: []string{"a"}}, `keywords: "a" must have 3`},
		"many keywords":           {CustomRule{Name: "a", Pattern: "x", Keywords: make([]string, 17)}, "keywords: at most 16, got 17"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, tt.rule.Check(), tt.want)
		})
	}
	s := scanner(t, withRules(CustomRule{Name: "a", Pattern: `(`}))
	_, verdict := s.Text("x")
	require.Equal(t, Dropped, verdict, "a rule that cannot be used lets nothing pass")
}

// FuzzCustomRules: whatever a rule and a text are, nothing panics, redacting twice changes nothing.
func FuzzCustomRules(f *testing.F) {
	for _, pattern := range []string{`C-\d+`, `\S+`, `(?i)kunde ([a-z]+)`, `.`, `\[[a-z]+`, `custom`, `a|b`, `"[^"]*"`, `x+?`, `\x{e9}`} {
		for _, text := range seeds[:12] {
			f.Add(pattern, text)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, in string) {
		rule := CustomRule{Name: "w", Pattern: pattern}
		if len(in) > 1024 || len(pattern) > 64 || rule.Check() != nil {
			return
		}
		s := scanner(t, withRules(rule), func(s *Settings) { s.CustomTime = time.Minute })
		out, verdict := s.Text(in)
		if s.Counts[Panic] != [ActionCount]uint32{} {
			t.Fatalf("panic for %q in %q", pattern, in)
		}
		if verdict == Dropped {
			return
		}
		if twice, _ := s.Text(out); twice != out {
			t.Fatalf("%q: not idempotent: %q → %q → %q", pattern, in, out, twice)
		}
	})
}
