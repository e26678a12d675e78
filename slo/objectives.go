package slo

import (
	"cmp"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sockeye-project/sockeye/store/schema"
)

// maxObjectives bounds the objectives of one document.
const maxObjectives = 30

// slo builds the SLOs of one document: one for each objective, or one composite of them.
func (p *parser) slo(d document, sources, used map[string]bool) []SLO {
	base := SLO{Name: d.name, Title: d.meta.displayName}
	if base.Title == "" {
		base.Title = d.name
	}
	o := d.spec.object("description", "service", "indicator", "indicatorRef", "timeWindow", "budgetingMethod",
		"objectives", "alertPolicies")
	base.Description = strings.TrimSpace(o.get("description").description())
	base.Service = o.require("service", "name the service that it is about").word()
	if service, ok := p.objects["Service"][base.Service]; ok {
		if name, ok := service.meta.annotations[annotationServiceName]; ok && name.text() != "" {
			base.Service = name.text()
		}
		base.Capacity, _ = capacity(service)
	}
	if runbook, ok := d.meta.annotations[annotationRunbook]; ok {
		base.RunbookURL = runbook.text()
	}
	base.Unbudgeted = p.choice(d, annotationBudget, "", "none") == "none"
	base.Unguarded = p.choice(d, annotationGuard, "binomial", "binomial", "none") == "none"

	list := o.require("objectives", "write objectives: [{targetPercent: 99.9}]")
	items := list.items()
	if !list.absent() && list.y.Kind == yaml.SequenceNode && (len(items) == 0 || len(items) > maxObjectives) {
		list.fault("must have 1 to %d objectives, got %d", maxObjectives, len(items))
		items = nil
	}
	objectives := make([]objective, len(items))
	composite := false
	for i, item := range items {
		objectives[i] = p.objective(item)
		composite = composite || objectives[i].indicates()
	}
	var shared sli
	switch inline, ref := o.get("indicator"), o.get("indicatorRef"); {
	case !composite:
		shared = p.sloIndicator(o, sources, used)
	case !inline.absent():
		inline.fault("is set beside the indicators of objectives; keep one or the other")
	case !ref.absent():
		ref.fault("is set beside the indicators of objectives; keep one or the other")
	}
	window := p.timeWindow(o.require("timeWindow", "write timeWindow: [{duration: 30d, isRolling: true}]"), &base)
	methodNode := o.require("budgetingMethod", "write budgetingMethod: Occurrences")
	base.Budgeting.Method = p.method(methodNode)

	slos := make([]SLO, len(items))
	for i, objective := range objectives {
		s := base
		indicator := shared
		if composite {
			indicator = p.sloIndicator(objective.object, sources, used)
		}
		s.Indicator, s.Grouping, s.Objective = indicator.indicator, indicator.grouping, objective.target
		p.slices(&s, objective, methodNode)
		p.limit(&s, objective, indicator)
		p.retention(&s, window)
		if composite {
			s.Name, s.Title = base.Name+"/"+indicator.name, base.Title+", "+cmp.Or(objective.title, indicator.name)
			if len(s.Grouping.By) > 0 {
				indicator.groupAt.fault("is not for composites: a group may lack some of the members; remove it")
			}
		} else if len(items) > 1 {
			label := cmp.Or(objective.title, s.Objective.Percent(10)+" %")
			s.Name, s.Title = base.Name+"/"+slug(cmp.Or(objective.title, s.Objective.Percent(10))), base.Title+", "+label
		}
		for j := range i {
			if len(items) > 1 && slos[j].Name == s.Name && s.Objective.Valid() {
				objective.at.fault("is a second objective named %q; give each a displayName of its own", s.Name)
			}
		}
		slos[i] = s
	}
	if composite {
		return p.composite(base, slos, objectives, o, d, used)
	}
	if at, ok := d.meta.annotations[annotationComposite]; ok {
		at.fault("is for an SLO whose objectives have indicators of their own; remove it")
	}
	for i := range slos {
		slos[i].Rules = p.rules(&slos[i], o, d, objectives[i].targetAt, used)
		p.groupRules(&slos[i], d)
	}
	return slos
}

