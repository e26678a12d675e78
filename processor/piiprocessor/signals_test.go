package piiprocessor

import (
	"context"
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sockeye-project/sockeye/processor/piiprocessor/internal/metadata"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

// signal is a trace or a metric with one secret in it.
type signal struct {
	redact func(*Redactor)
	text   func(*testing.T) string
	count  func() int
}

func traceSignal(put func(ptrace.ResourceSpans, ptrace.ScopeSpans, ptrace.Span)) signal {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	ss := rs.ScopeSpans().AppendEmpty()
	put(rs, ss, ss.Spans().AppendEmpty())
	return signal{
		redact: func(r *Redactor) { r.Traces(td) },
		text: func(t *testing.T) string {
			text, err := new(ptrace.JSONMarshaler).MarshalTraces(td)
			require.NoError(t, err)
			return string(text)
		},
		count: td.SpanCount,
	}
}

func metricSignal(put func(pmetric.ResourceMetrics, pmetric.ScopeMetrics, pmetric.Metric)) signal {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	sm := rm.ScopeMetrics().AppendEmpty()
	put(rm, sm, sm.Metrics().AppendEmpty())
	return signal{
		redact: func(r *Redactor) { r.Metrics(md) },
		text: func(t *testing.T) string {
			text, err := new(pmetric.JSONMarshaler).MarshalMetrics(md)
			require.NoError(t, err)
			return string(text)
		},
		count: md.MetricCount,
	}
}

// attributeSlots puts a secret under, beside and inside an attribute of the map that at returns.
func attributeSlots(secret string, add func(name string, put func(pcommon.Map))) {
	for kind, leaf := range map[string]func(pcommon.Value){
		"string": func(v pcommon.Value) { v.SetStr(secret) },
		"bytes":  func(v pcommon.Value) { v.SetEmptyBytes().FromRaw([]byte(secret)) },
		"binary": func(v pcommon.Value) { v.SetEmptyBytes().FromRaw(append([]byte{0, 0xFF}, secret...)) },
		"map":    func(v pcommon.Value) { v.SetEmptyMap().PutStr("x", secret) },
		"member": func(v pcommon.Value) { v.SetEmptySlice().AppendEmpty().SetEmptyMap().PutStr(secret, "x") },
		"list":   func(v pcommon.Value) { v.SetEmptySlice().AppendEmpty().SetEmptySlice().AppendEmpty().SetStr(secret) },
		"deep": func(v pcommon.Value) {
			for range 40 {
				v = v.SetEmptyMap().PutEmpty("inner")
			}
			v.SetStr(secret)
		},
	} {
		for _, key := range []string{"note", "url.query", "http.response.status_code", "client.hash", "user.email"} {
			add(key+" "+kind, func(m pcommon.Map) { leaf(m.PutEmpty(key)) })
		}
	}
	add("key", func(m pcommon.Map) { m.PutStr(secret, "x") })
}

func traceSlots(secret string) map[string]signal {
	all := map[string]signal{}
	add := func(name string, put func(ptrace.ResourceSpans, ptrace.ScopeSpans, ptrace.Span)) {
		all["trace "+name] = traceSignal(put)
	}
	for place, at := range map[string]func(ptrace.ResourceSpans, ptrace.ScopeSpans, ptrace.Span) pcommon.Map{
		"resource": func(rs ptrace.ResourceSpans, _ ptrace.ScopeSpans, _ ptrace.Span) pcommon.Map {
			return rs.Resource().Attributes()
		},
		"scope": func(_ ptrace.ResourceSpans, ss ptrace.ScopeSpans, _ ptrace.Span) pcommon.Map {
			return ss.Scope().Attributes()
		},
		"span": func(_ ptrace.ResourceSpans, _ ptrace.ScopeSpans, span ptrace.Span) pcommon.Map {
			return span.Attributes()
		},
		"event": func(_ ptrace.ResourceSpans, _ ptrace.ScopeSpans, span ptrace.Span) pcommon.Map {
			return span.Events().AppendEmpty().Attributes()
		},
		"link": func(_ ptrace.ResourceSpans, _ ptrace.ScopeSpans, span ptrace.Span) pcommon.Map {
			return span.Links().AppendEmpty().Attributes()
		},
	} {
		attributeSlots(secret, func(name string, put func(pcommon.Map)) {
			add(place+" "+name, func(rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) { put(at(rs, ss, span)) })
		})
	}
	for name, put := range map[string]func(ptrace.ResourceSpans, ptrace.ScopeSpans, ptrace.Span){
		"name":        func(_ ptrace.ResourceSpans, _ ptrace.ScopeSpans, span ptrace.Span) { span.SetName(secret) },
		"method name": func(_ ptrace.ResourceSpans, _ ptrace.ScopeSpans, span ptrace.Span) { span.SetName("GET /" + secret) },
		"status":      func(_ ptrace.ResourceSpans, _ ptrace.ScopeSpans, span ptrace.Span) { span.Status().SetMessage(secret) },
		"state": func(_ ptrace.ResourceSpans, _ ptrace.ScopeSpans, span ptrace.Span) {
			span.TraceState().FromRaw("a=" + secret)
		},
		"sampling state": func(_ ptrace.ResourceSpans, _ ptrace.ScopeSpans, span ptrace.Span) {
			span.TraceState().FromRaw("ot=th:" + secret)
		},
		"event name": func(_ ptrace.ResourceSpans, _ ptrace.ScopeSpans, span ptrace.Span) {
			span.Events().AppendEmpty().SetName(secret)
		},
		"link state": func(_ ptrace.ResourceSpans, _ ptrace.ScopeSpans, span ptrace.Span) {
			span.Links().AppendEmpty().TraceState().FromRaw("a=" + secret)
		},
		"scope name":    func(_ ptrace.ResourceSpans, ss ptrace.ScopeSpans, _ ptrace.Span) { ss.Scope().SetName(secret) },
		"scope version": func(_ ptrace.ResourceSpans, ss ptrace.ScopeSpans, _ ptrace.Span) { ss.Scope().SetVersion(secret) },
		"scope schema": func(_ ptrace.ResourceSpans, ss ptrace.ScopeSpans, _ ptrace.Span) {
			ss.SetSchemaUrl("https://x/?q=" + secret)
		},
		"resource schema": func(rs ptrace.ResourceSpans, _ ptrace.ScopeSpans, _ ptrace.Span) {
			rs.SetSchemaUrl("https://x/?q=" + secret)
		},
	} {
		add(name, put)
	}
	return all
}

func metricSlots(secret string) map[string]signal {
	all := map[string]signal{}
	add := func(name string, put func(pmetric.ResourceMetrics, pmetric.ScopeMetrics, pmetric.Metric)) {
		all["metric "+name] = metricSignal(put)
	}
	type place = func(pmetric.ResourceMetrics, pmetric.ScopeMetrics, pmetric.Metric) pcommon.Map
	for name, at := range map[string]place{
		"resource": func(rm pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, _ pmetric.Metric) pcommon.Map {
			return rm.Resource().Attributes()
		},
		"scope": func(_ pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, _ pmetric.Metric) pcommon.Map {
			return sm.Scope().Attributes()
		},
		"metadata": func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) pcommon.Map {
			return m.Metadata()
		},
		"gauge": func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) pcommon.Map {
			return m.SetEmptyGauge().DataPoints().AppendEmpty().Attributes()
		},
		"sum": func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) pcommon.Map {
			return m.SetEmptySum().DataPoints().AppendEmpty().Attributes()
		},
		"histogram": func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) pcommon.Map {
			return m.SetEmptyHistogram().DataPoints().AppendEmpty().Attributes()
		},
		"exponential histogram": func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) pcommon.Map {
			return m.SetEmptyExponentialHistogram().DataPoints().AppendEmpty().Attributes()
		},
		"summary": func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) pcommon.Map {
			return m.SetEmptySummary().DataPoints().AppendEmpty().Attributes()
		},
		"exemplar of a sum": func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) pcommon.Map {
			return m.SetEmptySum().DataPoints().AppendEmpty().Exemplars().AppendEmpty().FilteredAttributes()
		},
		"exemplar of a histogram": func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) pcommon.Map {
			return m.SetEmptyHistogram().DataPoints().AppendEmpty().Exemplars().AppendEmpty().FilteredAttributes()
		},
		"exemplar of an exponential histogram": func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) pcommon.Map {
			return m.SetEmptyExponentialHistogram().DataPoints().AppendEmpty().Exemplars().AppendEmpty().FilteredAttributes()
		},
	} {
		attributeSlots(secret, func(kind string, put func(pcommon.Map)) {
			add(name+" "+kind, func(rm pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, m pmetric.Metric) { put(at(rm, sm, m)) })
		})
	}
	for name, put := range map[string]func(pmetric.ResourceMetrics, pmetric.ScopeMetrics, pmetric.Metric){
		"name":        func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) { m.SetName(secret) },
		"description": func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) { m.SetDescription(secret) },
		"unit":        func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) { m.SetUnit(secret) },
		"annotation": func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) {
			m.SetUnit("{" + secret + "}")
		},
		"scope name": func(_ pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, _ pmetric.Metric) { sm.Scope().SetName(secret) },
		"scope version": func(_ pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, _ pmetric.Metric) {
			sm.Scope().SetVersion(secret)
		},
		"scope schema": func(_ pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, _ pmetric.Metric) {
			sm.SetSchemaUrl("https://x/?q=" + secret)
		},
		"resource schema": func(rm pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, _ pmetric.Metric) {
			rm.SetSchemaUrl("https://x/?q=" + secret)
		},
	} {
		add(name, put)
	}
	return all
}

