package redact

import (
	"hash"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sockeye-project/sockeye/event"
)

// Settings says what an [Engine] does. [DefaultSettings] is the place of the defaults.
type Settings struct {
	// Key is the installation key; nil means that nothing can be pseudonymised and what should be is dropped.
	Key []byte
	// PreviousKey is the key of the epochs that began before Rotated; nil if there was no other.
	PreviousKey []byte
	Rotated     time.Time
	// EpochKeys has a key of its own for each epoch. With it, Key and PreviousKey are not used.
	EpochKeys *EpochKeys
	// Tenant separates the pseudonyms of tenants that share an installation.
	Tenant string
	// Epoch is how long one subject keeps one pseudonym.
	Epoch time.Duration
	// ScanUnknown scans attribute keys and bodies that the event model does not know instead of dropping them.
	ScanUnknown bool
	// Parameters are the names of query parameters whose values stay.
	Parameters []string
	// Policy is the name of the policy that these are the settings of; policies have different pseudonyms.
	Policy string
	// Recipient is who can read tokens; nil means that what should become one is masked.
	Recipient *Recipient
	// Now is the time by which keys of tokens are replaced; nil means the machine's.
	Now func() time.Time
	// The lists override the key table, in this order of precedence: Drop, Mask, Tokenise, Hash, PrefixPreserving,
	// Partial, Scan, Keep.
	Drop, Mask, Tokenise, Hash, PrefixPreserving, Partial, Scan, Keep []string
	// Actions overrides what is done about a detector's finds.
	Actions map[Rule]Action
	// NationalIDs are the names of schemes (see [Schemes]) whose numbers are found without a word that says what they are.
	NationalIDs []string
	// Rules are those that only their author can know, at most MaxCustomRules that [CustomRule.Check] accepts.
	Rules []CustomRule
	// CustomTime is what Rules may take for one record, span or data point. A value for which none is left is dropped.
	CustomTime time.Duration
	// MaxValueBytes is the longest string that is looked at; a longer one is dropped.
	MaxValueBytes int
	// MaxDepth is how deep maps and lists may nest; what is deeper is dropped.
	MaxDepth int
}

// DefaultSettings returns the safe defaults: unknown keys dropped, all detectors on, no key.
func DefaultSettings() Settings {
	return Settings{
		Epoch:         24 * time.Hour,
		Parameters:    DefaultParameters(),
		CustomTime:    defaultCustomTime,
		MaxValueBytes: 64 << 10,
		MaxDepth:      16,
	}
}

// DefaultParameters are query parameters that WebSocket services use to route and to negotiate, and that say nothing
// about a person. Socket.IO's sid is a credential and is not among them.
func DefaultParameters() []string {
	return []string{
		"EIO", "channel", "encoding", "format", "lang", "locale", "protocol", "room", "stream", "topic", "transport",
		"v", "version",
	}
}

// Engine holds the compiled policy. It is immutable and safe for concurrent use.
type Engine struct {
	settings Settings
	// current and previous are the keys before and from epoch rotated.
	current, previous rootKey
	rotated           int64
	actions           [RuleCount]Action
	parameters        map[string]bool
	tables            [tableCount]map[string]Treatment
	// known is tables[Record] for the keys of the event model.
	known     []Treatment
	overrides map[string]Treatment
	schemes   schemeBits
	sealer    *sealer
	custom    []compiledRule
	now       func() time.Time
	scanners  sync.Pool
}

// New compiles settings.
func New(settings Settings) *Engine {
	e := &Engine{
		settings:   settings,
		parameters: make(map[string]bool, len(settings.Parameters)),
		overrides:  map[string]Treatment{},
		schemes:    schemeSet(settings.NationalIDs),
		sealer:     newSealer(&settings),
		now:        time.Now,
	}
	e.compileRules(settings.Rules)
	e.current, e.previous = rootOf(settings.Key), rootOf(settings.PreviousKey)
	if length := int64(settings.Epoch / time.Second); e.previous.key != nil && length > 0 {
		e.rotated = (settings.Rotated.Unix() + length - 1) / length
	}
	for _, d := range Detectors() {
		e.actions[d.Rule] = d.Default
		if a, ok := settings.Actions[d.Rule]; ok && slices.Contains(d.Allowed, a) {
			e.actions[d.Rule] = a
		}
	}
	for _, p := range settings.Parameters {
		e.parameters[p] = true
	}
	// Later lists win, so the strictest comes last.
	for _, list := range []struct {
		keys []string
		t    Treatment
	}{
		{settings.Keep, Treatment{kind: kindKeep}}, {settings.Scan, Treatment{kind: kindText}},
		{settings.Partial, Treatment{kind: kindPartial, rule: AttributeKey}},
		{settings.PrefixPreserving, Treatment{kind: kindPrefix}},
		{settings.Hash, Treatment{kind: kindHash, rule: AttributeKey}},
		{settings.Tokenise, Treatment{kind: kindTokenise, rule: AttributeKey}},
		{settings.Mask, Treatment{kind: kindMask, rule: AttributeKey}},
		{settings.Drop, Treatment{kind: kindDrop, rule: AttributeKey}},
	} {
		for _, k := range list.keys {
			e.overrides[k] = list.t
		}
	}
	e.tables = [tableCount]map[string]Treatment{attributeTable(), resourceTable(), scopeTable()}
	for _, table := range e.tables {
		for k, t := range e.overrides {
			table[k] = t
		}
	}
	e.known = make([]Treatment, len(event.Keys())+1)
	for _, k := range event.Keys() {
		e.known[k] = e.tables[Record][k.String()]
	}
	return e
}

