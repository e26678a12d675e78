package websocketsliconnector

import (
	"crypto/sha256"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
)

// claim is a key as an event has it, before it is bounded.
type claim struct {
	key   key
	letIn bool
}

// tally is what one group of records says.
type tally struct {
	counted map[claim]*measures
	order   []claim

	late      map[key]uint64
	lateOrder []key

	rates      map[key]*histogram
	ratesOrder []key

	gauges    []gauge
	progress  []progress
	plaintext map[place]time.Time

	notAnEvent, noTime int64
}

// gauge is what an instance last said of itself.
type gauge struct {
	of     instance
	values []event.Value
	at     time.Time
}

type instance struct{ service, instance, environment, region, vantage string }

// place is where clients without TLS were seen, when an open was last.
type place struct{ service, environment, region, vantage string }

// progress is how far a source has been read.
type progress struct {
	of      source
	through int64
	backlog int64
	at      time.Time
}

type source struct{ name, service, vantage string }

// gaugeKeys are the attributes of websocket.connections that become gauges.
var gaugeKeys = func() (keys []event.Key) {
	s := event.Connections.Schema()
	for _, k := range append(append([]event.Key{}, s.Needs...), s.May...) {
		if k.Definition().Kind == event.KindInt {
			keys = append(keys, k)
		}
	}
	return keys
}()

// read tells what to count of a group. An event from before late is counted as late, unless late is zero.
func read(g *eventlog.Group, late time.Time) *tally {
	t := &tally{counted: map[claim]*measures{}, late: map[key]uint64{}, rates: map[key]*histogram{},
		plaintext: map[place]time.Time{}}
	var e event.Event
	for _, p := range g.Parts {
		resource := eventlog.DecodeResource(p.Resource.Resource())
		base := key{
			service: resource.String(event.ServiceName), environment: resource.String(event.Environment),
			region: resource.String(event.Region),
		}
		for _, lr := range p.Scope.LogRecords().All() {
			if err := eventlog.DecodeRecord(lr, resource, &e); err != nil {
				if event.Name(lr.EventName()).Known() {
					t.noTime++
				} else {
					t.notAnEvent++
				}
				continue
			}
			t.add(&e, base, late)
		}
	}
	return t
}

func (t *tally) add(e *event.Event, k key, late time.Time) {
	k[vantage] = e.String(event.Vantage)
	if e.Name == event.SourceProgress {
		t.progress = append(t.progress, progress{
			of:      source{e.String(event.ProgressSource), k[service], k[vantage]},
			through: e.Get(event.ProgressReadThrough).Int(), backlog: e.Get(event.ProgressBacklog).Int(), at: e.Time,
		})
		return
	}
	facts := e.Facts()
	if !late.IsZero() && facts.CountedAt.Before(late) {
		k := key{service: k[service], vantage: k[vantage]}
		if _, there := t.late[k]; !there {
			t.lateOrder = append(t.lateOrder, k)
		}
		t.late[k] += facts.Count
		return
	}
	if e.Name == event.Connections {
		g := gauge{at: e.Time, of: instance{
			k[service], e.Resource.String(event.ServiceInstanceID), k[environment], k[region], k[vantage]}}
		for _, k := range gaugeKeys {
			g.values = append(g.values, e.Get(k))
		}
		t.gauges = append(t.gauges, g)
	}
	if scheme := e.String(event.URLScheme); e.Name == event.Open && (scheme == "ws" || scheme == "http") {
		at := place{k[service], k[environment], k[region], k[vantage]}
		if e.Time.After(t.plaintext[at]) {
			t.plaintext[at] = e.Time
		}
	}
	t.addRates(e, k)
	k[visibility], k[tenant], k[eventName] = e.String(event.SourceVisibility), e.String(event.TenantID), string(e.Name)
	k[direction], k[outcome], k[errorType] = facts.Direction, string(facts.Outcome), e.String(event.ErrorType)
	k[fault], k[policy] = string(facts.Fault), facts.Policy
	c := claim{k, e.LetIn()}
	m := t.counted[c]
	if m == nil {
		m = &measures{}
		t.counted[c] = m
		t.order = append(t.order, c)
	}
	m.Count += facts.Count
	m.Bytes += facts.Bytes
	if facts.Timed {
		if m.Durations == nil {
			m.Durations = &histogram{}
		}
		m.Durations.observe(facts.Duration, facts.Count, bounds)
	}
	if e.TraceID != [16]byte{} {
		x := exemplar{trace: e.TraceID, span: e.SpanID, value: 1, at: facts.CountedAt.UnixNano()}
		m.count = x
		if facts.Timed {
			x.value = facts.Duration
			m.duration = x
		}
	}
}

// addRates counts how many bytes per second a connection that closed moved, each direction that the source knows.
func (t *tally) addRates(e *event.Event, of key) {
	lasted := e.Get(event.ConnectionDuration)
	if e.Name != event.Close || lasted.Kind() == event.KindAbsent || lasted.Double() <= 0 {
		return
	}
	for i, way := range []string{"receive", "transmit"} {
		bytes := e.Get([]event.Key{event.IOReceived, event.IOSent}[i])
		if bytes.Kind() == event.KindAbsent {
			continue
		}
		k := key{
			service: of[service], environment: of[environment], region: of[region], vantage: of[vantage], direction: way}
		if t.rates[k] == nil {
			t.rates[k] = &histogram{}
			t.ratesOrder = append(t.ratesOrder, k)
		}
		t.rates[k].observe(float64(bytes.Int())/lasted.Double(), 1, event.RateBounds[:])
	}
}

// keyOf names a group: by the chunk's id, or where the group is not the chunk that its source cut, by its content.
func keyOf(g *eventlog.Group) (chunkKey, error) {
	var k chunkKey
	if g.Exact() {
		sum := sha256.Sum256([]byte("id:" + g.Chunk.ID))
		return chunkKey(sum[:len(k)]), nil
	}
	ld := plog.NewLogs()
	for _, p := range g.Parts {
		rl := ld.ResourceLogs().AppendEmpty()
		p.Resource.Resource().CopyTo(rl.Resource())
		sl := rl.ScopeLogs().AppendEmpty()
		p.Scope.CopyTo(sl)
		sl.Scope().Attributes().Remove(eventlog.ChunkRepeatedKey)
	}
	var m plog.ProtoMarshaler
	content, err := m.MarshalLogs(ld)
	if err != nil {
		return k, err
	}
	sum := sha256.Sum256(content)
	return chunkKey(sum[:len(k)]), nil
}
