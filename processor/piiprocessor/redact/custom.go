package redact

import (
	"bytes"
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"
	"time"

	"github.com/wasilibs/go-re2"
)

// Bounds of custom rules. RE2 takes time linear in the text; what it may need for one byte grows with the program.
const (
	MaxCustomRules     = 32
	MaxPatternBytes    = 1024
	MaxKeywords        = 16
	maxProgram         = 1000
	maxRanges          = 20_000
	maxMatches         = 1000
	maxCustomName      = 32
	shortestKeyword    = 3
	customMask         = "[custom]"
	defaultCustomTime  = 50 * time.Millisecond
	longestPlaceInText = 64
)

// CustomRule finds what only its author can know: numbers of customers, names of internal hosts.
type CustomRule struct {
	// Name is what metrics and remarks call the rule.
	Name string
	// Pattern is a regular expression in RE2's syntax.
	Pattern string
	// Keywords are texts one of which a value must have for the pattern to be tried, whatever the case of their ASCII
	// letters. Empty means that every value is tried.
	Keywords []string
	// Group is the number of the group that is the value; 0 is the whole match.
	Group int
	// Action is Mask, Hash or Drop; Drop drops the whole value in which something is found.
	Action Action
}

// CustomActions are what may be done about a custom rule's finds.
func CustomActions() []Action { return []Action{Mask, Hash, Drop} }

// Check returns all faults of the rule, each beginning with the field. It quotes nothing but the rule.
func (c *CustomRule) Check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !customName(c.Name) {
		fault("name: must be 1 to %d lower-case letters, digits and _ and begin with a letter", maxCustomName)
	}
	for _, n := range ruleNames {
		if n == c.Name && n != "" {
			fault("name: %q is the name of a detector", n)
		}
	}
	if len(c.Keywords) > MaxKeywords {
		fault("keywords: at most %d, got %d", MaxKeywords, len(c.Keywords))
	}
	for _, k := range c.Keywords {
		if len(k) < shortestKeyword || len(k) > MaxPatternBytes {
			fault("keywords: %q must have %d to %d bytes", k, shortestKeyword, MaxPatternBytes)
		}
	}
	if err := c.checkPattern(); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func (c *CustomRule) checkPattern() error {
	if c.Pattern == "" || len(c.Pattern) > MaxPatternBytes {
		return fmt.Errorf("pattern: must have 1 to %d bytes, got %d", MaxPatternBytes, len(c.Pattern))
	}
	// The standard library knows the same syntax and says where it is broken.
	parsed, err := syntax.Parse(c.Pattern, syntax.Perl)
	if err != nil {
		var broken *syntax.Error
		if !errors.As(err, &broken) {
			return errors.New("pattern: is no regular expression")
		}
		at := max(strings.LastIndex(c.Pattern, broken.Expr), 0)
		place := broken.Expr[:min(len(broken.Expr), longestPlaceInText)]
		return fmt.Errorf("pattern: byte %d: %s: %q", at+1, broken.Code, place)
	}
	if c.Group < 0 || c.Group > parsed.MaxCap() {
		return fmt.Errorf("group: the pattern has %d groups, got %d", parsed.MaxCap(), c.Group)
	}
	if shortest(parsed) == 0 {
		return errors.New("pattern: matches the empty string, so it would match everywhere")
	}
	if g := group(parsed, c.Group); g != nil && shortest(g) == 0 {
		return fmt.Errorf("group: group %d matches the empty string", c.Group)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return errors.New("pattern: is no regular expression")
	}
	if len(program.Inst) > maxProgram {
		return fmt.Errorf("pattern: compiles to %d instructions, at most %d are allowed; repeat less",
			len(program.Inst), maxProgram)
	}
	// RE2 works on bytes: each range of characters beyond ASCII becomes several instructions, and classes such as \pL have
	// hundreds of them.
	ranges := 0
	for i := range program.Inst {
		ranges += len(program.Inst[i].Rune)
	}
	if ranges > maxRanges {
		return fmt.Errorf("pattern: its classes of characters come to %d ranges, at most %d are allowed; repeat less",
			ranges/2, maxRanges/2)
	}
	if _, err := re2.Compile(c.Pattern); err != nil {
		return fmt.Errorf("pattern: RE2 does not take it: %w", err)
	}
	return nil
}

func customName(name string) bool {
	if name == "" || len(name) > maxCustomName || !isLower(name[0]) {
		return false
	}
	for i := range len(name) {
		if !isLower(name[i]) && !isDigit(name[i]) && name[i] != '_' {
			return false
		}
	}
	return true
}

