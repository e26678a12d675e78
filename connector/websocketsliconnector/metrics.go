package websocketsliconnector

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
)

// gaugeLife is how long a gauge is handed on after it was last reported. What nobody reports is unknown, not the last
// value.
const gaugeLife = time.Minute

// plaintextLife is how long it is told that clients without TLS were seen.
const plaintextLife = 24 * time.Hour

// live are the gauges that somebody reports.
type live struct {
	limit     int
	instances map[instance]gauge
	sources   map[source]progress
	plaintext map[place]time.Time
}

func newLive(limit int) *live {
	return &live{
		limit: limit, instances: map[instance]gauge{}, sources: map[source]progress{}, plaintext: map[place]time.Time{},
	}
}

func (l *live) take(t *tally) {
	for _, g := range t.gauges {
		old, known := l.instances[g.of]
		if known && g.at.Before(old.at) || !known && len(l.instances) >= l.limit {
			continue
		}
		l.instances[g.of] = g
	}
	for _, p := range t.progress {
		old, known := l.sources[p.of]
		if known && p.at.Before(old.at) || !known && len(l.sources) >= l.limit {
			continue
		}
		l.sources[p.of] = p
	}
	for of, at := range t.plaintext {
		if old, known := l.plaintext[of]; at.After(old) && (known || len(l.plaintext) < l.limit) {
			l.plaintext[of] = at
		}
	}
}

func (l *live) forget(now time.Time) {
	for k, g := range l.instances {
		if now.Sub(g.at) > gaugeLife {
			delete(l.instances, k)
		}
	}
	for k, p := range l.sources {
		if now.Sub(p.at) > gaugeLife {
			delete(l.sources, k)
		}
	}
	for k, at := range l.plaintext {
		if now.Sub(at) > plaintextLife {
			delete(l.plaintext, k)
		}
	}
}

// publisher writes metrics as of a moment.
type publisher struct {
	metrics pmetric.MetricSlice
	now     time.Time
	zeroFor time.Duration
}

// metricsOf returns all metrics. There is no resource: what the counts are about stands in the attributes, so that one
// collector may count for many services and no exporter needs to copy resources into labels.
func metricsOf(s *state, l *live, now time.Time, zeroFor time.Duration) pmetric.Metrics {
	md := pmetric.NewMetrics()
	sm := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(eventlog.ScopeName)
	p := publisher{sm.Metrics(), now, zeroFor}
	p.events(s)
	p.histogram(event.MetricEventDuration, "s", "How long handshakes, authentications and pings took.", bounds, s.counted)
	p.histogram(event.MetricConnectionRate, "By/s", "Bytes per second that connections moved, of those that closed.",
		event.RateBounds[:], s.rates)
	p.gauges(l)
	sm.Metrics().RemoveIf(func(m pmetric.Metric) bool {
		switch m.Type() {
		case pmetric.MetricTypeSum:
			return m.Sum().DataPoints().Len() == 0
		case pmetric.MetricTypeHistogram:
			return m.Histogram().DataPoints().Len() == 0
		default:
			return m.Gauge().DataPoints().Len() == 0
		}
	})
	return md
}

func (p *publisher) sum(name, unit, description string) pmetric.NumberDataPointSlice {
	m := p.metrics.AppendEmpty()
	m.SetName(name)
	m.SetUnit(unit)
	m.SetDescription(description)
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	return sum.DataPoints()
}

// held reports whether a metric that began then is still shown as zero.
func (p *publisher) held(since int64) bool { return p.now.Sub(time.Unix(0, since)) < p.zeroFor }

// point fills in what every cumulative point has.
func (p *publisher) point(dp interface {
	SetStartTimestamp(pcommon.Timestamp)
	SetTimestamp(pcommon.Timestamp)
	Attributes() pcommon.Map
}, k *key, since int64) {
	dp.SetStartTimestamp(pcommon.Timestamp(since))
	dp.SetTimestamp(pcommon.NewTimestampFromTime(p.now))
	dp.Attributes().EnsureCapacity(dimensions)
	for i, v := range k {
		if v != "" {
			dp.Attributes().PutStr(attributes[i], v)
		}
	}
}

