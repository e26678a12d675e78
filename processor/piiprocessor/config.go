package piiprocessor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

// Values of unknown_keys.
const (
	unknownDrop = "drop"
	unknownScan = "scan"
)

// Config says what may pass. The zero value of every list is the safe one.
type Config struct {
	// KeyFile holds the installation key (32 bytes as base64). It is created where it does not exist. Without one,
	// nothing is pseudonymised: what should be is dropped.
	KeyFile string `mapstructure:"key_file"`
	// UnknownKeys says what happens to attribute keys and bodies that the event model does not know.
	UnknownKeys string `mapstructure:"unknown_keys"`
	// MaxValueBytes is the longest string that is looked at. A longer one is dropped and counted.
	MaxValueBytes int `mapstructure:"max_value_bytes"`
	// MaxDepth is how deep maps and lists may nest. What is deeper is dropped and counted.
	MaxDepth int `mapstructure:"max_depth"`
	// QueryParameters is about the query of url.query and of URLs in text.
	QueryParameters QueryParameters `mapstructure:"query_parameters"`
	// Attributes overrides the key table, for attributes of records, resources, scopes and members of maps.
	Attributes Attributes `mapstructure:"attributes"`
	// Detectors says what is done about what is found in text.
	Detectors Detectors `mapstructure:"detectors"`
	// NationalIDs names schemes whose numbers are found wherever they stand, not only after a word that says what they
	// are.
	NationalIDs []string `mapstructure:"national_ids"`
	// Rules are patterns of the operator's own.
	Rules []Rule `mapstructure:"rules"`
	// MaxRuleTime is what Rules may take for one record, span or data point. A value for which none is left is dropped.
	MaxRuleTime time.Duration `mapstructure:"max_rule_time"`
	// Pseudonyms says how long one subject keeps one pseudonym.
	Pseudonyms Pseudonyms `mapstructure:"pseudonyms"`
	// Tokens says who can read values that are tokenised.
	Tokens Tokens `mapstructure:"tokens"`
	// Policies are what differs for the data of some resources, most often a tenant's. The first that matches counts; what
	// none matches has the settings above.
	Policies []Policy `mapstructure:"policies"`
	// Remarks writes what was done to a record into it.
	Remarks string `mapstructure:"remarks"`
	// InsecureObserve counts what would be done and passes everything on as it came.
	InsecureObserve bool `mapstructure:"insecure_observe"`
}

// QueryParameters is an allowlist: values of other parameters become REDACTED.
type QueryParameters struct {
	Allow []string `mapstructure:"allow"`
}

// Attributes are lists of attribute keys. A key stands in one of them at most.
type Attributes struct {
	// Keep passes the value unseen. Prefer Scan.
	Keep []string `mapstructure:"keep"`
	// Scan passes the value without what detectors find.
	Scan []string `mapstructure:"scan"`
	// Partial keeps the domain of an e-mail address and the last four characters of others.
	Partial []string `mapstructure:"partial"`
	// PrefixPreserving replaces an address by a pseudonym that keeps prefixes; without a key it is dropped.
	PrefixPreserving []string `mapstructure:"prefix_preserving"`
	// Mask replaces the value.
	Mask []string `mapstructure:"mask"`
	// Hash replaces the value by a keyed pseudonym; without a key it is dropped.
	Hash []string `mapstructure:"hash"`
	// Tokenise encrypts the value to the recipient of Tokens.
	Tokenise []string `mapstructure:"tokenise"`
	// Drop removes the attribute.
	Drop []string `mapstructure:"drop"`
}

// Detectors holds one action for each kind of find, or off.
type Detectors struct {
	Email      string `mapstructure:"email"`
	IP         string `mapstructure:"ip"`
	MAC        string `mapstructure:"mac"`
	Card       string `mapstructure:"card"`
	IBAN       string `mapstructure:"iban"`
	Phone      string `mapstructure:"phone"`
	NationalID string `mapstructure:"national_id"`
	JWT        string `mapstructure:"jwt"`
	Credential string `mapstructure:"credential"`
	Secret     string `mapstructure:"secret"`
	Person     string `mapstructure:"person"`
	Location   string `mapstructure:"location"`
}

