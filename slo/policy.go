package slo

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// rules returns the alerts of s: those of its policies, or the standard ones. It refuses those that can never fire.
func (p *parser) rules(s *SLO, o object, d document, objective node, used map[string]bool) []Rule {
	annotation, annotated := d.meta.annotations[annotationAlerts]
	loudness := p.choice(d, annotationAlerts, "page", "page", "ticket", "none")
	policies := o.get("alertPolicies")
	if items := policies.items(); len(items) > 0 {
		if annotated {
			annotation.fault("is for the standard alerts, but alertPolicies replaces them; remove one")
		}
		var rules []Rule
		for _, item := range items {
			rule, at := p.sloPolicy(item, used)
			if rule.Burn.Valid() && p.checkReach(s, rule, at) {
				rules = append(rules, rule)
			}
		}
		return rules
	}
	if loudness == "none" || !s.Objective.Valid() {
		return nil
	}
	rules := standard(loudness)
	for _, r := range rules {
		if !s.reachable(r) {
			objective.fault("leaves the alert %q unreachable: with every event bad the burn rate is %s; "+
				"raise the objective, or name alertPolicies of your own, or set the annotation %s", r.String(),
				rat(s.highest()).Round(2), annotationAlerts)
			return nil
		}
	}
	return rules
}

// standard returns the standard rules that are at most so loud.
func standard(loudness string) []Rule {
	return slices.DeleteFunc(StandardRules(), func(r Rule) bool {
		return loudness == "none" || loudness == "ticket" && r.Severity == SeverityPage
	})
}

// groupRules sets the alerts of an SLO's groups: those of the SLO, but none louder than the annotation says.
func (p *parser) groupRules(s *SLO, d document) {
	loudness := p.choice(d, annotationGroupAlerts, "ticket", "page", "ticket", "none")
	if len(s.Grouping.By) == 0 {
		if at, ok := d.meta.annotations[annotationGroupAlerts]; ok {
			at.fault("is for an SLO with groupBy; remove it")
		}
		return
	}
	for _, r := range s.Rules {
		if loudness == "none" {
			break
		}
		if loudness == "ticket" {
			r.Severity = SeverityTicket
		}
		s.Grouping.Rules = append(s.Grouping.Rules, r)
	}
}

func (p *parser) checkReach(s *SLO, r Rule, at node) bool {
	if !s.Objective.Valid() || s.reachable(r) {
		return true
	}
	at.fault("the alert %q is unreachable: at an objective of %s %% the burn rate is at most %s; lower the threshold",
		r.String(), s.Objective.Percent(10), rat(s.highest()).Round(2))
	return false
}

// sloPolicy reads one item of an SLO's alertPolicies.
func (p *parser) sloPolicy(n node, used map[string]bool) (Rule, node) {
	o := n.object("kind", "metadata", "spec", "alertPolicyRef")
	if !o.ok {
		return Rule{}, n
	}
	if ref := o.get("alertPolicyRef"); !ref.absent() {
		name := ref.word()
		d, ok := p.objects["AlertPolicy"][name]
		if !ok {
			ref.fault("no AlertPolicy named %q in these files%s", clip(name), suggestNames(name, p.objects["AlertPolicy"]))
			return Rule{}, n
		}
		before, again := len(p.faults), used["AlertPolicy/"+name]
		used["AlertPolicy/"+name] = true
		rule := p.policy(d.spec, used)
		if again {
			p.faults = p.faults[:before]
		}
		return rule, ref
	}
	p.inline(o, "AlertPolicy")
	return p.policy(o.require("spec", "write alertPolicyRef, or a spec"), used), n
}

// inline checks the head of an object that stands inside another.
func (p *parser) inline(o object, kind string) {
	at := o.require("kind", "write kind: "+kind)
	if k := at.text(); k != "" && k != kind {
		at.fault("must be %s, got %q", kind, clip(k))
	}
	p.metadata(o.require("metadata", "write metadata: {name: …}"))
}

