package redact

import (
	"cmp"
	"hash"
	"slices"
	"strings"
	"time"
)

// flavour says what kind of text is scanned, which decides what numbers may mean in it.
type flavour uint8

const (
	// plain text: all detectors.
	plain flavour = iota
	// infrastructure: names of hosts, services and files, where addresses are the operator's own and numbers with
	// dots are versions.
	infrastructure
	// agent: a User-Agent, whose products carry versions.
	agent
)

// find is one value to remove: t[start:end].
type find struct {
	start, end int
	rule       Rule
	// united says that finds of several rules became one, for which action stands and not the rule's.
	united bool
	action Action
}

// Scanner applies an [Engine] to values. It keeps scratch memory and counts, and is for one goroutine at a time: take
// it from [Engine.Scanner] and give it back with [Scanner.Release].
type Scanner struct {
	e     *Engine
	finds []find
	out   []byte
	// results holds what is returned; pairs is scratch for a query.
	results arena
	pairs   []byte
	sum     []byte
	text    []byte
	macs    map[macKey]hash.Hash
	// judged remembers keys in no table, which repeat from record to record.
	judged map[string]judged
	epoch  int64
	// tenant is whose data it is; pans and sealed are for pseudonyms that keep prefixes and for tokens.
	tenant   string
	tenantID uint32
	tenants  map[string]uint32
	pans     map[macKey]*pan
	sealed   []byte
	made     []find
	// ring has the keys of epochs, if each has its own.
	ring *ring
	// How far a value under a telling key, a query and a run of base64 reach that the pass has seen to the end. What
	// stands inside does not go to the end again, so that no text takes time quadratic in its length.
	keyedEnd, queryEnd, runEnd int
	// kept and addresses are what repeats in one piece of data; see memo.go.
	kept      [keptSlots]keptValue
	addresses [addressSlots]addressResult
	used      bool
	// explain keeps remarks; base is where the text that is looked at begins in the value, or less than 0 where that
	// cannot be said any more.
	explain bool
	base    int
	remarks []Remark
	// json are parts of the text that are JSON, and bodyDepth is how deep forms are inside forms; see body.go.
	json      []textRange
	bodyDepth int
	// doomed says why the value that is looked at must go; customTime is what custom rules took for this record, and
	// lowered is scratch of theirs.
	doomed     Rule
	customTime time.Duration
	lowered    []byte
	// counted is the sum of Counts, by which a treatment is seen to count nothing.
	counted uint32
	// Counts holds how often each rule took each action since the Scanner was taken.
	Counts [RuleCount][ActionCount]uint32
}

func (s *Scanner) count(r Rule, a Action) { s.countRange(r, a, 0, -1) }

// countRange is count with the part of the value that is meant; an end before the start means all of it.
func (s *Scanner) countRange(r Rule, a Action, start, end int) {
	s.Counts[r][a]++
	s.counted++
	if s.explain {
		s.remark(r, a, start, end)
	}
}

// CountDrop notes that a caller dropped a field for rule.
func (s *Scanner) CountDrop(r Rule) { s.count(r, Drop) }

// CountMask notes that a caller replaced a field for rule.
func (s *Scanner) CountMask(r Rule) { s.count(r, Mask) }

// redact returns v without its finds, or v itself where there are none.
func (s *Scanner) redact(v string, f flavour) string {
	s.finds, s.json, s.bodyDepth = s.finds[:0], s.json[:0], 0
	s.search(v, f)
	if s.doomed != ruleNone {
		return ""
	}
	if len(s.finds) > 0 {
		s.spare(v)
	}
	if len(s.finds) == 0 {
		return v
	}
	return s.rewrite(v)
}

// contains reports whether a detector finds anything in v.
func (s *Scanner) contains(v string, f flavour) bool {
	s.finds, s.json, s.bodyDepth = s.finds[:0], s.json[:0], 0
	doomed := s.doomed
	s.doomed = ruleNone
	s.search(v, f)
	found := len(s.finds) > 0 || s.doomed != ruleNone
	s.doomed = doomed
	s.finds = s.finds[:0]
	return found
}

