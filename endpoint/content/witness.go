package content

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sockeye-project/sockeye/endpoint/auth"
)

// witness is somebody who may be allowed a type or not.
type witness struct {
	from Sender
	kind string
}

func (w witness) who() string {
	id := w.from.Identity
	text := fmt.Sprintf("subject %q", id.Subject)
	if id.Tenant != "" {
		text += fmt.Sprintf(", tenant %q", id.Tenant)
	}
	if id.Tier != "" {
		text += fmt.Sprintf(", tier %q", id.Tier)
	}
	if w.from.Subprotocol != "" {
		text += fmt.Sprintf(", subprotocol %q", w.from.Subprotocol)
	}
	if id.Scopes != "" {
		text += ", scopes " + strings.Join(slices.Collect(id.Scopes.All()), " ")
	}
	return text
}

// maxWitnesses bounds the search.
const maxWitnesses = 200_000

// witnesses are those who may tell two lists of rules apart: every old rule that allows, as narrow as it can be met, with
// each value of every condition in either list.
func witnesses(before, after *Policy) (all []witness) {
	var kinds, protocols, tenants, tiers, subjects []string
	for _, p := range []*Policy{before, after} {
		for _, proto := range p.protocols {
			kinds = append(kinds, sortedKeys(proto.types)...)
		}
		for _, r := range p.rules {
			for _, pattern := range r.types {
				kinds = append(kinds, strings.ReplaceAll(pattern, "*", "any"))
			}
			for _, pattern := range r.subjects {
				subjects = append(subjects, strings.ReplaceAll(pattern, "*", "any"), strings.ReplaceAll(pattern, "*", ""))
			}
			protocols, tenants = append(protocols, r.protocols...), append(tenants, r.tenants...)
			tiers = append(tiers, r.tiers...)
		}
	}
	set := func(list []string) []string {
		slices.Sort(list)
		return append(slices.Compact(list), "")
	}
	kinds, protocols, tenants, tiers = set(kinds), set(protocols), set(tenants), set(tiers)
	subjects = set(append(subjects, "anybody"))
	var scopes []auth.Set
	allow := slices.DeleteFunc(slices.Clone(before.rules), func(r *rule) bool { return !r.allow })
	for i, r := range allow {
		scopes = append(scopes, auth.NewSet(r.scopes...))
		for _, other := range allow[:min(i, 20)] {
			scopes = append(scopes, auth.NewSet(slices.Concat(r.scopes, other.scopes)...))
		}
	}
	for _, r := range after.rules {
		if !r.allow {
			for _, other := range allow[:min(len(allow), 20)] {
				scopes = append(scopes, auth.NewSet(slices.Concat(r.scopes, other.scopes)...))
			}
		}
	}
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	for _, kind := range kinds {
		for _, scope := range scopes {
			for _, tier := range tiers {
				for _, tenant := range tenants {
					for _, subject := range subjects {
						for _, protocol := range protocols {
							if len(all) == maxWitnesses {
								return all
							}
							all = append(all, witness{Sender{Subprotocol: protocol, Identity: auth.Identity{
								Subject: subject, Tenant: tenant, Tier: tier, Scopes: scope,
							}}, kind})
						}
					}
				}
			}
		}
	}
	return all
}