// Off returns the detectors that are switched off.
func (e *Engine) Off() (off []Rule) {
	for _, d := range Detectors() {
		if e.actions[d.Rule] == Off {
			off = append(off, d.Rule)
		}
	}
	return off
}

// ScansUnknown is [Settings.ScanUnknown].
func (e *Engine) ScansUnknown() bool { return e.settings.ScanUnknown }

// MaxDepth is [Settings.MaxDepth].
func (e *Engine) MaxDepth() int { return e.settings.MaxDepth }

// Scanner takes a Scanner with zero counts.
func (e *Engine) Scanner() *Scanner {
	s, ok := e.scanners.Get().(*Scanner)
	if !ok {
		s = &Scanner{e: e, macs: map[macKey]hash.Hash{}, judged: map[string]judged{}}
	}
	if ring := e.settings.EpochKeys.ring(); ring != s.ring {
		// What was made with keys that are gone goes too.
		clear(s.macs)
		clear(s.pans)
		s.ring = ring
	}
	return s
}

// maxScratch bounds the memory that a Scanner keeps between uses.
const maxScratch = 1 << 20

// Release gives s back. What it remembers of values is overwritten by its next use and never read before.
func (s *Scanner) Release() {
	if cap(s.out) > maxScratch || cap(s.pairs) > maxScratch || cap(s.lowered) > maxScratch ||
		cap(s.finds) > maxScratch/32 {
		return
	}
	s.forget()
	clear(s.out[:cap(s.out)])
	clear(s.text[:cap(s.text)])
	s.tenant, s.tenantID = "", 0
	clear(s.pairs[:cap(s.pairs)])
	clear(s.lowered[:cap(s.lowered)])
	s.customTime = 0
	s.Counts = [RuleCount][ActionCount]uint32{}
	s.explain, s.remarks = false, nil
	s.e.scanners.Put(s)
}

// SetTime says when the record happened, which decides the epoch of its pseudonyms: a replayed record gets the same
// ones.
func (s *Scanner) SetTime(t time.Time) {
	s.customTime = 0
	epoch := int64(s.e.settings.Epoch / time.Second)
	if epoch <= 0 || t.IsZero() || t.Unix() < 0 {
		s.epoch = 0
		return
	}
	s.epoch = t.Unix() / epoch
}

// Verdict says what became of a value.
type Verdict uint8

const (
	Kept Verdict = iota
	Changed
	Dropped
)

// String treats one string value. It returns what may be passed on and whether that differs; [Dropped] means that the
// field must go. A detector's panic drops.
func (s *Scanner) String(t Treatment, v string) (out string, verdict Verdict) {
	defer func() {
		if recover() != nil {
			s.count(Panic, Drop)
			out, verdict = "", Dropped
		}
	}()
	if len(v) > s.e.settings.MaxValueBytes && t.kind != kindDrop && t.kind != kindKeep {
		s.count(Oversize, Drop)
		return "", Dropped
	}
	var remembered *keptValue
	if t.kind.repeats() && v != "" {
		remembered = s.keptSlot(v)
		if remembered.kind == t.kind && remembered.value == v {
			return v, Kept
		}
	}
	before := s.counted
	s.base, s.doomed = 0, ruleNone
	out, verdict = s.ifDoomed(s.apply(t, v))
	s.base = -1
	if remembered != nil && verdict == Kept && s.counted == before {
		*remembered = keptValue{t.kind, v}
	}
	// A mask can be the neighbour that lets a detector see what it did not see before, so what was changed is looked
	// at until nothing changes. That makes redacting again a no-op.
	for range maxRounds {
		if verdict != Changed || t.kind.settles() {
			return out, verdict
		}
		next, again := s.ifDoomed(s.apply(t, out))
		if again == Kept {
			return out, Changed
		}
		out, verdict = next, again
	}
	s.count(UnknownValue, Drop)
	return "", Dropped
}