// maxDecodings bounds how often text is decoded again: %2540 is an "@" after two.
const maxDecodings = 3

// search adds the finds in v.
func (s *Scanner) search(v string, f flavour) {
	if len(s.e.custom) > 0 {
		s.customRules(v)
	}
	if f == plain && len(v) >= minBody && bodyForms[v[0]] != 0 && s.body(v) {
		return
	}
	s.encodedPass(v, f)
}

// encodedPass adds the finds in v as text, also those behind an encoding.
func (s *Scanner) encodedPass(v string, f flavour) {
	if !s.pass(v, f) {
		return
	}
	d := decode(v, nil)
	for range maxDecodings {
		if !d.changed {
			return
		}
		before := len(s.finds)
		again := s.pass(d.text, f)
		if len(s.e.custom) > 0 {
			s.customRules(d.text)
		}
		for i := before; i < len(s.finds); i++ {
			s.finds[i].start, s.finds[i].end = d.source(s.finds[i].start), d.source(s.finds[i].end)
		}
		if !again {
			return
		}
		d = decode(d.text, &d)
	}
}

func (s *Scanner) add(start, end int, r Rule) {
	if end > start && s.e.actions[r] != Off {
		s.finds = append(s.finds, find{start: start, end: end, rule: r})
	}
}

// pass goes once over t and adds what it finds. It reports whether t may hide more behind an encoding.
func (s *Scanner) pass(t string, f flavour) (encoded bool) {
	s.keyedEnd, s.queryEnd, s.runEnd = 0, 0, 0
	for i := 0; i < len(t); {
		switch trigger[t[i]] {
		case tNone:
			i++
		case tDigit:
			i = s.digits(t, i, f)
			if i < len(t) && isDigit(t[i-1]) && isAlpha(t[i]) {
				// What goes on as hexadecimal or base64 has no more numbers in it: one that follows letters begins its word.
				for i < len(t) && inWord[t[i]] {
					i++
				}
			}
		case tAt:
			s.email(t, i, f)
			i++
		case tColon:
			s.keyed(t, i)
			s.userinfo(t, i)
			i = s.colons(t, i, f)
		case tEqual:
			s.keyed(t, i)
			i++
		case tGreater:
			s.element(t, i)
			i++
		case tComma:
			if i > 0 && (t[i-1] == '"' || t[i-1] == '\'') {
				s.argument(t, i)
			}
			i++
		case tDash:
			s.option(t, i)
			i = s.dash(t, i)
		case tUnderscore:
			s.underscore(t, i)
			i++
		case tPlus:
			i = s.plus(t, i, f)
		case tQuestion:
			s.embeddedQuery(t, i)
			i++
		case tDot:
			s.dot(t, i)
			i++
		case tLetter:
			if i+1 < len(t) && letterPairs[t[i]&0x7F][t[i+1]&0x7F] {
				i = s.letter(t, i)
			} else {
				i++
			}
		case tPercent:
			encoded = encoded || i+2 < len(t) && isHex(t[i+1]) && isHex(t[i+2])
			i++
		case tBackslash:
			encoded = encoded || i+1 < len(t) && hides(t, i)
			i++
		case tAmpersand:
			encoded = encoded || i+1 < len(t) && (t[i+1] == '#' || strings.HasPrefix(t[i+1:], "amp;") ||
				strings.HasPrefix(t[i+1:], "quot;") || strings.HasPrefix(t[i+1:], "commat;"))
			i++
		case tHigh:
			encoded = encoded || i+2 < len(t) && (t[i+1] == 0xBC || t[i+1] == 0xBD)
			i++
		}
	}
	return encoded
}

// minRepeated is the shortest secret that is also removed where it stands in the same text without the mark that gave
// it away. Shorter ones are words and numbers that mean other things elsewhere.
const minRepeated = 8

// maxRepeated is how many finds are looked for again; a text with more is a list, not a message.
const maxRepeated = 64

