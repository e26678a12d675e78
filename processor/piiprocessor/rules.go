package piiprocessor

import (
	"slices"
	"strings"

	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

// Rule finds what only the operator can know, by a regular expression.
type Rule struct {
	// Name is what metrics and remarks call the rule.
	Name string `mapstructure:"name"`
	// Pattern is a regular expression in RE2's syntax.
	Pattern string `mapstructure:"pattern"`
	// Keywords are texts one of which a value must have for the pattern to be tried.
	Keywords []string `mapstructure:"keywords"`
	// Group is the number of the group of the pattern that is the value; 0 is all of the match.
	Group int `mapstructure:"group"`
	// Action is mask, hash or drop.
	Action string `mapstructure:"action"`
}

// custom returns the engine's form of the rule. Not ok means that there is no such action.
func (r *Rule) custom() (c redact.CustomRule, ok bool) {
	c = redact.CustomRule{Name: r.Name, Pattern: r.Pattern, Keywords: r.Keywords, Group: r.Group, Action: redact.Mask}
	if r.Action != "" {
		c.Action, ok = redact.ActionOf(r.Action)
	}
	return c, r.Action == "" || ok && slices.Contains(redact.CustomActions(), c.Action)
}

func customRules(rules []Rule) (all []redact.CustomRule) {
	for i := range rules {
		c, _ := rules[i].custom() // what Validate accepted
		all = append(all, c)
	}
	return all
}

func (c *Config) validateRules(fault func(format string, args ...any)) {
	if len(c.Rules) > redact.MaxCustomRules {
		fault("rules: at most %d, got %d", redact.MaxCustomRules, len(c.Rules))
		return
	}
	if c.MaxRuleTime <= 0 {
		fault("max_rule_time: must be more than 0, got %v", c.MaxRuleTime)
	}
	names := map[string]int{}
	for i := range c.Rules {
		r := &c.Rules[i]
		custom, ok := r.custom()
		if !ok {
			fault("rules[%d] (%s): action: must be %s, got %q", i, r.Name, oneOf(redact.CustomActions()), r.Action)
		}
		if first, ok := names[r.Name]; ok {
			fault("rules[%d] (%s): name: rules[%d] has it too", i, r.Name, first)
		}
		names[r.Name] = i
		if err := custom.Check(); err != nil {
			for text := range strings.SplitSeq(err.Error(), "\n") {
				fault("rules[%d] (%s): %s", i, r.Name, text)
			}
		}
	}
}

// ruleName returns the name of a rule, which may be one of the configuration. Not ok means that there is none.
func (c *Config) ruleName(r redact.Rule) (name string, ok bool) {
	if i, custom := r.Custom(); custom {
		if i >= len(c.Rules) {
			return "", false
		}
		return c.Rules[i].Name, true
	}
	return r.String(), true
}

// RuleName returns the name of a rule of this Redactor.
func (r *Redactor) RuleName(rule redact.Rule) string { return r.engine.Name(rule) }
