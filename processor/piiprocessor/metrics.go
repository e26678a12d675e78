package piiprocessor

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

// Metrics redacts md in place. The number of its metrics, data points and exemplars stays as it is.
func (r *Redactor) Metrics(md pmetric.Metrics) Counts {
	w := r.take()
	w.metrics(md)
	return r.release(w)
}

func (w *walker) metrics(md pmetric.Metrics) {
	for _, rm := range md.ResourceMetrics().All() {
		w.choose(rm.Resource())
		rm.SetSchemaUrl(w.schemaURL(rm.SchemaUrl()))
		w.resource(rm.Resource())
		for _, sm := range rm.ScopeMetrics().All() {
			sm.SetSchemaUrl(w.schemaURL(sm.SchemaUrl()))
			w.instrumentation(sm.Scope())
			for _, m := range sm.Metrics().All() {
				w.metric(m)
			}
		}
	}
}

func (w *walker) metric(m pmetric.Metric) {
	defer func() {
		if recover() != nil {
			w.scanner.CountDrop(redact.Panic)
			m.SetName(redact.Redacted)
			m.SetDescription("")
			m.SetUnit("")
			pcommon.NewMap().MoveTo(m.Metadata())
			m.SetEmptyGauge()
		}
	}()
	w.scanner.SetTime(asTime())
	w.tenant(m.Metadata())
	if name := m.Name(); name != "" {
		m.SetName(w.metricName(name))
	}
	if text := m.Description(); text != "" {
		m.SetDescription(w.foreign(text))
	}
	if unit := m.Unit(); unit != "" {
		m.SetUnit(w.unit(unit))
	}
	w.walk(m.Metadata(), redact.Record)
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		w.numbers(m.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		w.numbers(m.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			w.point(p.Timestamp(), p.StartTimestamp(), p.Attributes())
			w.exemplars(p.Exemplars())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			w.point(p.Timestamp(), p.StartTimestamp(), p.Attributes())
			w.exemplars(p.Exemplars())
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			w.point(p.Timestamp(), p.StartTimestamp(), p.Attributes())
		}
	case pmetric.MetricTypeEmpty:
	}
}

func (w *walker) numbers(points pmetric.NumberDataPointSlice) {
	for _, p := range points.All() {
		w.point(p.Timestamp(), p.StartTimestamp(), p.Attributes())
		w.exemplars(p.Exemplars())
	}
}

func (w *walker) point(at, start pcommon.Timestamp, attributes pcommon.Map) {
	w.scanner.SetTime(asTime(at, start))
	w.tenant(attributes)
	w.walk(attributes, redact.Record)
}

// exemplars are treated in the time of their point, so that what they share has one pseudonym.
func (w *walker) exemplars(list pmetric.ExemplarSlice) {
	for _, e := range list.All() {
		w.walk(e.FilteredAttributes(), redact.Record)
	}
}

// metricName keeps what code can have named an instrument. A metric needs a name, so that one which cannot be kept
// becomes REDACTED.
func (w *walker) metricName(name string) string {
	if len(name) <= maxName && codeName(name) {
		if _, verdict := w.scanner.String(w.engine.Path(), name); verdict == redact.Kept {
			return name
		}
	} else {
		w.scanner.CountMask(redact.UnknownValue)
	}
	return redact.Redacted
}

// maxUnit is the length of a unit: OpenTelemetry allows 63 characters, and longer ones than this do not occur.
const maxUnit = 32

// unit keeps what can be a unit of UCUM, with OpenTelemetry's annotations such as "{message}/s".
func (w *walker) unit(unit string) string {
	for i := range len(unit) {
		switch c := unit[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("{}/.%[]*^_-'", c) >= 0:
		default:
			return w.foreign(unit)
		}
	}
	out, _ := w.scanner.Text(unit)
	if len(unit) > maxUnit || len(out) > maxUnit {
		return w.foreign(out)
	}
	return out
}