// rewrite returns v with its finds replaced.
func (s *Scanner) rewrite(v string) string {
	s.repeat(v)
	s.merge()
	if f := s.finds[0]; f.start == 0 && f.end == len(v) && s.actionOf(f) == Mask {
		s.countRange(f.rule, Mask, f.start, f.end)
		return masks[f.rule]
	}
	out := s.out[:0]
	at := 0
	for _, f := range s.finds {
		out = append(out, v[at:f.start]...)
		at = f.end
		value := v[f.start:f.end]
		bare := len(out)
		action, ok := s.actionOf(f), false
		switch action {
		case Truncate:
			if out = s.appendTruncated(out, value); string(out[bare:]) == value {
				// A network already.
				continue
			}
			ok = true
		case Hash:
			s.text = normalise(s.text[:0], f.rule, value)
			out, ok = s.appendPseudonym(out, f.rule, s.text)
		case Partial:
			out, ok = appendPartial(out, f.rule, value)
		case PrefixPreserving:
			out, ok = s.appendPrefixed(out, value)
		case Tokenise:
			out, ok = s.appendToken(out, value)
		}
		if !ok {
			action = Mask
			out = append(out, masks[f.rule]...)
		}
		if f.rule != QueryParameter {
			if quote := s.quoteFor(v, f.start, f.end); quote != "" {
				out = append(slices.Insert(out, bare, []byte(quote)...), quote...)
			}
		}
		s.countRange(f.rule, action, f.start, f.end)
	}
	out = append(out, v[at:]...)
	s.out = out
	return s.results.bytes(out)
}

// repeat adds the other places where a find's value stands in v.
func (s *Scanner) repeat(v string) {
	n := len(s.finds)
	if n > maxRepeated {
		return
	}
	for i := range n {
		f := s.finds[i]
		if f.rule == IP && s.e.actions[IP] == Truncate || f.end-f.start < minRepeated || f.end-f.start > len(v)/2 {
			continue
		}
		value := v[f.start:f.end]
		for at := 0; ; {
			j := strings.Index(v[at:], value)
			if j < 0 {
				break
			}
			at += j
			if at != f.start {
				s.finds = append(s.finds, find{start: at, end: at + len(value), rule: f.rule})
			}
			at += len(value)
		}
		if len(s.finds) > 4*n+64 {
			return
		}
	}
}

// actionOf is what is done about f.
func (s *Scanner) actionOf(f find) Action {
	if f.united {
		return f.action
	}
	return s.e.actions[f.rule]
}

// stricter returns what is done about a and b, two rules' finds that overlap. Nothing may lead back to some, so that what
// they are part of is masked.
func (s *Scanner) stricter(a, b find) Action {
	x, y := s.actionOf(a), s.actionOf(b)
	switch {
	case never[a.rule] || never[b.rule]:
		return Mask
	case strictness[y] > strictness[x]:
		return y
	}
	return x
}

// merge sorts the finds and unites those that overlap under the rule of higher precedence and the stricter action.
func (s *Scanner) merge() {
	finds := s.finds
	slices.SortFunc(finds, func(a, b find) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end)) })
	kept := finds[:1]
	for _, f := range finds[1:] {
		last := &kept[len(kept)-1]
		if f.start >= last.end {
			kept = append(kept, f)
			continue
		}
		if f.rule != last.rule {
			last.action, last.united = s.stricter(*last, f), true
		}
		if precedence[f.rule] > precedence[last.rule] {
			last.rule = f.rule
		}
		last.end = max(last.end, f.end)
	}
	s.finds = kept
}

// jsonNumber reports whether v[start:end] is a bare value in JSON, where a mask needs quotes to stay JSON.
func jsonNumber(v string, start, end int) bool {
	i := start - 1
	for i >= 0 && v[i] == ' ' {
		i--
	}
	if i < 1 || v[i] != ':' || v[i-1] != '"' {
		return false
	}
	for end < len(v) && isSpace(v[end]) {
		end++
	}
	return end == len(v) || v[end] == ',' || v[end] == '}' || v[end] == ']'
}