// Pseudonyms configures keyed hashes.
type Pseudonyms struct {
	// Epoch is the time after which a subject gets another pseudonym. It is counted from 1970 in UTC.
	Epoch time.Duration `mapstructure:"epoch"`
	// Tenant separates installations that share a key.
	Tenant string `mapstructure:"tenant"`
	// TenantAttribute names the attribute of the resource, or else of the record, that says whose the data is. Tenants have
	// different pseudonyms.
	TenantAttribute string `mapstructure:"tenant_attribute"`
	// PreviousKeyFile holds the key that key_file had until RotatedAt.
	PreviousKeyFile string `mapstructure:"previous_key_file"`
	// RotatedAt is when key_file got another key, as RFC 3339. The epoch of that moment still has the previous one.
	RotatedAt string `mapstructure:"rotated_at"`
	// ChainFile holds the keys of epochs, which are destroyed when they are older than Keep. They replace key_file.
	ChainFile string `mapstructure:"chain_file"`
	// Keep is how long after its end the key of an epoch in the chain file is kept.
	Keep time.Duration `mapstructure:"keep"`
}

// rotatedAt returns the zero time where there is none.
func (p *Pseudonyms) rotatedAt() (time.Time, error) {
	if p.RotatedAt == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, p.RotatedAt)
}

func createDefaultConfig() component.Config {
	d := redact.DefaultSettings()
	cfg := &Config{
		UnknownKeys:     unknownDrop,
		MaxValueBytes:   d.MaxValueBytes,
		MaxDepth:        d.MaxDepth,
		MaxRuleTime:     d.CustomTime,
		QueryParameters: QueryParameters{Allow: d.Parameters},
		Pseudonyms:      Pseudonyms{Epoch: d.Epoch, Keep: defaultKeep},
		Remarks:         remarksNone,
	}
	for _, detector := range redact.Detectors() {
		*cfg.Detectors.field(detector.Rule) = detector.Default.String()
	}
	return cfg
}

func (d *Detectors) field(r redact.Rule) *string {
	switch r {
	case redact.Email:
		return &d.Email
	case redact.IP:
		return &d.IP
	case redact.MAC:
		return &d.MAC
	case redact.Card:
		return &d.Card
	case redact.IBAN:
		return &d.IBAN
	case redact.Phone:
		return &d.Phone
	case redact.NationalID:
		return &d.NationalID
	case redact.JWT:
		return &d.JWT
	case redact.Credential:
		return &d.Credential
	case redact.Secret:
		return &d.Secret
	case redact.Person:
		return &d.Person
	default:
		return &d.Location
	}
}

// Bounds of the configuration. An epoch shorter than an hour would make pseudonyms useless for joins.
const (
	minEpoch      = time.Hour
	maxValueBytes = 16 << 20
	maxDepth      = 64
)

// defaultKeep is a day more than events are stored for, so that what is replayed gets the pseudonyms that it had.
const defaultKeep = 8 * 24 * time.Hour

// Validate reports all faults at once, each beginning with its key.
func (c *Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if c.MaxValueBytes < 64 || c.MaxValueBytes > maxValueBytes {
		fault("max_value_bytes: must be between 64 and %d, got %d", maxValueBytes, c.MaxValueBytes)
	}
	if c.MaxDepth < 1 || c.MaxDepth > maxDepth {
		fault("max_depth: must be between 1 and %d, got %d", maxDepth, c.MaxDepth)
	}
	c.validatePolicy(fault)
	if c.tokenises() && c.Tokens.RecipientFile == "" {
		fault("tokens.recipient_file: must be set where something is tokenised")
	}
	if c.Pseudonyms.Epoch < minEpoch || c.Pseudonyms.Epoch%time.Second != 0 {
		fault("pseudonyms.epoch: must be whole seconds and at least %v, got %v", minEpoch, c.Pseudonyms.Epoch)
	}
	c.validateRules(fault)
	c.validateKeys(fault)
	c.validatePolicies(fault)
	if c.Remarks != remarksNone && c.Remarks != remarksAttribute {
		fault("remarks: must be none or attribute, got %q", c.Remarks)
	}
	return errors.Join(faults...)
}

// validatePolicy looks at what a policy can have too.
func (c *Config) validatePolicy(fault func(format string, args ...any)) {
	if c.UnknownKeys != unknownDrop && c.UnknownKeys != unknownScan {
		fault("unknown_keys: must be drop or scan, got %q", c.UnknownKeys)
	}
	for _, p := range c.QueryParameters.Allow {
		if p == "" || strings.ContainsAny(p, "=&?#; ") {
			fault("query_parameters.allow: %q is not the name of a parameter", p)
		}
	}
	c.Attributes.validate(fault)
	c.Detectors.validate(fault)
	known := redact.Schemes()
	for _, name := range c.NationalIDs {
		if !slices.ContainsFunc(known, func(s redact.Scheme) bool { return s.Name == name }) {
			fault("national_ids: there is no scheme %q; docs/pii.md has the list", name)
		}
	}
}