// policy reads the spec of an AlertPolicy. Where notifications go is Alertmanager's business, and the engine raises an
// alert of its own when there is no data, so those keys are accepted and change nothing.
func (p *parser) policy(n node, used map[string]bool) Rule {
	o := n.object("description", "alertWhenNoData", "alertWhenBreaching", "alertWhenResolved", "conditions",
		"notificationTargets")
	o.get("description").description()
	for _, key := range []string{"alertWhenNoData", "alertWhenBreaching", "alertWhenResolved"} {
		o.get(key).boolean()
	}
	p.targets(o.require("notificationTargets", "OpenSLO wants at least one; write [{targetRef: …}]"))
	conditions := o.require("conditions", "write one burn-rate condition")
	items := conditions.items()
	if len(items) != 1 {
		if !conditions.absent() {
			conditions.fault("must have exactly one condition, got %d", len(items))
		}
		return Rule{}
	}
	c := items[0].object("kind", "metadata", "spec", "conditionRef")
	if !c.ok {
		return Rule{}
	}
	if ref := c.get("conditionRef"); !ref.absent() {
		name := ref.word()
		d, ok := p.objects["AlertCondition"][name]
		if !ok {
			ref.fault("no AlertCondition named %q in these files%s", clip(name),
				suggestNames(name, p.objects["AlertCondition"]))
			return Rule{}
		}
		before, again := len(p.faults), used["AlertCondition/"+name]
		used["AlertCondition/"+name] = true
		rule := p.condition(d.spec)
		if again {
			p.faults = p.faults[:before]
		}
		return rule
	}
	p.inline(c, "AlertCondition")
	return p.condition(c.require("spec", "write conditionRef, or a spec"))
}

// condition reads the spec of an AlertCondition. Its short window is a twelfth of the lookback window, as in the SRE
// workbook: OpenSLO has no key for it.
func (p *parser) condition(n node) Rule {
	o := n.object("severity", "condition", "description")
	if !o.ok {
		return Rule{}
	}
	o.get("description").description()
	severity := o.require("severity", "write page or ticket")
	rule := Rule{Severity: Severity(severity.word())}
	if rule.Severity != SeverityPage && rule.Severity != SeverityTicket && rule.Severity != SeverityNone {
		severity.fault("must be page or ticket, got %q", clip(string(rule.Severity)))
	}
	c := o.require("condition", "write kind, op, threshold and lookbackWindow in it").
		object("kind", "op", "threshold", "lookbackWindow", "alertAfter")
	if kind := c.require("kind", "write kind: burnrate"); kind.text() != "burnrate" && !kind.absent() {
		kind.fault("must be burnrate, got %q", clip(kind.y.Value))
	}
	if op := c.require("op", "write op: gt"); op.text() != "gt" && !op.absent() {
		op.fault("must be gt, got %q", clip(op.y.Value))
	}
	if after := c.get("alertAfter"); !after.absent() {
		after.fault("is not needed: the condition must also hold over a twelfth of lookbackWindow; remove it")
	}
	threshold := c.require("threshold", "write the burn rate, such as 14.4")
	burn := threshold.decimal()
	if burn.Valid() && burn.rat.Sign() <= 0 {
		threshold.fault("must be above 0, got %s", burn)
		burn = Number{}
	}
	lookback := c.require("lookbackWindow", "write one of 1h, 6h, 1d, 3d")
	rule.Long = lookback.word()
	if rule.Short = shortOf[rule.Long]; rule.Short == "" && rule.Long != "" {
		lookback.fault("must be one of 1h, 6h, 1d, 3d, got %q", clip(rule.Long))
	}
	known := []Severity{SeverityPage, SeverityTicket}
	if rule.Short != "" && slices.Contains(known, rule.Severity) {
		rule.Burn = burn
	}
	return rule
}

// targets reads the notification targets of a policy.
func (p *parser) targets(n node) {
	items := n.items()
	if !n.absent() && n.y.Kind == yaml.SequenceNode && len(items) == 0 {
		n.fault("must have at least one target")
	}
	for _, item := range items {
		o := item.object("kind", "metadata", "spec", "targetRef")
		if !o.ok {
			continue
		}
		if ref := o.get("targetRef"); !ref.absent() {
			if name := ref.word(); name != "" && p.objects["AlertNotificationTarget"][name].name == "" {
				ref.fault("no AlertNotificationTarget named %q in these files%s", clip(name),
					suggestNames(name, p.objects["AlertNotificationTarget"]))
			}
			continue
		}
		p.inline(o, "AlertNotificationTarget")
		p.target(o.require("spec", "write targetRef, or a spec"))
	}
}

// target reads the spec of an AlertNotificationTarget.
func (p *parser) target(n node) {
	o := n.object("description", "target")
	o.get("description").description()
	o.require("target", "name where notifications go").word()
}
