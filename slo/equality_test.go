package slo_test

import (
	"fmt"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
	"github.com/sockeye-project/sockeye/store/schema"
)

// fact is one event, as it is stored and as the reference sees it.
type fact struct {
	at         int64
	dimensions map[string]string
	instance   string
	count      uint64
	judged     uint64
	// What an event may lack is negative.
	duration               float64
	connected              float64
	received, sent         int64
	active, idle, capacity int64
	late                   bool // stored after the first count
}

// facts draws events: dense lately, sparse before, with idle hours between, on the edges of windows and slices, and some in
// the future of asof.
func facts(random *rand.Rand, asof time.Time, n int) []fact {
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	spans := []time.Duration{20 * time.Minute, 2 * time.Hour, 26 * time.Hour, 70 * time.Hour, 34 * 24 * time.Hour}
	var far []int64 // few days, because each is a partition
	for range 12 {
		far = append(far, asof.Add(-35*24*time.Hour-time.Duration(random.Int64N(int64(340*24*time.Hour)))).Unix()/86400*86400)
	}
	var all []fact
	for len(all) < n {
		f := fact{at: asof.Unix() - random.Int64N(int64(spans[random.IntN(len(spans))]/time.Second)), instance: pick("a", "b"),
			count: 1, duration: -1, connected: -1, received: -1, sent: -1, active: -1, idle: -1, capacity: -1, late: random.IntN(10) == 0}
		switch random.IntN(12) {
		case 0:
			f.at = far[random.IntN(len(far))] + random.Int64N(86400)
		case 1:
			f.at = asof.Unix() + random.Int64N(90) - 45
		case 2: // a bound of a window or of a slice, or the second before
			w := slo.BurnWindows()[random.IntN(7)].Length
			f.at = asof.Add(-w).Unix()/300*300 - int64(random.IntN(2))
		}
		if asof.Unix()-f.at > 3600 && f.at/3600%5 == 0 {
			continue // nobody came
		}
		f.dimensions = map[string]string{
			schema.Service: pick("chat", "chat", "chat", "feed"), schema.Vantage: pick("edge", "app", "app", "tap"),
			schema.Environment: pick("production", "production", "staging"), schema.Region: pick("eu", "eu", "us", "asia", ""),
			schema.Tenant: pick("", "acme", "b\\'c", "other", "größe"), schema.Direction: "",
		}
		set := func(event, outcome, fault, errorType string) {
			f.dimensions[schema.EventName], f.dimensions[schema.Outcome] = event, outcome
			f.dimensions[schema.Fault], f.dimensions[schema.ErrorType] = fault, errorType
		}
		switch random.IntN(16) {
		case 0, 1, 2:
			set("websocket.open", "success", "", "")
		case 3:
			set("websocket.handshake.rejected", "failure", pick("client", "policy", "server", "unknown"), pick("tls_failed", "forbidden"))
		case 4, 5:
			set("websocket.auth", "success", "", "")
		case 6:
			set("websocket.auth", "failure", pick("client", "idp", "server", "unknown"), "idp_timeout")
		case 7, 8:
			set("websocket.message", "success", "", "")
		case 9:
			set("websocket.message.rejected", "failure", "client", pick("schema_invalid", "acl_denied"))
		case 10:
			set("websocket.message.dropped", "failure", "server", "queue_full")
		case 11:
			set("websocket.error", "failure", "client", "invalid_utf8")
		case 12:
			set("websocket.rate_limited", "failure", "policy", "rate_limited")
		case 13, 14:
			set("websocket.close", pick("success", "success", "failure", "unknown"), "", "")
			if random.IntN(4) > 0 {
				f.connected = float64(1 + random.IntN(100))
				// Far from the limit of the documents: a sketch is exact to 1 %.
				rate := []int64{10, 50_000_000}
				if random.IntN(5) > 0 {
					f.received = rate[random.IntN(2)] * int64(f.connected)
				}
				if random.IntN(5) > 0 {
					f.sent = rate[random.IntN(2)] * int64(f.connected)
				}
			}
		default:
			set("websocket.connections", "unknown", "", "")
			// The table of gauges is kept for three days.
			f.at = asof.Unix() - random.Int64N(70*3600)
			if random.IntN(3) == 0 {
				f.at = asof.Unix() - random.Int64N(100)
			}
			f.active = random.Int64N(200)
			if random.IntN(4) > 0 {
				f.idle = random.Int64N(f.active + 1)
			}
			if random.IntN(4) > 0 {
				f.capacity = 200 + random.Int64N(100)
			}
		}
		if strings.HasPrefix(f.dimensions[schema.EventName], "websocket.message") {
			f.dimensions[schema.Direction] = pick("receive", "transmit")
			f.count = uint64(1 + random.IntN(1000))
		} else if random.IntN(4) == 0 {
			f.count = uint64(1 + random.IntN(500))
		}
		if f.dimensions[schema.Outcome] != "unknown" {
			f.judged = f.count
		}
		if random.IntN(3) > 0 {
			f.duration = []float64{0.003, 0.15, 0.2, 0.2000001, 9}[random.IntN(5)]
		}
		all = append(all, f)
	}
	return all
}

