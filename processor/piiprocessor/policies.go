package piiprocessor

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

// Policy is what differs for the data of some resources.
type Policy struct {
	// Name says whose policy it is. Pseudonyms of two policies never join.
	Name string `mapstructure:"name"`
	// Match says which resources it is for: those that have all of these attributes with one of the values.
	Match map[string][]string `mapstructure:"match"`
	// The rest is what has a value here instead of the one of the same name outside. Attributes replaces the treatment of
	// the keys it names.
	UnknownKeys     string           `mapstructure:"unknown_keys"`
	QueryParameters *QueryParameters `mapstructure:"query_parameters"`
	Attributes      Attributes       `mapstructure:"attributes"`
	Detectors       Detectors        `mapstructure:"detectors"`
	NationalIDs     []string         `mapstructure:"national_ids"`
	Tokens          Tokens           `mapstructure:"tokens"`
}

// Tokens says who can read values that are tokenised.
type Tokens struct {
	// RecipientFile holds an X25519 public key in PEM. Whoever has the private key can read tokens; the processor cannot.
	RecipientFile string `mapstructure:"recipient_file"`
}

// Values of remarks.
const (
	remarksNone      = "none"
	remarksAttribute = "attribute"
)

// Bounds of policies. Each is compiled at the start, and a resource is compared with one after the other.
const (
	maxPolicies    = 64
	maxPolicyName  = 64
	maxMatchValues = 64
)

// with returns the settings of a policy: those of c where it has none. It has no policies of its own.
func (c *Config) with(p *Policy) *Config {
	merged := *c
	merged.Policies = nil
	if p.UnknownKeys != "" {
		merged.UnknownKeys = p.UnknownKeys
	}
	if p.QueryParameters != nil {
		merged.QueryParameters = *p.QueryParameters
	}
	if p.NationalIDs != nil {
		merged.NationalIDs = p.NationalIDs
	}
	if p.Tokens.RecipientFile != "" {
		merged.Tokens = p.Tokens
	}
	for _, d := range redact.Detectors() {
		if action := *p.Detectors.field(d.Rule); action != "" {
			*merged.Detectors.field(d.Rule) = action
		}
	}
	own := map[string]bool{}
	theirs := p.Attributes.lists()
	for _, list := range theirs {
		for _, key := range *list.keys {
			own[key] = true
		}
	}
	for i, list := range merged.Attributes.lists() {
		inherited := slices.DeleteFunc(slices.Clone(*list.keys), func(key string) bool { return own[key] })
		*list.keys = append(inherited, *theirs[i].keys...)
	}
	return &merged
}

// tokenises reports whether anything becomes a token.
func (c *Config) tokenises() bool {
	return len(c.Attributes.Tokenise) > 0 || slices.ContainsFunc(redact.Detectors(), func(d redact.Detector) bool {
		return *c.Detectors.field(d.Rule) == redact.Tokenise.String()
	})
}

func (c *Config) validatePolicies(fault func(format string, args ...any)) {
	if len(c.Policies) > maxPolicies {
		fault("policies: must be at most %d, got %d", maxPolicies, len(c.Policies))
		return
	}
	names := map[string]bool{}
	for i := range c.Policies {
		p := &c.Policies[i]
		if p.Name == "" || len(p.Name) > maxPolicyName || strings.ContainsFunc(p.Name, unicode.IsSpace) {
			fault("policies[%d].name: must be 1 to %d characters without spaces, got %q", i, maxPolicyName, p.Name)
		}
		if names[p.Name] {
			fault("policies[%d].name: %q is the name of another policy", i, p.Name)
		}
		names[p.Name] = true
		at := fmt.Sprintf("policies[%s].", cmp.Or(p.Name, strconv.Itoa(i)))
		if len(p.Match) == 0 {
			fault("%smatch: must name an attribute of the resource and its values", at)
		}
		for _, key := range slices.Sorted(maps.Keys(p.Match)) {
			values := p.Match[key]
			if key == "" || len(values) == 0 || len(values) > maxMatchValues || slices.Contains(values, "") {
				fault("%smatch: %q must have 1 to %d values that are not empty", at, key, maxMatchValues)
			}
		}
		for j := range c.Policies[:i] {
			if maps.EqualFunc(p.Match, c.Policies[j].Match, slices.Equal) {
				fault("%smatch: policy %q matches the same, and is asked first", at, c.Policies[j].Name)
			}
		}
		// With the defaults around it, every fault is the policy's own.
		defaults := createDefaultConfig().(*Config)
		defaults.with(p).validatePolicy(func(format string, args ...any) { fault(at+format, args...) })
		if own := c.with(p); own.tokenises() && own.Tokens.RecipientFile == "" && !c.tokenises() {
			fault("%stokens.recipient_file: must be set, here or outside, where something is tokenised", at)
		}
	}
}