// shows reports whether the secret, or what tells it, stands in JSON, as text or as bytes.
func shows(text, secret string) bool {
	for _, form := range []string{
		"canary", "eyJjYW5hcnk", base64.StdEncoding.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString(append([]byte{0, 0xFF}, secret...)),
	} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

func TestNoSlotOfATraceOrMetricLetsASecretThrough(t *testing.T) {
	t.Parallel()
	for kind, secret := range map[string]string{
		"e-mail":   "canary.ann@example.com",
		"token":    "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOjF9.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
		"opaque":   "canary 7 words nobody detects",
		"password": `{"password":"canary-7"}`,
	} {
		for _, unknown := range []string{unknownDrop, unknownScan} {
			if kind == "opaque" && unknown == unknownScan {
				continue // free text without a mark passes a scan: that is what scan means
			}
			t.Run(kind+" "+unknown, func(t *testing.T) {
				t.Parallel()
				r := redactor(func(cfg *Config) { cfg.UnknownKeys = unknown })
				slots := traceSlots(secret)
				for name, s := range metricSlots(secret) {
					slots[name] = s
				}
				for name, s := range slots {
					require.True(t, shows(s.text(t), secret), name)
					s.redact(r)
					require.Equal(t, 1, s.count(), name)
					once := s.text(t)
					require.False(t, shows(once, secret), "%s: %s", name, once)
					s.redact(r)
					require.Equal(t, once, s.text(t), "redacting twice: %s", name)
				}
			})
		}
	}
}

// TestAResourceKeepsNoReferencesToEntities holds what the API of pdata does not show.
func TestAResourceKeepsNoReferencesToEntities(t *testing.T) {
	t.Parallel()
	ld, err := new(plog.JSONUnmarshaler).UnmarshalLogs([]byte(`{"resourceLogs":[{"resource":{
		"attributes":[{"key":"service.name","value":{"stringValue":"chat"}}],"droppedAttributesCount":3,
		"entityRefs":[{"schemaUrl":"canary","type":"canary","idKeys":["canary"],"descriptionKeys":["canary"]}]}}]}`))
	require.NoError(t, err)
	before, err := new(plog.JSONMarshaler).MarshalLogs(ld)
	require.NoError(t, err)
	require.Contains(t, string(before), "canary")
	redactor(scanUnknown).Logs(ld)
	after, err := new(plog.JSONMarshaler).MarshalLogs(ld)
	require.NoError(t, err)
	require.NotContains(t, string(after), "canary")
	resource := ld.ResourceLogs().At(0).Resource()
	require.Equal(t, map[string]any{"service.name": "chat"}, resource.Attributes().AsRaw())
	require.EqualValues(t, 3, resource.DroppedAttributesCount())
}

func TestKeysOfTheModelMeanTheSameOnAResource(t *testing.T) {
	t.Parallel()
	ld := plog.NewLogs()
	resource := ld.ResourceLogs().AppendEmpty().Resource().Attributes()
	resource.PutStr("websocket.subprotocol", "bearer, wordofletters")
	resource.PutStr("url.query", "a=wordofletters")
	resource.PutStr("client.address", "203.0.113.77")
	resource.PutStr("user.id", "ann")
	resource.PutInt("server.port", 4111111111111111)
	redactor(scanUnknown).Logs(ld)
	require.Equal(t, map[string]any{
		"websocket.subprotocol": "bearer, REDACTED", "url.query": "a=REDACTED", "client.address": "203.0.113.0",
	}, resource.AsRaw())
}

// cleanTraces and cleanMetrics have nothing to remove.
func cleanTraces() ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.SetSchemaUrl("https://opentelemetry.io/schemas/1.40.0")
	rs.Resource().Attributes().PutStr("service.name", "chat")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("github.com/example/chat")
	ss.Scope().SetVersion("v1.2.3")
	for range 20 {
		span := ss.Spans().AppendEmpty()
		span.SetName("GET /rooms/:id")
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(noon))
		span.TraceState().FromRaw("ot=th:c;rv:6e6d1a75832a2f")
		span.Attributes().PutStr("server.address", "chat.example.com")
		span.Attributes().PutStr("url.path", "/rooms/42")
		span.Attributes().PutInt("http.response.status_code", 101)
		e := span.Events().AppendEmpty()
		e.SetName("exception")
		e.Attributes().PutStr("url.path", "/rooms/42")
		span.Links().AppendEmpty().TraceState().FromRaw("ot=th:0")
	}
	return td
}