// store inserts facts as events; the views make everything else of them.
func insertFacts(t testing.TB, dsn string, all []fact) {
	t.Helper()
	dimensions := schema.Dimensions()
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO events (counted_at, instance, %s, count, judged, duration, connection_duration, io_received, io_sent, "+
		"attributes) SETTINGS max_partitions_per_insert_block = 0 VALUES ", strings.Join(dimensions, ", "))
	for i, f := range all {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "(%d,'%s'", f.at*1000, f.instance) // milliseconds
		for _, d := range dimensions {
			fmt.Fprintf(&b, ",'%s'", strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(f.dimensions[d]))
		}
		fmt.Fprintf(&b, ",%d,%d", f.count, f.judged)
		for _, v := range []float64{f.duration, f.connected, float64(f.received), float64(f.sent)} {
			if v < 0 {
				b.WriteString(",NULL")
			} else {
				fmt.Fprintf(&b, ",%v", big.NewFloat(v).Text('f', 7))
			}
		}
		var attributes []string
		for name, v := range map[string]int64{"active": f.active, "idle": f.idle, "capacity": f.capacity} {
			if v >= 0 {
				attributes = append(attributes, fmt.Sprintf("'websocket.connections.%s','%d'", name, v))
			}
		}
		fmt.Fprintf(&b, ",map(%s))", strings.Join(attributes, ","))
	}
	embeddedtest.Exec(t, dsn, b.String())
}

// referee counts by going through the events, window by window and slice by slice.
type referee struct {
	facts  []fact // sorted by time
	asof   int64
	timing slo.Timing
	// exclusions are in force.
	exclusions []slo.Exclusion
}

// excluded reports whether a moment does not count for an SLO, where whole steps are left out.
func (r *referee) excluded(s *slo.SLO, at, step int64) bool {
	return slices.ContainsFunc(r.exclusions, func(e slo.Exclusion) bool {
		return e.Service == s.Service && (e.SLO == "" || e.SLO == s.Name) &&
			at/step >= e.From.Unix()/step && at/step <= (e.To.Unix()-1)/step
	})
}

func (r *referee) between(from, to int64) []fact {
	at := func(t int64) int {
		i, _ := slices.BinarySearchFunc(r.facts, t, func(f fact, t int64) int { return int(f.at - t) })
		return i
	}
	if to <= from {
		return nil
	}
	return r.facts[at(from):at(to)]
}

func selects(selection slo.Selection, f fact) bool {
	return slices.ContainsFunc(selection, func(term slo.Term) bool {
		ok := term.Event == f.dimensions[schema.EventName]
		for _, x := range term.Where {
			ok = ok && slices.Contains(x.Values, f.dimensions[x.Dimension])
		}
		for _, x := range term.Except {
			ok = ok && !slices.Contains(x.Values, f.dimensions[x.Dimension])
		}
		return ok
	})
}

