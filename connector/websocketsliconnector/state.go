package websocketsliconnector

import (
	"slices"
	"strings"

	"github.com/sockeye-project/sockeye/event"
)

// The dimensions of a series, in the order of key.
const (
	service = iota
	environment
	region
	vantage
	visibility
	tenant
	eventName
	direction
	outcome
	errorType
	fault
	policy
	dimensions
)

// attributes names them in the metrics.
var attributes = [dimensions]string{
	event.ServiceName, event.Environment, event.Region, event.Vantage.String(), event.SourceVisibility.String(),
	event.TenantID.String(), event.MetricEvent, event.Direction.String(), event.MetricOutcome, event.ErrorType.String(),
	event.MetricFault, event.MetricPolicy,
}

// open are those whose values nobody closes.
var open = []int{environment, region, tenant, policy}

// key is one combination of values. An empty one means that the event has none.
type key [dimensions]string

// measures are what one chunk adds to a series, or what a series has counted.
type measures struct {
	Count     uint64     `json:"n"`
	Bytes     uint64     `json:"b,omitempty"`
	Durations *histogram `json:"d,omitempty"`

	count, duration exemplar
}

// exemplar is an event with a trace; none has the zero trace.
type exemplar struct {
	trace [16]byte
	span  [8]byte
	value float64
	at    int64
}

// histogram has a bucket for each of event.DurationBounds, or of event.RateBounds, and one beyond.
type histogram struct {
	Count   uint64                                `json:"n"`
	Sum     float64                               `json:"s"`
	Buckets [len(event.DurationBounds) + 1]uint64 `json:"b"`
}

func (h *histogram) observe(value float64, n uint64, bounds []float64) {
	at := 0
	for at < len(bounds) && value > bounds[at] {
		at++
	}
	h.Count += n
	h.Sum += value * float64(n)
	h.Buckets[at] += n
}

func (m *measures) add(o *measures) {
	m.Count += o.Count
	m.Bytes += o.Bytes
	if o.Durations != nil {
		if m.Durations == nil {
			m.Durations = &histogram{}
		}
		m.Durations.Count += o.Durations.Count
		m.Durations.Sum += o.Durations.Sum
		for i, n := range o.Durations.Buckets {
			m.Durations.Buckets[i] += n
		}
	}
	if o.count.trace != [16]byte{} {
		m.count = o.count
	}
	if o.duration.trace != [16]byte{} {
		m.duration = o.duration
	}
}

// series is what has been counted under one key.
type series struct {
	Key key `json:"k"`
	measures
	// Since, SizedSince and TimedSince are when each metric of it began, in Unix nanoseconds; 0 before that.
	Since      int64 `json:"since"`
	SizedSince int64 `json:"sized_since,omitempty"`
	TimedSince int64 `json:"timed_since,omitempty"`
}

// addition is what one chunk adds to one series.
type addition struct {
	Key key `json:"k"`
	measures
}

// entry is what one chunk adds. It is what the journal keeps, so whatever [state.apply] does follows from it alone.
type entry struct {
	Chunk chunkKey   `json:"chunk"`
	At    int64      `json:"at"`
	Add   []addition `json:"add,omitempty"`
	Late  []addition `json:"late,omitempty"`
	Rates []addition `json:"rates,omitempty"`
}

// set is series by their keys, in the order in which they came.
type set struct {
	all   []*series
	byKey map[key]*series
}

func (s *set) add(a *addition, at int64) {
	to := s.byKey[a.Key]
	if to == nil {
		to = &series{Since: at}
		for i, v := range a.Key {
			to.Key[i] = strings.Clone(v)
		}
		s.insert(to)
	}
	to.add(&a.measures)
	if to.SizedSince == 0 && to.Bytes > 0 {
		to.SizedSince = at
	}
	if to.TimedSince == 0 && to.Durations != nil {
		to.TimedSince = at
	}
}

func (s *set) insert(one *series) {
	if s.byKey == nil {
		s.byKey = map[key]*series{}
	}
	s.all = append(s.all, one)
	s.byKey[one.Key] = one
}

// state is all that has been counted.
type state struct {
	counted, late set
	// rates are of the connections of a place that closed, by direction.
	rates set
	// tenants are those that count by name, of each service.
	tenants map[string]map[string]struct{}
	chunks  chunkMemory

	maxSeries, maxTenants int
}

