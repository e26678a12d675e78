package piiprocessor

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/internal/metadata"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

var noon = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

func redactor(change ...func(*Config)) *Redactor {
	cfg := createDefaultConfig().(*Config)
	for _, f := range change {
		f(cfg)
	}
	return NewRedactor(cfg, []byte(strings.Repeat("k", 32)))
}

func scanUnknown(cfg *Config) { cfg.UnknownKeys = unknownScan }

func TestAnEventKeepsItsFactsAndItsChunk(t *testing.T) {
	t.Parallel()
	var e event.Event
	e.Name, e.Time, e.Observed = event.Open, noon, noon.Add(time.Second)
	e.TraceID, e.SpanID = [16]byte{1}, [8]byte{2}
	e.Resource = event.NewResource(
		event.Named{Name: event.ServiceName, Value: event.String("chat")},
		event.Named{Name: event.ServiceVersion, Value: event.String("2.4.57.0")},
		event.Named{Name: "process.owner", Value: event.String("ann")})
	e.SetString(event.ConnectionID, "9f3c61d0a2b44e07")
	e.SetString(event.Vantage, event.VantageEdge)
	e.SetString(event.ClientAddress, "203.0.113.77")
	e.SetString(event.URLQuery, "room=a&token=b")
	e.SetInt(event.HTTPResponseStatusCode, 101)
	e.SetDouble(event.HandshakeDuration, 0.25)
	e.SetStrings(event.ClientSubprotocols, "chat.v1", "access_token", "s3cr3t")
	e.AddExtra("note", event.String("x"))

	r := redactor()
	ld := eventlog.Encode([]event.Event{e, e}, eventlog.Chunk{ID: "0123abcd:0-4096", Repeated: true})
	r.Logs(ld)
	require.Equal(t, 2, ld.LogRecordCount())
	sl := ld.ResourceLogs().At(0).ScopeLogs().At(0)
	require.Equal(t, eventlog.Chunk{ID: "0123abcd:0-4096", Records: 2, Repeated: true},
		eventlog.ChunkOf(sl.Scope()))
	require.Equal(t, eventlog.ScopeName, sl.Scope().Name())

	var got event.Event
	resource := eventlog.DecodeResource(ld.ResourceLogs().At(0).Resource())
	require.NoError(t, eventlog.DecodeRecord(sl.LogRecords().At(1), resource, &got))
	hash := got.String(event.ClientHash)
	require.True(t, redact.IsPseudonym(hash))
	want := e.Clone()
	want.Resource = event.NewResource(
		event.Named{Name: event.ServiceName, Value: event.String("chat")},
		event.Named{Name: event.ServiceVersion, Value: event.String("2.4.57.0")})
	want.SetString(event.ClientAddress, "203.0.113.0")
	want.SetString(event.URLQuery, "room=a&token=REDACTED")
	want.SetStrings(event.ClientSubprotocols, "chat.v1", "access_token", "REDACTED")
	want.SetString(event.ClientHash, hash)
	require.Equal(t, strings.Replace(string(want.AppendJSON(nil)), `"note":"x",`, "", 1), string(got.AppendJSON(nil)))

	again := plog.NewLogs()
	ld.CopyTo(again)
	r.Logs(again)
	require.Equal(t, ld, again, "redacting twice")
}

func TestASendersClientHashIsReplaced(t *testing.T) {
	t.Parallel()
	ld := plog.NewLogs()
	lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.Attributes().PutStr("client.hash", "p1:fake-1:aaaaaaaaaaaaaaaaaaaaaaaa")
	lr.Attributes().PutStr("client.address", "203.0.113.77")
	redactor().Logs(ld)
	hash, _ := lr.Attributes().Get("client.hash")
	require.True(t, redact.IsPseudonym(hash.Str()))
	require.NotContains(t, hash.Str(), "fake")
}