// concerns reports whether a fact is of the SLO's service, vantage and environment at all.
func concerns(s *slo.SLO, f fact) bool {
	return f.dimensions[schema.Service] == s.Service && f.dimensions[schema.Vantage] == s.Indicator.Vantage &&
		(s.Indicator.Environment == "" || s.Indicator.Environment == f.dimensions[schema.Environment])
}

// tally is good, total and judged of some facts, event by event.
func tally(s *slo.SLO, all []fact) (good, total, judged uint64) {
	in := s.Indicator
	var hits uint64
	for _, f := range all {
		counts, fits := f.judged, f.judged
		if in.Threshold != 0 {
			counts, fits = 0, 0
			if f.duration >= 0 {
				counts = f.count
				if f.duration <= in.Threshold.Seconds() {
					fits = f.count
				}
			}
		}
		inTotal := selects(in.Total, f)
		if inTotal || selects(in.Unjudged, f) {
			total += f.count
		}
		if inTotal {
			judged += counts
		}
		if selects(in.Hit, f) {
			hits += fits
		}
	}
	if !in.HitIsBad {
		return hits, total, judged
	}
	return judged - min(hits, judged), total, judged
}

// report is one bucket of ten seconds of what an instance said.
type report struct{ active, idle, capacity int64 }

func reports(all []fact) map[string]*report {
	found := map[string]*report{}
	for _, f := range all {
		if f.dimensions[schema.EventName] != "websocket.connections" {
			continue
		}
		key := fmt.Sprint(f.at/10, f.instance, "/", f.dimensions[schema.Region], "/", f.dimensions[schema.Environment])
		if found[key] == nil {
			found[key] = &report{-1, -1, -1}
		}
		r := found[key]
		r.active, r.idle, r.capacity = max(r.active, f.active), max(r.idle, f.idle), max(r.capacity, f.capacity)
	}
	return found
}

// value is the measure of a slice, if it has one, and whether the slice had anything to do with it.
func value(s *slo.SLO, all []fact) (v *big.Rat, seen bool) {
	ratio := func(a, b int64) *big.Rat {
		if b == 0 {
			return nil
		}
		return big.NewRat(a, b)
	}
	var active, idle, capacity, activeIdle, activeCapacity, opens int64
	said := reports(all)
	for _, r := range said {
		active += max(r.active, 0)
		if r.idle >= 0 && r.active >= 0 {
			idle, activeIdle = idle+r.idle, activeIdle+r.active
		}
		if r.capacity >= 0 && r.active >= 0 {
			capacity, activeCapacity = capacity+r.capacity, activeCapacity+r.active
		}
	}
	var n int64
	rates := map[string][]float64{}
	for _, f := range all {
		if selects(s.Indicator.Total, f) {
			n += int64(f.count)
		}
		if f.dimensions[schema.EventName] == "websocket.open" {
			opens += int64(f.count)
		}
		for way, bytes := range map[string]int64{"received": f.received, "sent": f.sent} {
			if bytes >= 0 && f.connected > 0 {
				rates[way] = append(rates[way], float64(bytes)/f.connected)
			}
		}
	}
	switch s.Indicator.Measure {
	case slo.MeasureCount:
		if len(all) == 0 {
			return nil, false
		}
		return big.NewRat(n, 1), true
	case slo.MeasureIdle:
		return ratio(idle, activeIdle), len(said) > 0
	case slo.MeasureCapacity:
		return ratio(activeCapacity, capacity), len(said) > 0
	case slo.MeasureChurn:
		return ratio(opens*3600, active*10), len(said) > 0 || opens > 0
	}
	way, quantile, _ := strings.Cut(string(s.Indicator.Measure), "_rate_")
	seen = len(rates["received"])+len(rates["sent"]) > 0
	list := rates[way]
	if len(list) == 0 {
		return nil, seen
	}
	slices.Sort(list)
	at := len(list) - 1
	if p, ok := map[string]int{"p50": 50, "p95": 95, "p99": 99}[quantile]; ok {
		at = p * (len(list) - 1) / 100
	}
	return new(big.Rat).SetFloat64(list[at]), seen
}