// composite makes one SLO of members.
func (p *parser) composite(
	s SLO, members []SLO, objectives []objective, o object, d document, used map[string]bool,
) []SLO {
	s.Combine = Combine(p.choice(d, annotationComposite, string(CombineWeighted),
		string(CombineWeighted), string(CombineWorst)))
	weights, weighted := new(big.Rat), new(big.Rat)
	for i, m := range members {
		weight := rat(one)
		if at := objectives[i].get("compositeWeight"); !at.absent() {
			if weight = at.decimal(); weight.Valid() && weight.rat.Sign() == 0 {
				at.fault("must be above 0, got 0; remove the objective instead")
			}
			if s.Combine == CombineWorst {
				at.fault("has no meaning where the worst member decides; remove it")
			}
		}
		m.Unbudgeted, m.RunbookURL, m.Grouping = false, "", Grouping{}
		s.Members = append(s.Members, Member{m, weight})
		if weight.Valid() && m.Objective.Valid() {
			weights.Add(weights, weight.rat)
			weighted.Add(weighted, new(big.Rat).Mul(weight.rat, m.Objective.rat))
		} else {
			weights = nil
			break
		}
	}
	if len(members) == 1 {
		objectives[0].at.fault("is the only one with an indicator; a composite has several, so move the indicator to spec")
	}
	if weights == nil || weights.Sign() == 0 {
		return nil
	}
	s.Objective = rat(weighted.Quo(weighted, weights))
	s.Rules = p.rules(&s, o, d, o.get("objectives"), used)
	if at, ok := d.meta.annotations[annotationGroupAlerts]; ok {
		at.fault("is for an SLO with groupBy; remove it")
	}
	return []SLO{s}
}

// capacity is what the document of a service says of its capacity; not ok if that is no number of connections.
func capacity(service document) (n uint64, ok bool) {
	at, there := service.meta.annotations[annotationCapacity]
	if !there {
		return 0, true
	}
	n, err := strconv.ParseUint(at.text(), 10, 64)
	return n, err == nil && n > 0 && n <= maxCapacity
}

// maxCapacity is an integer that every reader of JSON keeps.
const maxCapacity = 1 << 53

// choice reads an annotation that has few values, the first of which is assumed where it is absent.
func (p *parser) choice(d document, annotation, assumed string, values ...string) string {
	at, ok := d.meta.annotations[annotation]
	if !ok {
		return assumed
	}
	v := at.text()
	if !slices.Contains(values, v) {
		last := len(values) - 1
		list := strings.TrimPrefix(strings.Join(values[:last], ", ")+" or "+values[last], " or ")
		at.fault("must be %s, got %q", list, clip(v))
		return assumed
	}
	return v
}

var notSlug = regexp.MustCompile(`[^a-z0-9.]+`)

// slug is a title as part of a name.
func slug(title string) string {
	return strings.Trim(notSlug.ReplaceAllString(strings.ToLower(title), "-"), "-")
}

func (p *parser) method(n node) Method {
	methods := []Method{Occurrences, Timeslices, RatioTimeslices}
	text := n.word()
	if text == "" || slices.Contains(methods, Method(text)) {
		return Method(text)
	}
	n.fault("must be Occurrences, Timeslices or RatioTimeslices, got %q%s", clip(text),
		suggestNear(text, []string{string(Occurrences), string(Timeslices), string(RatioTimeslices)}))
	return ""
}

// objective is an objective as it is written.
type objective struct {
	object
	at       node
	title    string
	target   Number
	targetAt node
}

// indicates reports whether it has an indicator of its own.
func (o objective) indicates() bool {
	return !o.get("indicator").absent() || !o.get("indicatorRef").absent()
}

func (p *parser) objective(n node) objective {
	o := objective{at: n, targetAt: n}
	o.object = n.object("displayName", "op", "value", "target", "targetPercent", "timeSliceTarget", "timeSliceWindow",
		"indicator", "indicatorRef", "compositeWeight")
	if !o.indicates() {
		if weight := o.get("compositeWeight"); !weight.absent() {
			weight.fault("is for objectives with an indicator of their own; remove it")
		}
	}
	o.title = o.get("displayName").text()
	target, percent := o.get("target"), o.get("targetPercent")
	switch {
	case !target.absent() && !percent.absent():
		percent.fault("is set beside target; keep one")
	case !target.absent():
		v := target.decimal()
		if v.Valid() && (v.rat.Sign() <= 0 || v.rat.Cmp(one) >= 0) {
			mend := "99.9 % is target: 0.999"
			if v.rat.Cmp(one) == 0 {
				mend = "a target of 1 leaves no budget, so every failure would be a breach"
			}
			target.fault("must be above 0 and below 1, got %s; %s", v, mend)
			v = Number{}
		}
		o.target, o.targetAt = v, target
	case !percent.absent():
		v := percent.decimal()
		o.targetAt = percent
		switch {
		case !v.Valid():
		case v.rat.Cmp(hundred) == 0:
			percent.fault("must be below 100, got 100; without a budget every failure would be a breach")
		case v.rat.Sign() <= 0 || v.rat.Cmp(hundred) > 0:
			percent.fault("must be above 0 and below 100, got %s", v)
		default:
			o.target = rat(v.rat.Quo(v.rat, hundred))
		}
	case o.ok:
		missing := percent
		missing.y = o.y
		missing.fault("is missing; write targetPercent: 99.9")
	}
	return o
}