func cleanMetrics() pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "chat")
	sm := rm.ScopeMetrics().AppendEmpty()
	for range 20 {
		m := sm.Metrics().AppendEmpty()
		m.SetName("http.server.request.duration")
		m.SetUnit("{message}/s")
		p := m.SetEmptyHistogram().DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(noon))
		p.Attributes().PutStr("server.address", "chat.example.com")
		p.Attributes().PutStr("url.path", "/rooms/42")
		p.Exemplars().AppendEmpty().FilteredAttributes().PutStr("url.path", "/rooms/42")
		m = sm.Metrics().AppendEmpty()
		m.SetName("process_resident_memory_bytes_total")
		m.SetUnit("By")
		m.SetEmptyGauge().DataPoints().AppendEmpty().Attributes().PutStr("server.address", "chat.example.com")
	}
	return md
}

func TestCleanTracesAndMetricsStayAndCostNoAllocation(t *testing.T) {
	r := redactor()
	td, md := cleanTraces(), cleanMetrics()
	require.Equal(t, Counts{}, r.Traces(td))
	require.Equal(t, Counts{}, r.Metrics(md))
	require.Equal(t, cleanTraces(), td)
	require.Equal(t, cleanMetrics(), md)
	// Without the pool, which gives back what it likes.
	w := r.take()
	require.Zero(t, testing.AllocsPerRun(100, func() { w.traces(td) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { w.metrics(md) }))
}

func TestNamesOfSpansAndMetrics(t *testing.T) {
	t.Parallel()
	w := redactor().take()
	for name, want := range map[string]string{
		"GET /rooms/:id":                      "GET /rooms/:id",
		"chat.Rooms/Join":                     "chat.Rooms/Join",
		"websocket.open":                      "websocket.open",
		"GET /rooms/4111111111111111":         "GET /rooms/[card]",
		"join the room":                       "",
		"GET /rooms?token=abc":                "",
		"Ann /rooms":                          "",
		"4111111111111111":                    "[card]",
		"GET " + strings.Repeat("/rooms", 50): "",
	} {
		require.Equal(t, want, w.spanName(name), name)
	}
	for name, want := range map[string]string{
		"http.server.request.duration": "http.server.request.duration", "go_gc_duration_seconds": "go_gc_duration_seconds",
		"requests of ann": redact.Redacted, "card.4111111111111111": redact.Redacted,
	} {
		require.Equal(t, want, w.metricName(name), name)
	}
	for unit, want := range map[string]string{
		"By": "By", "ms": "ms", "{message}/s": "{message}/s", "%": "%", "1": "1", "m/s^2": "m/s^2",
		"a@b": "", "4111111111111111": "[card]", strings.Repeat("m", 33): "",
	} {
		require.Equal(t, want, w.unit(unit), unit)
	}
}

func TestPseudonymsOfASpanJoinItsLog(t *testing.T) {
	t.Parallel()
	r := redactor()
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(noon))
	event := span.Events().AppendEmpty()
	event.SetTimestamp(pcommon.NewTimestampFromTime(noon.Add(48 * time.Hour)))
	ld := plog.NewLogs()
	lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.SetTimestamp(pcommon.NewTimestampFromTime(noon))
	md := pmetric.NewMetrics()
	point := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptySum().
		DataPoints().AppendEmpty()
	point.SetTimestamp(pcommon.NewTimestampFromTime(noon))
	maps := []pcommon.Map{span.Attributes(), event.Attributes(), lr.Attributes(), point.Attributes()}
	for _, m := range maps {
		m.PutStr("client.address", "203.0.113.77")
	}
	r.Traces(td)
	r.Logs(ld)
	r.Metrics(md)
	for _, m := range maps {
		require.Equal(t, "203.0.113.0", m.AsRaw()["client.address"])
		require.True(t, redact.IsPseudonym(m.AsRaw()["client.hash"].(string)))
		require.Equal(t, lr.Attributes().AsRaw(), m.AsRaw())
	}
}