// judge is what one slice counts for.
func judge(s *slo.SLO, all []fact) (good, total, judged uint64) {
	rational := func(n slo.Number) *big.Rat {
		r, _ := new(big.Rat).SetString(n.String())
		return r
	}
	if s.Indicator.Measure != "" {
		v, seen := value(s, all)
		if !seen {
			return 0, 0, 0
		}
		if v == nil {
			return 0, 1, 0
		}
		c := v.Cmp(rational(s.Indicator.Limit.Value))
		holds := map[slo.Operator]bool{slo.LessThan: c < 0, slo.LessOrEqual: c <= 0, slo.GreaterThan: c > 0, slo.GreaterOrEqual: c >= 0}
		if holds[s.Indicator.Limit.Op] {
			return 1, 1, 1
		}
		return 0, 1, 1
	}
	g, t, j := tally(s, all)
	unit := uint64(1)
	if s.Budgeting.Method == slo.RatioTimeslices {
		unit = 1_000_000_000
	}
	if t > 0 {
		total = unit
	}
	if j == 0 {
		return 0, total, 0
	}
	if s.Budgeting.Method == slo.RatioTimeslices {
		high, low := bits.Mul64(g, unit)
		part, _ := bits.Div64(high, low, j)
		return part, total, unit
	}
	if new(big.Rat).SetFrac64(int64(g), int64(j)).Cmp(rational(s.Budgeting.SliceTarget)) >= 0 {
		good = 1
	}
	return good, total, unit
}

// sliceOf is the length in seconds of what is judged at once; 0 means an event.
func sliceOf(s *slo.SLO) int64 {
	slice := int64(s.Budgeting.Slice / time.Second)
	if s.Indicator.Measure != "" && slice == 0 {
		return 60
	}
	return slice
}

// window counts an SLO from a moment to another. in narrows to a group.
func (r *referee) window(s *slo.SLO, from, to, step int64, in func(fact) bool) slo.Count {
	var c slo.Count
	narrow := func(all []fact) []fact {
		var of []fact
		for _, f := range all {
			if concerns(s, f) && in(f) && !r.excluded(s, f.at, step) {
				of = append(of, f)
			}
		}
		return of
	}
	add := func(good, total, judged uint64) {
		c.Good, c.Total, c.Judged = c.Good+good, c.Total+total, c.Judged+judged
	}
	switch slice := sliceOf(s); {
	case slice == 0:
		add(tally(s, narrow(r.between(from, to))))
	default:
		for ; from < to; from += slice {
			if all := narrow(r.between(from, min(from+slice, to))); len(all) > 0 {
				add(judge(s, all))
			}
		}
	}
	if s.Indicator.Active && !r.excluded(s, r.asof-1, 60) {
		n := r.open(s, in)
		add(n, n, n)
	}
	return c
}

// open is the connections open at asof: what each instance said in the last of its buckets within the last minute.
func (r *referee) open(s *slo.SLO, in func(fact) bool) uint64 {
	last, said := map[string]int64{}, map[string]int64{}
	for _, f := range r.between(r.asof-60, r.asof) {
		if !concerns(s, f) || !in(f) || f.active < 0 || !selects(s.Indicator.Total, closeIn(f)) {
			continue
		}
		key := f.instance + "/" + f.dimensions[schema.Region] + "/" + f.dimensions[schema.Environment]
		switch bucket := f.at / 10; {
		case bucket > last[key]:
			last[key], said[key] = bucket, f.active
		case bucket == last[key]:
			said[key] = max(said[key], f.active)
		}
	}
	var sum uint64
	for _, n := range said {
		sum += uint64(n)
	}
	return sum
}

// closeIn is a close where a report was, so that a selection of closes can be asked about it.
func closeIn(f fact) fact {
	return fact{dimensions: map[string]string{
		schema.EventName: "websocket.close", schema.Region: f.dimensions[schema.Region], schema.Environment: f.dimensions[schema.Environment],
	}}
}

