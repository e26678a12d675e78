package content

import (
	"slices"
	"strings"
)

// rule allows or denies types to identities. All its conditions must hold; an empty one holds always.
type rule struct {
	place
	allow     bool
	types     []string // patterns
	protocols []string // any of them
	scopes    []string // all of them
	tenants   []string // any of them
	tiers     []string // any of them
	subjects  []string // patterns, any of them
}

// allowed asks the rules in their order: the first that applies decides, and none means no. Without a list all is allowed.
// chosen says that all of the rules are for the type already.
func (p *Policy) allowed(rules []*rule, from *Sender, kind []byte, chosen bool) bool {
	if !p.hasAccess {
		return true
	}
	for _, r := range rules {
		if (chosen || matchAny(r.types, string(kind))) && r.applies(from) {
			return r.allow
		}
	}
	return false
}

func (r *rule) applies(from *Sender) bool {
	id := &from.Identity
	for _, scope := range r.scopes {
		if !id.Scopes.Has(scope) {
			return false
		}
	}
	return (r.protocols == nil || slices.Contains(r.protocols, from.Subprotocol)) &&
		(r.tenants == nil || slices.Contains(r.tenants, id.Tenant)) &&
		(r.tiers == nil || slices.Contains(r.tiers, id.Tier)) &&
		(r.subjects == nil || matchAny(r.subjects, id.Subject))
}

func matchAny(patterns []string, s string) bool {
	for _, p := range patterns {
		if match(p, s) {
			return true
		}
	}
	return false
}

// match compares with a pattern, in which * stands for any text.
func match(pattern, s string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	if !strings.HasPrefix(s, head) {
		return false
	}
	s = s[len(head):]
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], after
	}
}