// settles reports whether what such a treatment makes of a value is what it would make of that again: a network, a
// pseudonym, a mask.
func (k kind) settles() bool { return k == kindAddress || k == kindHash || k == kindMask }

// maxRounds bounds how often a value is treated. Texts made to need more are dropped.
const maxRounds = 5

func (s *Scanner) apply(t Treatment, v string) (out string, verdict Verdict) {
	switch t.kind {
	case kindKeep:
		return v, Kept
	case kindNumber:
		// The model has a number here. A string under the key is not the model's and is judged as unknown.
		return s.unknown(v)
	case kindEnum:
		if slices.Contains(t.values, v) {
			return v, Kept
		}
		return s.unknown(v)
	case kindIdent:
		if plainIdent(v) {
			return v, Kept
		}
		out = s.redact(v, plain)
	case kindSource:
		if receiverAtHost(v) {
			return v, Kept
		}
		out = s.redact(v, infrastructure)
	case kindNonce:
		if nonce(v) {
			return v, Kept
		}
		out = s.redact(v, infrastructure)
	case kindInfra:
		out = s.redact(v, infrastructure)
	case kindLabel:
		if tokenLike(v) {
			s.count(Credential, Drop)
			return "", Dropped
		}
		out = s.redact(v, infrastructure)
	case kindAgent:
		out = s.redact(v, agent)
	case kindText:
		out = s.redact(v, plain)
	case kindURL:
		out = s.url(v)
	case kindPath:
		out = s.path(v)
	case kindQuery:
		out = s.query(v)
	case kindSubprotocol:
		out = s.subprotocols(v)
	case kindAddress:
		return s.address(v)
	case kindPseudonym:
		if IsPseudonym(v) {
			return v, Kept
		}
		s.count(t.rule, Drop)
		return "", Dropped
	case kindHash:
		return s.pseudonymise(t.rule, v)
	case kindMinted:
		if s.e.actions[t.rule] != Off && secretLike(v) {
			return s.mask(t.rule, v)
		}
		out = s.redact(v, plain)
	case kindRemarks:
		if _, ok := ParseRemarks(v); ok {
			return v, Kept
		}
		s.count(t.rule, Drop)
		return "", Dropped
	case kindTokenise:
		return s.tokenise(t.rule, v)
	case kindPartial:
		return s.partial(t.rule, v)
	case kindPrefix:
		return s.prefixed(v)
	case kindMask:
		return s.mask(t.rule, v)
	default:
		s.count(t.rule, Drop)
		return "", Dropped
	}
	if out == v {
		return v, Kept
	}
	return out, Changed
}

// Drops reports whether the treatment drops the field whatever its value, and counts it.
func (s *Scanner) Drops(t Treatment) bool {
	if t.kind != kindDrop {
		return false
	}
	s.count(t.rule, Drop)
	return true
}

// Text scans one string as free text, with no key to go by. Oversize is the caller's.
func (s *Scanner) Text(v string) (out string, verdict Verdict) {
	return s.String(Treatment{kind: kindText}, v)
}

// SubprotocolItem treats one item of a list of subprotocols. after is what the item before returned as announces.
func (s *Scanner) SubprotocolItem(v string, after bool) (out string, announces bool) {
	defer func() {
		if recover() != nil {
			s.count(Panic, Mask)
			out, announces = Redacted, false
		}
	}()
	if strings.IndexByte(v, ',') >= 0 || len(v) > s.e.settings.MaxValueBytes {
		out, _ := s.String(Treatment{kind: kindSubprotocol}, v)
		return out, false
	}
	s.doomed = ruleNone
	if out, announces = s.subprotocol(v, after); s.doomed != ruleNone {
		s.count(s.doomed, Mask)
		return Redacted, announces
	}
	return out, announces
}

// Number treats a number that stands under a key that the model does not know, as its decimal text: a card may be
// an int and a coordinate a double.
func (s *Scanner) Number(t Treatment, text []byte) Verdict {
	if _, verdict := s.String(t, s.results.bytes(text)); verdict == Kept {
		return Kept
	}
	if t.kind != kindDrop && t.kind != kindMask {
		s.count(UnknownValue, Drop)
	}
	return Dropped
}

// keyTextOK reports whether the text of an attribute key, which the sender chose, may stay.
func (s *Scanner) keyTextOK(key string) bool {
	return len(key) <= 256 && !tokenLike(key) && !s.contains(key, plain)
}