func budgetStep(s *slo.SLO) int64 {
	step := max(60, sliceOf(s))
	if s.Window > 35*24*time.Hour { // no document of the tests has a calendar window between a month and 35 days
		step = max(step, 900)
	}
	return step
}

// budget is the budget window: its end, floored to what it is read by, and where it begins.
func (r *referee) budget(s *slo.SLO) (from, to int64) {
	step := budgetStep(s)
	to = r.asof / step * step
	if s.Calendar == nil {
		return to - int64(s.Window/time.Second), to
	}
	return began(s.Calendar, to), to
}

// began walks back by the quarter of an hour to a moment at which the clocks of the zone say that a period begins.
func began(c *slo.Calendar, at int64) int64 {
	zone := c.Start.Location()
	start := c.Start.In(zone)
	days := func(t time.Time) int {
		return int(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).Unix() / 86400)
	}
	months := func(t time.Time) int { return t.Year()*12 + int(t.Month()) }
	for at -= at % 900; ; at -= 900 {
		local := time.Unix(at, 0).In(zone)
		if local.Hour() != start.Hour() || local.Minute() != start.Minute() {
			continue
		}
		lastDay := local.AddDate(0, 0, 1).Month() != local.Month()
		sameDay := local.Day() == start.Day() || lastDay && local.Day() < start.Day()
		every := map[string]int{"M": 1, "Q": 3, "Y": 12}[c.Unit] * c.Count
		switch c.Unit {
		case "d":
			if (days(local)-days(start))%c.Count == 0 {
				return at
			}
		case "w":
			if (days(local)-days(start))%(7*c.Count) == 0 {
				return at
			}
		default:
			if sameDay && (months(local)-months(start))%every == 0 {
				return at
			}
		}
	}
}

// burn are the burn windows: their ends and beginnings.
func (r *referee) burn(s *slo.SLO) (windows []slo.Window, end int64) {
	step := int64(60)
	if r.timing.Resolution != 0 {
		step = int64(r.timing.Resolution / time.Second)
	}
	step = max(step, sliceOf(s))
	for _, w := range slo.BurnWindows() {
		length := int64(w.Length/time.Second) / int64(max(r.timing.Scale, 1))
		windows = append(windows, slo.Window{Name: w.Name, Length: time.Duration((length+step-1)/step*step) * time.Second})
	}
	return windows, r.asof / step * step
}

func key(s *slo.SLO, f fact) string {
	values := make([]string, len(s.Grouping.By))
	for i, d := range s.Grouping.By {
		values[i] = f.dimensions[d]
	}
	return strings.Join(values, "\x00")
}