// slots puts a secret into every place of a log record that can hold one.
func slots(secret string) map[string]plog.Logs {
	all := map[string]plog.Logs{}
	slot := func(name string, put func(plog.ResourceLogs, plog.ScopeLogs, plog.LogRecord)) {
		ld := plog.NewLogs()
		rl := ld.ResourceLogs().AppendEmpty()
		sl := rl.ScopeLogs().AppendEmpty()
		put(rl, sl, sl.LogRecords().AppendEmpty())
		all[name] = ld
	}
	value := func(name string, at func(plog.ResourceLogs, plog.ScopeLogs, plog.LogRecord) pcommon.Value) {
		deep := func(v pcommon.Value, levels int, leaf func(pcommon.Value)) {
			for i := range levels {
				if i%2 == 0 {
					v = v.SetEmptyMap().PutEmpty("inner")
				} else {
					v = v.SetEmptySlice().AppendEmpty()
				}
			}
			leaf(v)
		}
		for kind, leaf := range map[string]func(pcommon.Value){
			"string": func(v pcommon.Value) { v.SetStr(secret) },
			"text":   func(v pcommon.Value) { v.SetStr("x " + secret + " y") },
			"bytes":  func(v pcommon.Value) { v.SetEmptyBytes().FromRaw([]byte(secret)) },
			"binary": func(v pcommon.Value) { v.SetEmptyBytes().FromRaw(append([]byte{0, 0xFF}, secret...)) },
			"key":    func(v pcommon.Value) { v.SetEmptyMap().PutStr(secret, "x") },
		} {
			for _, levels := range []int{0, 1, 2, 5, 40} {
				slot(name+" "+kind+" "+string(rune('0'+levels)), func(rl plog.ResourceLogs, sl plog.ScopeLogs, lr plog.LogRecord) {
					deep(at(rl, sl, lr), levels, leaf)
				})
			}
		}
	}
	for _, key := range []string{
		"note", "url.full", "url.query", "url.path", "websocket.close.reason", "http.response.status_code",
		"websocket.vantage",
		"client.address", "client.hash", "user.email", "session.id", "websocket.subprotocol", "redaction.masked.keys",
		"websocket.connection.id", "server.address", "log.record.original",
	} {
		value("attribute "+key, func(_ plog.ResourceLogs, _ plog.ScopeLogs, lr plog.LogRecord) pcommon.Value {
			return lr.Attributes().PutEmpty(key)
		})
	}
	value("body", func(_ plog.ResourceLogs, _ plog.ScopeLogs, lr plog.LogRecord) pcommon.Value { return lr.Body() })
	for _, key := range []string{"service.name", "host.name", "note", "process.command_line"} {
		value("resource "+key, func(rl plog.ResourceLogs, _ plog.ScopeLogs, _ plog.LogRecord) pcommon.Value {
			return rl.Resource().Attributes().PutEmpty(key)
		})
	}
	for _, key := range []string{"note", "sockeye.chunk.id", "sockeye.chunk.records", "sockeye.chunk.repeated"} {
		value("scope "+key, func(_ plog.ResourceLogs, sl plog.ScopeLogs, _ plog.LogRecord) pcommon.Value {
			return sl.Scope().Attributes().PutEmpty(key)
		})
	}
	slot("attribute key", func(_ plog.ResourceLogs, _ plog.ScopeLogs, lr plog.LogRecord) {
		lr.Attributes().PutStr(secret, "x")
	})
	slot("resource key", func(rl plog.ResourceLogs, _ plog.ScopeLogs, _ plog.LogRecord) {
		rl.Resource().Attributes().PutStr(secret, "x")
	})
	slot("scope key", func(_ plog.ResourceLogs, sl plog.ScopeLogs, _ plog.LogRecord) {
		sl.Scope().Attributes().PutStr(secret, "x")
	})
	slot("scope name", func(_ plog.ResourceLogs, sl plog.ScopeLogs, _ plog.LogRecord) { sl.Scope().SetName(secret) })
	slot("library name", func(_ plog.ResourceLogs, sl plog.ScopeLogs, _ plog.LogRecord) {
		sl.Scope().SetName("github.com/" + secret)
	})
	slot("scope version", func(_ plog.ResourceLogs, sl plog.ScopeLogs, _ plog.LogRecord) { sl.Scope().SetVersion(secret) })
	slot("resource schema", func(rl plog.ResourceLogs, _ plog.ScopeLogs, _ plog.LogRecord) {
		rl.SetSchemaUrl("https://opentelemetry.io/schemas/" + secret)
	})
	slot("scope schema", func(_ plog.ResourceLogs, sl plog.ScopeLogs, _ plog.LogRecord) {
		sl.SetSchemaUrl("https://h.example.com/?x=" + secret)
	})
	slot("event name", func(_ plog.ResourceLogs, _ plog.ScopeLogs, lr plog.LogRecord) { lr.SetEventName(secret) })
	slot("severity", func(_ plog.ResourceLogs, _ plog.ScopeLogs, lr plog.LogRecord) { lr.SetSeverityText(secret) })
	return all
}