func TestAPanicBlanksTheSpanAndTheMetric(t *testing.T) {
	t.Parallel()
	s := traceSignal(func(_ ptrace.ResourceSpans, _ ptrace.ScopeSpans, span ptrace.Span) {
		span.Attributes().PutStr("url.path", "canary")
		span.Status().SetMessage("canary")
		span.Events().AppendEmpty().Attributes().PutStr("url.path", "canary")
		span.Links().AppendEmpty().TraceState().FromRaw("canary")
		w := redactor().take()
		w.attribute = func(string, pcommon.Value) bool { panic("canary") }
		w.span(span)
		require.EqualValues(t, 1, w.scanner.Counts[redact.Panic][redact.Drop])
	})
	require.NotContains(t, s.text(t), "canary")
	s = metricSignal(func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) {
		m.SetName("canary")
		m.SetEmptyGauge().DataPoints().AppendEmpty().Attributes().PutStr("url.path", "canary")
		w := redactor().take()
		w.attribute = func(string, pcommon.Value) bool { panic("canary") }
		w.metric(m)
		require.EqualValues(t, 1, w.scanner.Counts[redact.Panic][redact.Drop])
	})
	require.NotContains(t, s.text(t), "canary")
	require.Equal(t, 1, s.count())
}

func TestProcessorOfTracesAndMetrics(t *testing.T) {
	t.Parallel()
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	core, logs := observer.New(zap.DebugLevel)
	set := processortest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	set.Logger = zap.New(core)
	cfg := createDefaultConfig()
	traces, metrics := &consumertest.TracesSink{}, &consumertest.MetricsSink{}
	tp, err := NewFactory().CreateTraces(t.Context(), set, cfg, traces)
	require.NoError(t, err)
	mp, err := NewFactory().CreateMetrics(t.Context(), set, cfg, metrics)
	require.NoError(t, err)
	require.True(t, tp.Capabilities().MutatesData)
	require.True(t, mp.Capabilities().MutatesData)
	require.NoError(t, tp.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, mp.Start(t.Context(), componenttest.NewNopHost()))
	td, md := cleanTraces(), cleanMetrics()
	td.ResourceSpans().At(0).Resource().Attributes().PutStr("note", "canary")
	md.ResourceMetrics().At(0).Resource().Attributes().PutStr("note", "canary")
	require.NoError(t, tp.ConsumeTraces(t.Context(), td))
	require.NoError(t, mp.ConsumeMetrics(t.Context(), md))
	require.Equal(t, cleanTraces(), traces.AllTraces()[0])
	require.Equal(t, cleanMetrics(), metrics.AllMetrics()[0])
	require.NoError(t, tp.Shutdown(t.Context()))
	require.NoError(t, mp.Shutdown(t.Context()))
	_, err = tel.GetMetric("otelcol_processor_pii_actions")
	require.NoError(t, err)
	for _, entry := range logs.All() {
		require.NotContains(t, entry.Message, "canary")
	}
}