// slices reads what the budgeting method needs of an objective.
func (p *parser) slices(s *SLO, o objective, method node) {
	target, window := o.get("timeSliceTarget"), o.get("timeSliceWindow")
	if s.Budgeting.Method == "" || !o.ok {
		return
	}
	if s.Budgeting.Method == Occurrences {
		for _, n := range []node{target, window} {
			if !n.absent() {
				n.fault("is for Timeslices; remove it, or write budgetingMethod: Timeslices")
			}
		}
		return
	}
	if s.Budgeting.Method == RatioTimeslices {
		if s.Indicator.Measure != "" {
			method.fault("must be Occurrences or Timeslices for a thresholdMetric: a slice has one value and so no ratio")
		}
		if !target.absent() {
			target.fault("is for Timeslices; RatioTimeslices takes the mean of all slices; remove it")
		}
	} else if at := o.require("timeSliceTarget", "write the ratio that makes a slice good, such as 0.95"); !at.absent() {
		v := at.decimal()
		switch {
		case !v.Valid():
		case v.rat.Sign() <= 0 || v.rat.Cmp(one) > 0:
			at.fault("must be above 0 and at most 1, got %s; 95 %% is 0.95", v)
		case s.Indicator.Measure != "" && v.rat.Cmp(one) != 0:
			at.fault("must be 1 for a thresholdMetric, got %s: a slice has one value, which is within the limit or not", v)
		default:
			s.Budgeting.SliceTarget = v
		}
	}
	if s.Indicator.Active {
		method.fault("must be Occurrences for a total with active: " +
			"how many connections are open is known at the end of a window")
	}
	at := o.require("timeSliceWindow", "write the length of a slice, such as 1m")
	text := at.word()
	if text == "" {
		return
	}
	length, ok := shorthand(text)
	switch {
	case !ok:
		at.fault("must be a number and m or h, such as 5m, got %q", clip(text))
	case length > time.Hour || time.Hour%length != 0:
		at.fault("must divide an hour, such as 1m, 5m, 15m or 1h, got %s", clip(text))
	case s.Calendar != nil && quarter%length != 0:
		at.fault("must be 1m, 3m, 5m or 15m for a calendar window, whose days begin at any quarter of an hour, got %s",
			clip(text))
	case s.long() && length%quarter != 0:
		at.fault("must be a multiple of 15m, as rows older than %dd are kept, got %s", minuteRetention/day, clip(text))
	default:
		s.Budgeting.Slice = length
	}
}

// limit reads what a threshold metric is compared with.
func (p *parser) limit(s *SLO, o objective, indicator sli) {
	op, value := o.get("op"), o.get("value")
	if s.Indicator.Measure == "" {
		for _, n := range []node{op, value} {
			if !n.absent() && indicator.ok {
				n.fault("is for a thresholdMetric; remove it")
			}
		}
		return
	}
	op = o.require("op", "write lt, lte, gt or gte")
	operators := []string{string(LessThan), string(LessOrEqual), string(GreaterThan), string(GreaterOrEqual)}
	if text := op.word(); text != "" && !slices.Contains(operators, text) {
		op.fault("must be lt, lte, gt or gte, got %q", clip(text))
	} else {
		s.Indicator.Limit.Op = Operator(text)
	}
	s.Indicator.Limit.Value = o.require("value", "write what the measure is compared with").decimal()
}

// retention refuses a window that is longer than what it reads is kept.
func (p *parser) retention(s *SLO, window node) {
	table, age := s.Indicator.Measure.retention()
	if table == schema.Rollup15m && s.slice()%quarter != 0 {
		table, age = schema.Rollup1m, minuteRetention
	}
	if s.longest() <= age {
		return
	}
	got := window.y.Value
	if s.Calendar != nil && s.Calendar.Unit != "d" {
		got += fmt.Sprintf(", which may have %d days", s.longest()/day)
	}
	window.fault("must be at most %dd, for which %s is kept, got %s", age/day, table, got)
	s.Window = 0
}