func newState(cfg *Config) *state {
	return &state{
		tenants: map[string]map[string]struct{}{}, chunks: chunkMemory{limit: cfg.MaxChunks},
		maxSeries: cfg.MaxSeries, maxTenants: cfg.MaxTenantsPerService,
	}
}

func (s *state) apply(e *entry) {
	for i := range e.Add {
		s.counted.add(&e.Add[i], e.At)
		s.know(&e.Add[i].Key)
	}
	for i := range e.Late {
		s.late.add(&e.Late[i], e.At)
	}
	for i := range e.Rates {
		s.rates.add(&e.Rates[i], e.At)
	}
	s.chunks.remember(e.Chunk)
}

// know keeps a tenant that has a series.
func (s *state) know(k *key) {
	name := k[tenant]
	if name == "" || name == event.TenantOther || name == event.TenantUnverified {
		return
	}
	of := s.tenants[k[service]]
	if _, known := of[name]; known {
		return
	}
	if of == nil {
		of = map[string]struct{}{}
		s.tenants[strings.Clone(k[service])] = of
	}
	of[strings.Clone(name)] = struct{}{}
}

// entryOf bounds what a chunk adds; dropped is how many events have no room.
func (s *state) entryOf(t *tally, chunk chunkKey, at int64) (e entry, dropped uint64) {
	e = entry{Chunk: chunk, At: at}
	index := map[key]int{}
	fresh := 0
	for _, c := range t.order {
		k, ok := s.admit(c.key, c.letIn, fresh, index)
		if !ok {
			dropped += t.counted[c].Count
			continue
		}
		i, there := index[k]
		if !there {
			i = len(e.Add)
			index[k] = i
			e.Add = append(e.Add, addition{Key: k})
			if s.counted.byKey[k] == nil {
				fresh++
			}
			s.know(&k)
		}
		e.Add[i].add(t.counted[c])
	}
	for _, k := range t.lateOrder {
		if s.late.byKey[k] == nil && len(s.late.all)+len(e.Late) >= s.maxSeries {
			dropped += t.late[k]
			continue
		}
		e.Late = append(e.Late, addition{Key: k, measures: measures{Count: t.late[k]}})
	}
	for _, k := range t.ratesOrder {
		if s.rates.byKey[k] == nil && len(s.rates.all)+len(e.Rates) >= s.maxSeries {
			continue // what moved is in the sums of bytes all the same
		}
		h := t.rates[k]
		e.Rates = append(e.Rates, addition{Key: k, measures: measures{Count: h.Count, Durations: h}})
	}
	return e, dropped
}

// admit returns the key that an event counts under. fresh is how many new series the same chunk makes already, which
// are in index.
func (s *state) admit(k key, letIn bool, fresh int, index map[key]int) (key, bool) {
	exists := func() bool {
		_, there := index[k]
		return there || s.counted.byKey[k] != nil
	}
	if name := k[tenant]; name != "" && name != event.TenantOther && name != event.TenantUnverified {
		of := s.tenants[k[service]]
		if _, known := of[name]; !known {
			switch {
			case !letIn:
				k[tenant] = event.TenantUnverified
			case len(of) >= s.maxTenants:
				k[tenant] = event.TenantOther
			}
		}
	}
	count := len(s.counted.all) + fresh
	if exists() || count < s.maxSeries {
		return k, true
	}
	for _, d := range open {
		if k[d] != "" {
			k[d] = event.TenantOther
		}
	}
	return k, exists() || count < s.maxSeries+s.maxSeries/4
}

// chunkKey stands for a chunk's id, or for the content of records that came without one.
type chunkKey [16]byte

// chunkMemory remembers the last chunks.
type chunkMemory struct {
	limit int
	ring  []chunkKey
	next  int
	known map[chunkKey]struct{}
}

func (m *chunkMemory) has(k chunkKey) bool {
	_, known := m.known[k]
	return known
}

func (m *chunkMemory) remember(k chunkKey) {
	if m.has(k) {
		return
	}
	if m.known == nil {
		m.known = map[chunkKey]struct{}{}
	}
	if len(m.ring) < m.limit {
		m.ring = append(m.ring, k)
	} else {
		delete(m.known, m.ring[m.next])
		m.ring[m.next] = k
		m.next = (m.next + 1) % m.limit
	}
	m.known[k] = struct{}{}
}

// oldestFirst returns the chunks in the order in which they came.
func (m *chunkMemory) oldestFirst() []chunkKey {
	return slices.Concat(m.ring[m.next:], m.ring[:m.next])
}