func TestAnObserverCountsAndChangesNothing(t *testing.T) {
	t.Parallel()
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	core, logs := observer.New(zap.WarnLevel)
	set := processortest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	set.Logger = zap.New(core)
	cfg := createDefaultConfig().(*Config)
	cfg.KeyFile = filepath.Join(t.TempDir(), "key")
	cfg.InsecureObserve = true
	sink := &consumertest.LogsSink{}
	lp, err := NewFactory().CreateLogs(t.Context(), set, cfg, sink)
	require.NoError(t, err)
	require.False(t, lp.Capabilities().MutatesData)
	require.NoError(t, lp.Start(t.Context(), componenttest.NewNopHost()))
	p, err := newProcessor(set, cfg)
	require.NoError(t, err)
	require.NoError(t, p.start(t.Context(), nil))

	ld, td, md := plog.NewLogs(), cleanTraces(), cleanMetrics()
	ld.ResourceLogs().AppendEmpty().Resource().Attributes().PutStr("note", "ann@example.com")
	td.ResourceSpans().At(0).Resource().Attributes().PutStr("note", "ann@example.com")
	md.ResourceMetrics().At(0).Resource().Attributes().PutStr("note", "ann@example.com")
	beforeLogs, beforeTraces, beforeMetrics := plog.NewLogs(), ptrace.NewTraces(), pmetric.NewMetrics()
	ld.CopyTo(beforeLogs)
	td.CopyTo(beforeTraces)
	md.CopyTo(beforeMetrics)
	ld.MarkReadOnly() // as the collector does for a processor that says it changes nothing
	td.MarkReadOnly()
	md.MarkReadOnly()
	require.NoError(t, lp.ConsumeLogs(t.Context(), ld))
	_, err = p.processTraces(t.Context(), td)
	require.NoError(t, err)
	_, err = p.processMetrics(t.Context(), md)
	require.NoError(t, err)
	require.Equal(t, beforeLogs.ResourceLogs().At(0).Resource().Attributes().AsRaw(),
		sink.AllLogs()[0].ResourceLogs().At(0).Resource().Attributes().AsRaw())
	for before, after := range map[pcommon.Map]pcommon.Map{
		beforeTraces.ResourceSpans().At(0).Resource().Attributes():    td.ResourceSpans().At(0).Resource().Attributes(),
		beforeMetrics.ResourceMetrics().At(0).Resource().Attributes(): md.ResourceMetrics().At(0).Resource().Attributes(),
	} {
		require.Equal(t, before.AsRaw(), after.AsRaw())
	}
	require.NoError(t, lp.Shutdown(t.Context()))
	require.NoError(t, p.shutdown(t.Context()))

	m, err := tel.GetMetric("otelcol_processor_pii_observed_actions")
	require.NoError(t, err)
	require.EqualValues(t, 3, m.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
	_, err = tel.GetMetric("otelcol_processor_pii_actions")
	require.Error(t, err)
	require.NotEmpty(t, logs.FilterMessageSnippet("insecure_observe").All())
}

// FuzzNames holds that a gateway changes nothing of the names that an agent has redacted.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{
		"GET /rooms/4111111111111111", "GET /a/ann@example.com", "chat.Rooms/Join", "WS /rooms/203.0.113.77/x", "{message}/s",
		"GET /" + strings.Repeat("a", 260), "ot=th:c;rv:6e6d1a75832a2f", "ot=th:;rv:g", "token=abcdef", "a b",
		"GET /eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOjF9.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
	} {
		f.Add(seed)
	}
	both := []*Redactor{redactor(), redactor(scanUnknown)}
	f.Fuzz(func(t *testing.T, name string) {
		for _, r := range both {
			w := r.take()
			for kind, treat := range map[string]func(string) string{
				"span": w.spanName, "metric": w.metricName, "unit": w.unit,
				"trace state": func(raw string) string {
					state := pcommon.NewTraceState()
					state.FromRaw(raw)
					w.traceState(state)
					return state.AsRaw()
				},
			} {
				once := treat(name)
				if once != "" {
					require.Equal(t, once, treat(once), kind)
				}
			}
			r.release(w)
		}
	})
}