// shortest returns how many characters a match of re has at least.
func shortest(re *syntax.Regexp) (n int) {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1
	case syntax.OpCapture, syntax.OpPlus:
		return shortest(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min * shortest(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			n += shortest(sub)
		}
	case syntax.OpAlternate:
		n = shortest(re.Sub[0])
		for _, sub := range re.Sub[1:] {
			n = min(n, shortest(sub))
		}
	}
	return n
}

// group returns the group of that number in re.
func group(re *syntax.Regexp, number int) *syntax.Regexp {
	if re.Op == syntax.OpCapture && re.Cap == number {
		return re
	}
	for _, sub := range re.Sub {
		if g := group(sub, number); g != nil {
			return g
		}
	}
	return nil
}

// Custom returns the place of a custom rule among the settings' rules. Not ok means that r is one of ours.
func (r Rule) Custom() (place int, ok bool) { return int(r) - int(custom0), r >= custom0 }

// Name returns the name of r, which may be a custom rule of this engine.
func (e *Engine) Name(r Rule) string {
	if i, ok := r.Custom(); ok && i < len(e.custom) {
		return e.custom[i].name
	}
	return r.String()
}

// compiledRule is a custom rule as it is used. One without a pattern drops what it is asked about.
type compiledRule struct {
	name     string
	pattern  *re2.Regexp
	group    int
	keywords [][]byte
	rule     Rule
}

// compileRules compiles rules that Check accepts, and sets their actions.
func (e *Engine) compileRules(rules []CustomRule) {
	for i, r := range rules[:min(len(rules), MaxCustomRules)] {
		c := compiledRule{name: r.Name, group: r.Group, rule: custom0 + Rule(i)}
		if r.checkPattern() == nil {
			c.pattern = re2.MustCompile(r.Pattern)
		}
		for _, k := range r.Keywords {
			c.keywords = append(c.keywords, appendLower(nil, k))
		}
		e.custom = append(e.custom, c)
		e.actions[c.rule] = r.Action
	}
}

func appendLower(dst []byte, v string) []byte {
	for i := range len(v) {
		dst = append(dst, lower(v[i]))
	}
	return dst
}

// customRules adds what the custom rules find in v. A value for which there is no time left, or in which too much is
// found, is not judged to the end, and so dropped.
func (s *Scanner) customRules(v string) {
	lowered := false
	for i := range s.e.custom {
		c := &s.e.custom[i]
		if len(c.keywords) > 0 {
			if !lowered {
				s.lowered, lowered = appendLower(s.lowered[:0], v), true
			}
			if !containsAny(s.lowered, c.keywords) {
				continue
			}
		}
		if c.pattern == nil {
			s.doom(Panic)
			return
		}
		if s.customTime >= s.e.settings.CustomTime {
			s.doom(Budget)
			return
		}
		start := s.e.now()
		matches := c.pattern.FindAllStringSubmatchIndex(v, maxMatches)
		s.customTime += s.e.now().Sub(start)
		if len(matches) == maxMatches {
			s.doom(Budget)
			return
		}
		for _, m := range matches {
			from, to := m[2*c.group], m[2*c.group+1]
			if from < 0 {
				// The group took no part; then the whole match is what was found.
				from, to = m[0], m[1]
			}
			if from == to || inMask(v, from, to) {
				continue
			}
			s.add(from, to, c.rule)
			if s.e.actions[c.rule] == Drop {
				s.doom(c.rule)
			}
		}
	}
}

func containsAny(v []byte, keywords [][]byte) bool {
	for _, k := range keywords {
		if bytes.Contains(v, k) {
			return true
		}
	}
	return false
}

// inMask reports whether v[start:end] is a mask or a part of one, which an earlier look put there.
func inMask(v string, start, end int) bool {
	if masked(v[start:end]) {
		return true
	}
	const longest = len("[national-id]")
	from := strings.LastIndexByte(v[max(0, start-longest):min(len(v), start+1)], '[')
	if from < 0 {
		return false
	}
	from += max(0, start-longest)
	mask := upTo(v[from:min(len(v), from+longest)], ']')
	return isMask(mask) && end <= from+len(mask)
}

// doom notes that the value must go, and why.
func (s *Scanner) doom(r Rule) {
	if s.doomed == ruleNone {
		s.doomed = r
	}
}

// ifDoomed drops a value that was found to have to go while it was treated.
func (s *Scanner) ifDoomed(out string, verdict Verdict) (string, Verdict) {
	if s.doomed == ruleNone {
		return out, verdict
	}
	if verdict != Dropped {
		s.count(s.doomed, Drop)
	}
	return "", Dropped
}