// groups ranks the groups by their events in the budget window, and returns which keys each of them has.
func (r *referee) groups(s *slo.SLO) map[string]func(fact) bool {
	from, to := r.budget(s)
	weight := map[string]uint64{}
	for _, f := range r.between(from, to) {
		switch {
		case !concerns(s, f), r.excluded(s, f.at, budgetStep(s)):
		case s.Indicator.Measure == slo.MeasureCount:
			weight[key(s, f)] += f.count
		case s.Indicator.Measure == "":
			if selects(slices.Concat(s.Indicator.Total, s.Indicator.Unjudged), f) {
				weight[key(s, f)] += f.count
			} else if s.Indicator.Separate && selects(s.Indicator.Hit, f) {
				weight[key(s, f)] += 0
			}
		case f.dimensions[schema.EventName] == "websocket.connections":
			weight[key(s, f)] = 1 // counted below, by the report
		}
	}
	for k := range weight {
		in := func(f fact) bool { return concerns(s, f) && key(s, f) == k }
		if s.Indicator.Measure != "" && s.Indicator.Measure != slo.MeasureCount {
			var of []fact
			for _, f := range r.between(from, to) {
				if in(f) && !r.excluded(s, f.at, budgetStep(s)) {
					of = append(of, f)
				}
			}
			weight[k] = uint64(len(reports(of)))
		}
	}
	if s.Indicator.Active && !r.excluded(s, r.asof-1, 60) {
		keys := map[string]bool{}
		for _, f := range r.between(r.asof-60, r.asof) {
			keys[key(s, f)] = true
		}
		for k := range keys {
			if n := r.open(s, func(f fact) bool { return key(s, f) == k }); n > 0 {
				weight[k] += n
			}
		}
	}
	const others = slo.OtherGroups + "\x00"
	var ranked []string
	for k := range weight {
		ranked = append(ranked, k)
	}
	slices.SortFunc(ranked, func(a, b string) int {
		if weight[a] != weight[b] {
			return int(int64(weight[b]) - int64(weight[a]))
		}
		return strings.Compare(strings.ReplaceAll(a, "\x00", "."), strings.ReplaceAll(b, "\x00", "."))
	})
	ranked = ranked[:min(len(ranked), s.Grouping.Max)]
	groups := map[string]func(fact) bool{others: func(f fact) bool { return !slices.Contains(ranked, key(s, f)) }}
	for _, k := range ranked {
		groups[k] = func(f fact) bool { return key(s, f) == k }
	}
	return groups
}

// counts is everything the reference says of an SLO, or of one group of it.
func (r *referee) counts(s *slo.SLO, in func(fact) bool) slo.Counts {
	var c slo.Counts
	windows, end := r.burn(s)
	for _, w := range windows {
		n := r.window(s, end-int64(w.Length/time.Second), end, max(60, sliceOf(s)), in)
		n.Window = w
		c.Windows = append(c.Windows, n)
	}
	from, to := r.budget(s)
	c.Budget = r.window(s, from, to, budgetStep(s), in)
	c.Budget.Length = time.Duration(to-from) * time.Second
	return c
}

// require compares what the engine counted with the reference, and returns how many numbers are equal.
func (r *referee) require(t testing.TB, s *slo.SLO, got slo.Counts, note string) int {
	t.Helper()
	if len(s.Members) > 0 {
		compared := 0
		require.Len(t, got.Members, len(s.Members))
		var total uint64
		members := *r
		for _, e := range r.exclusions {
			if e.Service == s.Service && e.SLO == s.Name { // is also one of its members
				for i := range s.Members {
					e.Service, e.SLO = s.Members[i].SLO.Service, s.Members[i].SLO.Name
					members.exclusions = append(slices.Clone(members.exclusions), e)
				}
			}
		}
		for i := range s.Members {
			compared += members.require(t, &s.Members[i].SLO, got.Members[i], note)
			total += got.Members[i].Budget.Total
		}
		require.Equal(t, total, got.Budget.Total)
		return compared
	}
	compare := func(want, got slo.Counts, note string) int {
		want.Budget.Name, want.Groups, got.Groups = got.Budget.Name, nil, nil
		require.Equal(t, want, got, note)
		return 3 * (len(want.Windows) + 1)
	}
	note = fmt.Sprintf("%s of %s, %s", s.Name, s.Service, note)
	compared := compare(r.counts(s, func(fact) bool { return true }), got, note)
	if len(s.Grouping.By) == 0 {
		require.Empty(t, got.Groups)
		return compared
	}
	groups := r.groups(s)
	require.LessOrEqual(t, len(got.Groups), s.Grouping.Max+1)
	found := map[string]bool{}
	for _, g := range got.Groups {
		k := strings.Join(g.Key, "\x00")
		if g.Key == nil {
			k = slo.OtherGroups + "\x00"
		}
		require.Contains(t, groups, k, note)
		found[k] = true
		compared += compare(r.counts(s, groups[k]), g.Counts, note+", group "+k)
	}
	for k, in := range groups {
		if !found[k] {
			require.Zero(t, r.counts(s, in).Budget.Total, "%s, group %q is missing", note, k)
		}
	}
	return compared
}

