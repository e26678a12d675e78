package redact

// Rule names why something was changed. It is the value of the metric attribute "rule".
type Rule uint8

// The rules: what a detector finds in text, then what the key table and the limits decide.
const (
	ruleNone Rule = iota

	Email
	IP
	MAC
	Card
	IBAN
	Phone
	NationalID
	JWT
	Credential
	Secret
	Person
	Location

	QueryParameter
	PathSegment
	Subprotocol
	AttributeKey
	UnknownKey
	UnknownValue
	KeyText
	Body
	Oversize
	Depth
	Binary
	Panic
	Budget

	// custom0 is the first of the rules that a configuration adds.
	custom0

	RuleCount = custom0 + MaxCustomRules
)

var ruleNames = [RuleCount]string{
	ruleNone: "other",
	Email:    "email", IP: "ip", MAC: "mac", Card: "card", IBAN: "iban", Phone: "phone", NationalID: "national_id",
	JWT: "jwt", Credential: "credential", Secret: "secret", Person: "person", Location: "location",
	QueryParameter: "query_parameter", PathSegment: "path_segment", Subprotocol: "subprotocol",
	AttributeKey: "attribute_key", UnknownKey: "unknown_key", UnknownValue: "unknown_value", KeyText: "key_text",
	Body: "body", Oversize: "oversize", Depth: "depth", Binary: "binary", Panic: "panic",
	Budget: "budget", custom0: "custom",
}

func (r Rule) String() string { return ruleNames[r] }

// Action is what is done about a find.
type Action uint8

// The actions. Off is a detector that does not run.
const (
	Mask Action = iota
	Hash
	Truncate
	Drop
	Off
	Partial
	Tokenise
	PrefixPreserving

	ActionCount
)

var actionNames = [ActionCount]string{
	Mask: "mask", Hash: "hash", Truncate: "truncate", Drop: "drop", Off: "off", Partial: "partial", Tokenise: "tokenise",
	PrefixPreserving: "prefix_preserving",
}

// strictness decides between the actions of two finds that overlap: what must not be seen does not pass as part of
// something that may be.
var strictness = [ActionCount]uint8{
	Drop: 7, Mask: 6, Tokenise: 5, Hash: 4, PrefixPreserving: 3, Partial: 2, Truncate: 1,
}

func (a Action) String() string { return actionNames[a] }

// ActionOf returns the action of that name.
func ActionOf(name string) (Action, bool) {
	for a, n := range actionNames {
		if n == name {
			return Action(a), true
		}
	}
	return 0, false
}

// Detector is a rule whose action can be configured.
type Detector struct {
	Rule    Rule
	Default Action
	// Allowed lists the actions that make sense: secrets and cards are never hashed or tokenised, because their value
	// space can be searched or because nothing good comes from having them back.
	Allowed []Action
}

// Detectors returns all of them in a fixed order.
func Detectors() []Detector {
	return []Detector{
		{Email, Mask, []Action{Mask, Partial, Hash, Tokenise, Off}},
		{IP, Truncate, []Action{Truncate, PrefixPreserving, Mask, Hash, Tokenise, Off}},
		{MAC, Mask, []Action{Mask, Hash, Tokenise, Off}},
		{Card, Mask, []Action{Mask, Partial, Off}},
		{IBAN, Mask, []Action{Mask, Partial, Hash, Tokenise, Off}},
		{Phone, Mask, []Action{Mask, Partial, Hash, Tokenise, Off}},
		{NationalID, Mask, []Action{Mask, Tokenise, Off}},
		{JWT, Mask, []Action{Mask, Off}},
		{Credential, Mask, []Action{Mask, Off}},
		{Secret, Mask, []Action{Mask, Off}},
		{Person, Mask, []Action{Mask, Hash, Tokenise, Off}},
		{Location, Mask, []Action{Mask, Tokenise, Off}},
	}
}

// Redacted replaces values in URLs and subprotocols, where brackets would have to be escaped.
const Redacted = "REDACTED"

// masks replace finds in text. None of them is found by any detector, which keeps redaction idempotent.
var masks = func() [RuleCount]string {
	all := builtinMasks
	for r := custom0; r < RuleCount; r++ {
		all[r] = customMask
	}
	return all
}()

var builtinMasks = [RuleCount]string{
	Email: "[email]", IP: "[ip]", MAC: "[mac]", Card: "[card]", IBAN: "[iban]", Phone: "[phone]",
	NationalID: "[national-id]", JWT: "[jwt]", Credential: "[credential]", Secret: "[secret]", Person: "[person]",
	Location: "[location]",
	// In place of parts of a URL or of a subprotocol.
	QueryParameter: Redacted, PathSegment: Redacted, Subprotocol: Redacted,
}

// isMask reports whether v is wholly something that this package wrote.
func isMask(v string) bool {
	if v == Redacted {
		return true
	}
	if len(v) > 0 && v[0] == '[' {
		for r := Email; r <= Location; r++ {
			if v == masks[r] {
				return true
			}
		}
		return v == customMask || isPartial(v)
	}
	return isMade(v)
}

// isMade reports whether v is wholly a pseudonym or a token.
func isMade(v string) bool {
	return len(v) > 3 && v[1] == '1' && v[2] == ':' && (IsPseudonym(v) || IsToken(v) || isPrefixed(v))
}

// precedence decides which rule names a find when two overlap: a value under a secret's key is a secret, whatever
// else it looks like.
var precedence = func() [RuleCount]uint8 {
	all := builtinPrecedence
	for r := custom0; r < RuleCount; r++ {
		all[r] = builtinPrecedence[Location]
	}
	return all
}()

var builtinPrecedence = [RuleCount]uint8{
	Secret: 12, Credential: 11, QueryParameter: 10, JWT: 9, NationalID: 8, Person: 7, Location: 6, Email: 5, Card: 4,
	IBAN: 4, Phone: 3, MAC: 2, IP: 1,
}