func TestNoSlotLetsASecretThrough(t *testing.T) {
	t.Parallel()
	for kind, secret := range map[string]string{
		"e-mail":   "canary.ann@example.com",
		"token":    "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOjF9.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
		"opaque":   "canary 7 words nobody detects",
		"password": `{"password":"canary-7"}`,
	} {
		for _, unknown := range []string{unknownDrop, unknownScan} {
			t.Run(kind+" "+unknown, func(t *testing.T) {
				t.Parallel()
				if kind == "opaque" && unknown == unknownScan {
					t.Skip("free text without a mark passes a scan: that is what scan means")
				}
				r := redactor(func(cfg *Config) { cfg.UnknownKeys = unknown })
				marshaler := plog.JSONMarshaler{}
				for slot, ld := range slots(secret) {
					r.Logs(ld)
					require.Equal(t, 1, ld.LogRecordCount(), slot)
					out, err := marshaler.MarshalLogs(ld)
					require.NoError(t, err)
					text := string(out)
					for _, encoded := range []string{
						"canary", "Y2FuYXJ5", "eyJjYW5hcnk", base64.StdEncoding.EncodeToString([]byte(secret)),
					} {
						if kind == "opaque" && freeText(slot) {
							continue
						}
						require.NotContains(t, text, encoded, slot)
					}
				}
			})
		}
	}
}

// freeText reports whether the model keeps text in the slot, of which only what detectors know can go.
func freeText(slot string) bool {
	for _, known := range []string{
		"websocket.close.reason", "log.record.original", "url.path", "websocket.connection.id", "server.address",
		"websocket.subprotocol", "service.name", "host.name", "library name", "sockeye.chunk.id",
	} {
		if strings.Contains(slot, known) {
			return true
		}
	}
	return false
}

func TestNumbersUnderUnknownKeys(t *testing.T) {
	t.Parallel()
	ld := plog.NewLogs()
	lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	m := lr.Attributes()
	m.PutInt("n", 4111111111111111)
	m.PutDouble("geo.lat", 52.1)
	m.PutInt("pin", 1234)
	m.PutInt("network.bytes", 4711)
	m.PutBool("ok", true)
	m.PutInt("websocket.message.size", 4111111111111111)
	redactor(scanUnknown).Logs(ld)
	require.Equal(t, map[string]any{
		"network.bytes": int64(4711), "ok": true, "websocket.message.size": int64(4111111111111111),
	}, m.AsRaw())
}

func TestAPanicBlanksTheRecordAndKeepsItsPlace(t *testing.T) {
	t.Parallel()
	r := redactor()
	w := r.take()
	ld := plog.NewLogs()
	lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.SetEventName(string(event.Open))
	lr.Attributes().PutStr("server.address", "canary")
	w.attribute = func(string, pcommon.Value) bool { panic("canary") }
	w.record(lr)
	require.Empty(t, lr.EventName())
	require.EqualValues(t, 1, w.scanner.Counts[redact.Panic][redact.Drop])
	require.Equal(t, 1, ld.LogRecordCount())
}

func TestProcessor(t *testing.T) {
	t.Parallel()
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	core, logs := observer.New(zap.DebugLevel)
	set := processortest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	set.Logger = zap.New(core)
	cfg := createDefaultConfig().(*Config)
	cfg.KeyFile = filepath.Join(t.TempDir(), "key")
	cfg.Detectors.Phone = "off"
	cfg.Attributes.Keep = []string{"user.id"}
	next := &consumertest.LogsSink{}
	p, err := NewFactory().CreateLogs(t.Context(), set, cfg, next)
	require.NoError(t, err)
	require.True(t, p.Capabilities().MutatesData)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	require.FileExists(t, cfg.KeyFile)

	ld := plog.NewLogs()
	lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.Attributes().PutStr("client.address", "203.0.113.77")
	lr.Attributes().PutStr("note", "canary")
	lr.Attributes().PutStr("websocket.close.reason", "canary@example.com")
	require.NoError(t, p.ConsumeLogs(t.Context(), ld))
	require.Equal(t, 1, next.LogRecordCount())
	require.NoError(t, p.Shutdown(t.Context()))

	m, err := tel.GetMetric("otelcol_processor_pii_actions")
	require.NoError(t, err)
	got := map[string]int64{}
	for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
		rule, _ := point.Attributes.Value("rule")
		action, _ := point.Attributes.Value("action")
		got[rule.AsString()+" "+action.AsString()] = point.Value
	}
	require.Equal(t, map[string]int64{"ip truncate": 1, "ip hash": 1, "unknown_key drop": 1, "email mask": 1}, got)

	var messages []string
	for _, entry := range logs.All() {
		messages = append(messages, entry.Message)
		require.NotContains(t, entry.Message, "canary")
	}
	require.Equal(t, []string{
		"created the installation key; back it up, pseudonyms cannot be joined without it",
		"detectors are off: what they find passes through", "attributes pass unseen",
	}, messages)
}