func (c *Config) validateKeys(fault func(format string, args ...any)) {
	p := &c.Pseudonyms
	if _, err := p.rotatedAt(); err != nil {
		fault("pseudonyms.rotated_at: must be a time such as 2026-11-03T00:00:00Z, got %q", p.RotatedAt)
	}
	if (p.PreviousKeyFile == "") != (p.RotatedAt == "") {
		fault("pseudonyms.previous_key_file: must be set together with pseudonyms.rotated_at")
	}
	if p.PreviousKeyFile != "" && c.KeyFile == "" {
		fault("pseudonyms.previous_key_file: needs key_file, which holds the key from pseudonyms.rotated_at on")
	}
	if p.ChainFile != "" && (c.KeyFile != "" || p.PreviousKeyFile != "") {
		fault("pseudonyms.chain_file: takes the place of key_file; remove one of them")
	}
	if p.Keep < 0 || p.Epoch > 0 && p.Keep/p.Epoch >= maxEpochs {
		fault("pseudonyms.keep: must be between 0 and %d epochs, got %v", maxEpochs, p.Keep)
	}
}

type keyList struct {
	name string
	keys *[]string
}

func (a *Attributes) lists() []keyList {
	return []keyList{
		{"keep", &a.Keep}, {"scan", &a.Scan}, {"partial", &a.Partial}, {"prefix_preserving", &a.PrefixPreserving},
		{"hash", &a.Hash}, {"tokenise", &a.Tokenise}, {"mask", &a.Mask}, {"drop", &a.Drop},
	}
}

func (a *Attributes) validate(fault func(format string, args ...any)) {
	seen := map[string]string{}
	for _, list := range a.lists() {
		for _, key := range *list.keys {
			if key == "" {
				fault("attributes.%s: empty key", list.name)
				continue
			}
			if other, ok := seen[key]; ok {
				fault("attributes.%s: %q is in attributes.%s too; a key can have one treatment", list.name, key, other)
				continue
			}
			seen[key] = list.name
			if leads := list.name == "hash" || list.name == "tokenise"; redact.NamesSecret(key) &&
				(leads || list.name == "partial") || redact.NamesCard(key) && leads {
				fault("attributes.%s: %q holds a card or a secret, to which nothing may lead back; put it into "+
					"attributes.mask or attributes.drop", list.name, key)
			}
		}
	}
}

func (d *Detectors) validate(fault func(format string, args ...any)) {
	for _, detector := range redact.Detectors() {
		name := *d.field(detector.Rule)
		action, ok := redact.ActionOf(name)
		if ok && slices.Contains(detector.Allowed, action) {
			continue
		}
		why := ""
		if detector.Rule.Never() && (action == redact.Hash || action == redact.Tokenise) && ok {
			why = ": nothing may lead back to cards and secrets"
		}
		fault("detectors.%s: must be %s, got %q%s", detector.Rule, oneOf(detector.Allowed), name, why)
	}
}

func oneOf(actions []redact.Action) string {
	names := make([]string, len(actions))
	for i, a := range actions {
		names[i] = a.String()
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// keys are what pseudonyms are made with; without any there are none.
type keys struct {
	current, previous []byte
	epochs            *redact.EpochKeys
	// recipients are who can read tokens, by file.
	recipients map[string]*redact.Recipient
}

// settings returns the engine's settings.
func (c *Config) settings(k keys) redact.Settings {
	rotated, _ := c.Pseudonyms.rotatedAt() // what Validate accepted
	s := redact.Settings{
		Key:           k.current,
		PreviousKey:   k.previous,
		Rotated:       rotated,
		EpochKeys:     k.epochs,
		Recipient:     k.recipients[c.Tokens.RecipientFile],
		Tenant:        c.Pseudonyms.Tenant,
		Epoch:         c.Pseudonyms.Epoch,
		ScanUnknown:   c.UnknownKeys == unknownScan,
		Parameters:    c.QueryParameters.Allow,
		Keep:          c.Attributes.Keep,
		Scan:          c.Attributes.Scan,
		Mask:          c.Attributes.Mask,
		Hash:          c.Attributes.Hash,
		Drop:          c.Attributes.Drop,
		Partial:       c.Attributes.Partial,
		Tokenise:      c.Attributes.Tokenise,
		Actions:       map[redact.Rule]redact.Action{},
		MaxValueBytes: c.MaxValueBytes,
		MaxDepth:      c.MaxDepth,
		NationalIDs:   c.NationalIDs,
		Rules:         customRules(c.Rules),
		CustomTime:    c.MaxRuleTime,

		PrefixPreserving: c.Attributes.PrefixPreserving,
	}
	for _, d := range redact.Detectors() {
		if a, ok := redact.ActionOf(*c.Detectors.field(d.Rule)); ok {
			s.Actions[d.Rule] = a
		}
	}
	return s
}