func (p *publisher) events(s *state) {
	points := p.sum(event.MetricEvents, "{event}", "WebSocket events, by what happened and how it went.")
	for _, one := range s.counted.all {
		dp := points.AppendEmpty()
		p.point(dp, &one.Key, one.Since)
		if !p.held(one.Since) {
			dp.SetIntValue(int64(one.Count))
			exemplify(dp.Exemplars(), one.count)
		} else {
			dp.SetIntValue(0)
		}
	}
	points = p.sum(event.MetricEventsSize, "By", "Bytes that WebSocket events report.")
	for _, one := range s.counted.all {
		if one.SizedSince == 0 {
			continue
		}
		dp := points.AppendEmpty()
		p.point(dp, &one.Key, one.SizedSince)
		dp.SetIntValue(0)
		if !p.held(one.SizedSince) {
			dp.SetIntValue(int64(one.Bytes))
		}
	}
	points = p.sum(event.MetricEventsLate, "{event}", "WebSocket events that came too late to be counted in the others.")
	for _, one := range s.late.all {
		dp := points.AppendEmpty()
		p.point(dp, &one.Key, one.Since)
		dp.SetIntValue(0)
		if !p.held(one.Since) {
			dp.SetIntValue(int64(one.Count))
		}
	}
}

var bounds = func() (seconds []float64) {
	for _, b := range event.DurationBounds {
		seconds = append(seconds, b.Seconds())
	}
	return seconds
}()

func (p *publisher) histogram(name, unit, description string, bounds []float64, of set) {
	m := p.metrics.AppendEmpty()
	m.SetName(name)
	m.SetUnit(unit)
	m.SetDescription(description)
	h := m.SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for _, one := range of.all {
		if one.TimedSince == 0 {
			continue
		}
		dp := h.DataPoints().AppendEmpty()
		p.point(dp, &one.Key, one.TimedSince)
		dp.ExplicitBounds().FromRaw(bounds)
		shown := &histogram{}
		if !p.held(one.TimedSince) {
			shown = one.Durations
			exemplify(dp.Exemplars(), one.duration)
		}
		dp.SetCount(shown.Count)
		dp.SetSum(shown.Sum)
		dp.BucketCounts().FromRaw(shown.Buckets[:])
	}
}

func exemplify(to pmetric.ExemplarSlice, x exemplar) {
	if x.trace == [16]byte{} {
		return
	}
	e := to.AppendEmpty()
	e.SetTraceID(x.trace)
	e.SetSpanID(x.span)
	e.SetDoubleValue(x.value)
	e.SetTimestamp(pcommon.Timestamp(x.at))
}

func (p *publisher) gauge(name, unit, description string) pmetric.NumberDataPointSlice {
	m := p.metrics.AppendEmpty()
	m.SetName(name)
	m.SetUnit(unit)
	m.SetDescription(description)
	return m.SetEmptyGauge().DataPoints()
}

func (p *publisher) gauges(l *live) {
	put := func(points pmetric.NumberDataPointSlice, at time.Time, named ...[2]string) pmetric.NumberDataPoint {
		dp := points.AppendEmpty()
		dp.SetTimestamp(pcommon.NewTimestampFromTime(at))
		for _, n := range named {
			if n[1] != "" {
				dp.Attributes().PutStr(n[0], n[1])
			}
		}
		return dp
	}
	for i, k := range gaugeKeys {
		d := k.Definition()
		points := p.gauge(d.Name, d.Unit, d.Brief)
		for of, g := range l.instances {
			if v := g.values[i]; v.Kind() != event.KindAbsent {
				put(points, g.at, [2]string{event.ServiceName, of.service},
					[2]string{event.ServiceInstanceID, of.instance}, [2]string{event.Environment, of.environment},
					[2]string{event.Region, of.region}, [2]string{event.Vantage.String(), of.vantage}).SetIntValue(v.Int())
			}
		}
	}
	through := p.gauge(event.ProgressReadThrough.String(), "s",
		"Unix time before which all that the source wrote has been read and stored.")
	backlog := p.gauge(event.ProgressBacklog.String(), event.ProgressBacklog.Definition().Unit,
		event.ProgressBacklog.Definition().Brief)
	for of, r := range l.sources {
		named := [][2]string{
			{event.ProgressSource.String(), of.name}, {event.ServiceName, of.service}, {event.Vantage.String(), of.vantage}}
		put(through, r.at, named...).SetDoubleValue(float64(r.through) / float64(time.Second))
		put(backlog, r.at, named...).SetIntValue(r.backlog)
	}
	plaintext := p.gauge(event.MetricPlaintext, "s", "Unix time of the last connection that was opened without TLS.")
	for of, at := range l.plaintext {
		put(plaintext, p.now, [2]string{event.ServiceName, of.service}, [2]string{event.Environment, of.environment},
			[2]string{event.Region, of.region}, [2]string{event.Vantage.String(), of.vantage}).
			SetDoubleValue(float64(at.UnixMilli()) / 1e3)
	}
}