func TestStartWithoutAKeySaysSoAndWithABadOneFails(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.DebugLevel)
	set := processortest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	cfg := createDefaultConfig().(*Config)
	p, err := newProcessor(set, cfg)
	require.NoError(t, err)
	require.NoError(t, p.start(t.Context(), nil))
	require.Equal(t, 1, logs.Len())
	require.Contains(t, logs.All()[0].Message, "no key file")
	ld := plog.NewLogs()
	lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.Attributes().PutStr("client.address", "203.0.113.77")
	lr.Attributes().PutStr("session.id", "s1")
	_, err = p.processLogs(t.Context(), ld)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"client.address": "203.0.113.0"}, lr.Attributes().AsRaw())
	require.NoError(t, p.shutdown(t.Context()))

	cfg.KeyFile = filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(cfg.KeyFile, []byte("canary"), 0o600))
	p, err = newProcessor(set, cfg)
	require.NoError(t, err)
	err = p.start(t.Context(), nil)
	require.ErrorContains(t, err, cfg.KeyFile)
	require.NotContains(t, err.Error(), "canary")
	require.NoError(t, p.shutdown(t.Context()))
}

// TestExamplesOfTheModelPass holds that what the event model documents is what the processor lets through.
func TestExamplesOfTheModelPass(t *testing.T) {
	t.Parallel()
	changed := map[event.Key]any{event.UserID: nil, event.UserEmail: nil}
	for _, k := range event.Keys() {
		d := k.Definition()
		var e event.Event
		e.Name, e.Time = event.Open, noon
		switch d.Kind {
		case event.KindString:
			v := d.Example
			switch k {
			case event.ClientHash, event.UserHash:
				v = "p1:abcd-20760:aaaaaaaaaaaaaaaaaaaaaaaa"
			}
			e.SetString(k, v)
		case event.KindStrings:
			e.SetStrings(k, strings.Split(d.Example, ",")...)
		case event.KindInt:
			e.SetInt(k, 4111111111111111)
		case event.KindDouble:
			e.SetDouble(k, 52.1)
		case event.KindBool:
			e.SetBool(k, true)
		}
		ld := eventlog.Encode([]event.Event{e}, eventlog.Chunk{})
		redactor().Logs(ld)
		got, ok := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().Get(k.String())
		if want, special := changed[k]; special {
			require.Nil(t, want)
			require.False(t, ok, k)
			continue
		}
		require.True(t, ok, k)
		switch k {
		case event.SessionID:
			require.True(t, redact.IsPseudonym(got.Str()))
		default:
			original := eventlog.Encode([]event.Event{e}, eventlog.Chunk{})
			v, _ := original.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().Get(k.String())
			require.Equal(t, v.AsRaw(), got.AsRaw(), k)
		}
	}
}

func TestARedactorIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	r := redactor(scanUnknown)
	want := ""
	var wg sync.WaitGroup
	results := make([]string, 8)
	for i := range results {
		wg.Go(func() {
			for range 20 {
				e := openEvent("203.0.113.77", "v=2&token=abcdef")
				e.AddExtra("note", event.String("ann@example.com"))
				ld := eventlog.Encode([]event.Event{e}, eventlog.Chunk{})
				r.Logs(ld)
				hash, _ := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().Get("client.hash")
				text, _ := r.Text("from ann@example.com")
				results[i] = hash.Str() + text
			}
		})
	}
	wg.Wait()
	want = results[0]
	for _, got := range results {
		require.Equal(t, want, got)
	}
}