// loadRecipients reads the public keys that c and its policies name.
func (c *Config) loadRecipients() (map[string]*redact.Recipient, error) {
	files := []string{c.Tokens.RecipientFile}
	for _, p := range c.Policies {
		files = append(files, p.Tokens.RecipientFile)
	}
	loaded := map[string]*redact.Recipient{}
	for _, file := range files {
		if file == "" || loaded[file] != nil {
			continue
		}
		text, err := readSmall(file)
		if err != nil {
			return nil, fmt.Errorf("tokens.recipient_file: %w", err)
		}
		if loaded[file], err = redact.ParseRecipient(text); err != nil {
			return nil, fmt.Errorf("tokens.recipient_file %s: %w; make one with `openssl pkey -pubout`", file, err)
		}
	}
	return loaded, nil
}

// maxPEM bounds what is read of a file that should hold a key.
const maxPEM = 4096

func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxPEM {
		return nil, fmt.Errorf("%s: not a file of one key", path)
	}
	return os.ReadFile(path)
}

// policy is a compiled Policy.
type policy struct {
	name   string
	match  []match
	engine *redact.Engine
}

type match struct {
	key    string
	values []string
}

func (c *Config) compilePolicies(k keys) []policy {
	compiled := make([]policy, len(c.Policies))
	for i := range c.Policies {
		p := &c.Policies[i]
		settings := c.with(p).settings(k)
		settings.Policy = p.Name
		compiled[i] = policy{name: p.Name, engine: redact.New(settings)}
		for _, key := range slices.Sorted(maps.Keys(p.Match)) {
			compiled[i].match = append(compiled[i].match, match{key, p.Match[key]})
		}
	}
	return compiled
}

// matches compares the attributes as they came, before anything is redacted.
func (p *policy) matches(attributes pcommon.Map) bool {
	for _, m := range p.match {
		v, ok := attributes.Get(m.key)
		if !ok || v.Type() != pcommon.ValueTypeStr || !slices.Contains(m.values, v.Str()) {
			return false
		}
	}
	return true
}

// choose takes the policy of a resource, and its tenant.
func (w *walker) choose(r pcommon.Resource) {
	if len(w.policies) == 0 && w.tenantKey == "" {
		return
	}
	w.use(slices.IndexFunc(w.policies, func(p policy) bool { return p.matches(r.Attributes()) }))
	w.resourceTenant = textOf(r.Attributes(), w.tenantKey)
	w.scanner.SetTenant(w.resourceTenant)
}

// use makes the policy of that index the one that is applied; -1 is the one outside of all.
func (w *walker) use(i int) {
	w.engine, w.scanner = w.base, w.scanners[0]
	if i < 0 {
		return
	}
	w.engine = w.policies[i].engine
	if w.scanners[i+1] == nil {
		w.scanners[i+1] = w.engine.Scanner()
		if w.explaining {
			w.scanners[i+1].Explain()
		}
	}
	w.scanner = w.scanners[i+1]
}

// tenant says whose the record with these attributes is, where that does not go by the resource alone.
func (w *walker) tenant(attributes pcommon.Map) {
	if w.tenantKey == "" {
		return
	}
	name := w.resourceTenant
	if name == "" {
		name = textOf(attributes, w.tenantKey)
	}
	w.scanner.SetTenant(name)
}

func textOf(attributes pcommon.Map, key string) string {
	if v, ok := attributes.Get(key); ok && key != "" && v.Type() == pcommon.ValueTypeStr {
		return v.Str()
	}
	return ""
}