// TestWideSQLEqualsReference counts random histories of events through the store's views, and in Go: every budgeting method,
// window, group and measure, before and after the late events came.
func TestWideSQLEqualsReference(t *testing.T) {
	t.Parallel()
	slos, err := slo.Load("testdata/valid/matrix.yaml")
	require.NoError(t, err)
	documents := len(slos)
	all, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat"}, AuthVantage: "app", Indicators: indicatorNames(t)})
	require.NoError(t, err)
	slos = append(slos, all...)
	staging, err := slo.Defaults(slo.DefaultSettings{Services: []string{"feed"}, Environment: "staging", Vantage: "app", Indicators: indicatorNames(t)})
	require.NoError(t, err)
	slos = append(slos, staging...)
	timings := []slo.Timing{{}, {Resolution: 10 * time.Second, Scale: 60}}
	if os.Getenv("SOCKEYE_EQUALITY") != "full" {
		timings = timings[:1]
	}
	compared := 0
	for seed, timing := range timings {
		random := rand.New(rand.NewPCG(uint64(seed), 11))
		s, dsn := open(t)
		// Lately, because the store forgets what is old.
		asof := time.Now().UTC().Add(-time.Duration(random.IntN(600)) * time.Second).Truncate(10 * time.Second)
		events := facts(random, asof, 4000)
		slices.SortStableFunc(events, func(a, b fact) int { return int(a.at - b.at) })
		inTime := slices.DeleteFunc(slices.Clone(events), func(f fact) bool { return f.late })
		late := slices.DeleteFunc(slices.Clone(events), func(f fact) bool { return !f.late })
		insertFacts(t, dsn, inTime)
		for round, stored := range [][]fact{inTime, events, events} {
			if round == 1 {
				insertFacts(t, dsn, late)
			}
			var exclusions []slo.Exclusion
			if round == 2 {
				exclusions = excluding(random, asof, slos)
			}
			q := slo.Plan(slo.Exclude(slos, exclusions), asof, timing)
			r := referee{facts: stored, asof: q.AsOf.Unix(), timing: timing, exclusions: exclusions}
			counts := count(t, s, q)
			for i := range slos {
				compared += r.require(t, &slos[i], counts[i], fmt.Sprintf("seed %d, as of %d, resolution %v", seed, asof.Unix(), timing.Resolution))
				// Of a service that has everything; a calendar window may have begun a minute ago.
				if round < 2 && i < documents && slos[i].Calendar == nil {
					require.NotZero(t, counts[i].Budget.Good, slos[i].Name)
					require.Less(t, counts[i].Budget.Good, counts[i].Budget.Total, slos[i].Name)
				}
			}
		}
	}
	t.Logf("%d counts of %d SLOs are equal", compared, len(slos))
}

// excluding draws exclusions: short and long ones, some that overlap, of a service or of one SLO.
func excluding(random *rand.Rand, asof time.Time, slos []slo.SLO) []slo.Exclusion {
	var exclusions []slo.Exclusion
	spans := []time.Duration{20 * time.Minute, 5 * time.Hour, 60 * time.Hour, 34 * 24 * time.Hour}
	for i := range 12 {
		s := &slos[random.IntN(len(slos))]
		e := slo.Exclusion{ID: fmt.Sprint(i), Service: s.Service, SLO: s.Name}
		if i%4 == 0 {
			e.SLO = ""
		}
		span := spans[i%len(spans)]
		e.From = asof.Add(-time.Duration(random.Int64N(int64(span)))).Truncate(time.Minute)
		e.To = e.From.Add(time.Minute + time.Duration(random.Int64N(int64(span/3)))).Truncate(time.Minute)
		exclusions = append(exclusions, e)
	}
	return exclusions
}

// indicatorNames are those of slo/defaults.
func indicatorNames(t testing.TB) []string {
	t.Helper()
	templates, err := slo.Parse(slo.DefaultSources()...)
	require.NoError(t, err)
	var names []string
	for _, s := range templates {
		names = append(names, s.Name)
	}
	return names
}