func (s *Scanner) unknown(v string) (string, Verdict) {
	if !s.e.settings.ScanUnknown {
		s.count(UnknownValue, Drop)
		return "", Dropped
	}
	if out := s.redact(v, plain); out != v {
		return out, Changed
	}
	return v, Kept
}

// address truncates a value that should be nothing but an address, with or without a port.
func (s *Scanner) address(v string) (string, Verdict) {
	if v == "" || isMask(v) {
		return v, Kept
	}
	known := s.addressOf(v)
	if known.known {
		if known.network == v {
			return v, Kept
		}
		s.count(IP, Truncate)
		return known.network, Changed
	}
	a, err := parseAddr(v)
	if err != nil {
		var host string
		if i := strings.LastIndexByte(v, ':'); i > 0 {
			host = strings.Trim(v[:i], "[]")
		} else {
			host = strings.Trim(v, "[]")
		}
		if a, err = parseAddr(host); err != nil {
			// A name, a socket's path, a list: a host name may name its user, so it is not passed on.
			if v == "unix:" {
				return v, Kept
			}
			s.count(IP, Drop)
			return "", Dropped
		}
	}
	network, _ := truncateAddr(a)
	s.out = network.AppendTo(s.out[:0])
	if string(s.out) == v {
		known.network, known.known = v, true
		return v, Kept
	}
	s.count(IP, Truncate)
	known.network, known.known = s.results.bytes(s.out), true
	return known.network, Changed
}

// ClientHash returns the pseudonym of the whole address in v, or "" where there is no key, no address, or nothing left
// to tell apart because v was truncated before.
func (s *Scanner) ClientHash(v string) (out string) {
	defer func() {
		if recover() != nil {
			s.count(Panic, Drop)
			out = ""
		}
	}()
	if s.rootKey().key == nil {
		return ""
	}
	known := s.addressOf(v)
	if known.hashed && known.epoch == s.epoch && known.tenant == s.tenantID {
		s.count(IP, Hash)
		return known.hash
	}
	a, err := parseAddr(v)
	if err != nil {
		i := strings.LastIndexByte(v, ':')
		if i <= 0 {
			return ""
		}
		if a, err = parseAddr(strings.Trim(v[:i], "[]")); err != nil {
			return ""
		}
	}
	if network, differs := truncateAddr(a); !differs && network == a {
		return ""
	}
	s.text = a.Unmap().WithZone("").AppendTo(s.text[:0])
	s.out, _ = s.appendPseudonym(s.out[:0], IP, s.text)
	s.count(IP, Hash)
	known.hash, known.epoch, known.tenant, known.hashed = s.results.bytes(s.out), s.epoch, s.tenantID, true
	return known.hash
}

func (s *Scanner) mask(r Rule, v string) (string, Verdict) {
	if v == "" || isMask(v) {
		return v, Kept
	}
	s.count(r, Mask)
	if masks[r] == "" {
		return Redacted, Changed
	}
	return masks[r], Changed
}

func (s *Scanner) pseudonymise(r Rule, v string) (string, Verdict) {
	if v == "" || isMade(v) {
		return v, Kept
	}
	s.text = append(s.text[:0], strings.TrimSpace(v)...)
	out, ok := s.appendPseudonym(s.out[:0], r, s.text)
	s.out = out
	if !ok {
		s.count(r, Drop)
		return "", Dropped
	}
	s.count(r, Hash)
	return s.results.bytes(out), Changed
}

// plainIdent reports whether v is an opaque identifier: letters, digits and "._:-" only, no longer than a hash, and not
// the compact form of a JWT.
func plainIdent(v string) bool {
	if len(v) > 128 || strings.HasPrefix(v, "eyJ") {
		return false
	}
	dots, colons := 0, 0
	for i := range len(v) {
		switch c := v[i]; {
		case isAlnum(c), c == '_', c == '-':
		case c == ':':
			// More colons make a MAC or an IPv6 address.
			if colons++; colons > 1 {
				return false
			}
		case c == '.':
			if dots++; dots > 1 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// receiverAtHost reports whether v is the id of a receiver of ours and its host, such as
// "websocketlog/nginx@web-1.example.com", which must stay apart from other sources although it looks like an address.
func receiverAtHost(v string) bool {
	id, host, ok := strings.Cut(v, "@")
	typ, name, _ := strings.Cut(id, "/")
	return ok && len(v) <= 256 && strings.HasPrefix(typ, "websocket") && plainIdent(typ) && plainIdent(name) &&
		strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789.-_") == ""
}

// nonce reports whether v is the base64 of at most 20 bytes.
func nonce(v string) bool {
	if len(v) > 28 {
		return false
	}
	for i := range len(v) {
		if c := v[i]; !isAlnum(c) && c != '+' && c != '/' && c != '=' {
			return false
		}
	}
	return true
}
