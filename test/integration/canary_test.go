package integration

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
)

// canaryConfig has everything behind pii that stores, queues, logs or shows what it gets, and says as much as it can: the
// log is at level debug. /broken exporters never reach anybody, so that their queues and errors stay.
const canaryConfig = `
extensions:
  file_storage: {directory: %[1]s/storage, create_directory: true}
  zpages: {endpoint: %[5]s}
  pprof: {endpoint: %[6]s}
receivers:
  websocketlog/file:
    format: nginx
    include: [%[2]s]
    start_at: beginning
    storage: file_storage
    key_file: %[1]s/installation.key
    resource: {service.name: chat}
  websocketlog/push:
    format: ndjson
    vantage: app
    storage: file_storage
    key_file: %[1]s/installation.key
    http: {endpoint: %[3]s}
  otlp: {protocols: {http: {endpoint: %[4]s}}}
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 2000}
  pii: {key_file: %[1]s/installation.key}
  pii/scan: {unknown_keys: scan, pseudonyms: {chain_file: %[1]s/chain}}
  batch: {timeout: 100ms}
exporters:
  debug: {verbosity: detailed, sampling_initial: 100000}
  websocketclickhouse/files: {endpoint: %[8]s}
  websocketclickhouse/pushed:
    endpoint: %[8]s
    sending_queue: {storage: file_storage}
  websocketclickhouse/broken:
    endpoint: http://sockeye:%[10]s@%[9]s/sockeye
    sending_queue: {storage: file_storage}
  otlp_http/broken:
    endpoint: http://%[9]s
    headers: {authorization: Bearer %[11]s}
    compression: none
    sending_queue: {storage: file_storage}
    retry_on_failure: {initial_interval: 100ms, max_elapsed_time: 0s}
service:
  extensions: [file_storage, zpages, pprof]
  telemetry:
    logs: {level: debug}
    traces: {processors: [{simple: {exporter: {console: {}}}}]}
    metrics:
      level: detailed
      readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %[7]s}}}}]
  pipelines:
    logs/files: {receivers: [websocketlog/file], processors: [memory_limiter, pii], exporters: [debug, websocketclickhouse/files]}
    logs/pushed:
      receivers: [websocketlog/push, otlp]
      processors: [memory_limiter, pii]
      exporters: [debug, websocketclickhouse/pushed, websocketclickhouse/broken, otlp_http/broken]
    logs/scan: {receivers: [websocketlog/push, otlp], processors: [pii/scan, batch], exporters: [debug, otlp_http/broken]}
    traces: {receivers: [otlp], processors: [pii], exporters: [debug, otlp_http/broken, websocketclickhouse/pushed]}
    traces/scan: {receivers: [otlp], processors: [pii/scan, batch], exporters: [debug, otlp_http/broken, websocketclickhouse/pushed]}
    metrics: {receivers: [otlp], processors: [pii], exporters: [debug, otlp_http/broken]}
    metrics/scan: {receivers: [otlp], processors: [pii/scan, batch], exporters: [debug, otlp_http/broken]}
`

// canaries are random words, one for each slot, by which a leak is traced to the slot it began in.
type canaries struct {
	t testing.TB
	// slots has the slot of each word.
	slots map[string]string
}

// canaryMark begins every word, and cardMark every number of a card, so that one search finds all of them.
const (
	canaryMark = "canaryword"
	cardMark   = "411177"
)

// word makes the canary of a slot. It has letters only, so that it is one word to every tokeniser.
func (c *canaries) word(slot string) string {
	var random [12]byte
	_, err := rand.Read(random[:])
	require.NoError(c.t, err)
	word := canaryMark
	for _, b := range random {
		word += string(rune('a' + b%26))
	}
	c.slots[word] = slot
	return word
}

// email is the form for slots of free text, of which only what detectors know can go.
func (c *canaries) email(slot string) string { return c.word(slot) + ".ann@example.com" }

// token is the form for what stands behind "Bearer", where a word of letters alone is taken for prose.
func (c *canaries) token(slot string) string { return c.word(slot) + "-7f3Q9" }

// card is a payment card's number with the check digit of Luhn.
func (c *canaries) card(slot string) int64 {
	n, err := rand.Int(rand.Reader, big.NewInt(1e9))
	require.NoError(c.t, err)
	digits, sum := fmt.Sprintf("%s%09d", cardMark, n), 0
	for i := range digits {
		d := int(digits[i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	digits += fmt.Sprint((10 - sum%10) % 10)
	c.slots[digits] = slot
	number := int64(0)
	_, err = fmt.Sscan(digits, &number)
	require.NoError(c.t, err)
	return number
}

// requireNone fails for every canary that stands in text, as it is, in base64 or in hexadecimal.
func (c *canaries) requireNone(place string, text []byte) {
	c.t.Helper()
	forms := []string{canaryMark, cardMark, hex.EncodeToString([]byte(canaryMark))}
	for offset := range 3 {
		// What stands before a word moves it in base64; only the groups between are the same everywhere.
		moved := append(make([]byte, offset), canaryMark...)
		forms = append(forms, base64.RawStdEncoding.EncodeToString(moved)[(offset*8+5)/6:len(moved)*8/6])
	}
	leaks := map[string]string{}
	for _, form := range forms {
		for at := 0; ; at += len(form) {
			i := bytes.Index(text[at:], []byte(form))
			if i < 0 {
				break
			}
			at += i
			length := len(canaryMark) + 12
			if form == cardMark {
				length = 16
			}
			slot, known := c.slots[string(text[at:min(len(text), at+length)])]
			if form == cardMark && !known {
				continue // digits of something else
			}
			leaks[slot] = fmt.Sprintf("…%q…", text[max(0, at-100):min(len(text), at+60)])
		}
	}
	for slot, excerpt := range leaks {
		c.t.Errorf("%s has the canary of %q: %s", place, slot, excerpt)
	}
}

// fill puts canaries under, beside and inside attributes of m: under keys of the event model, in values of every type and
// depth, and in keys.
func (c *canaries) fill(m pcommon.Map, place string) {
	for _, k := range event.Keys() {
		if kind := k.Definition().Kind; kind == event.KindString || kind == event.KindStrings {
			m.PutStr(k.String(), c.email(place+" "+k.String()))
		} else {
			m.PutStr(k.String(), c.email(place+" text under "+k.String()))
		}
	}
	m.PutStr("url.query", "token="+c.word(place+" query"))
	m.PutStr("websocket.close.reason", "Bearer "+c.token(place+" reason"))
	m.PutStr("websocket.subprotocol", "bearer, "+c.word(place+" subprotocol"))
	m.PutStr("websocket.message.sample", `{"a":{"password":"`+c.word(place+" sample")+`"}}`)
	m.PutStr("http.request.header.cookie", "sid="+c.word(place+" cookie"))
	m.PutStr("http.request.header.authorization", "Bearer "+c.token(place+" authorization"))
	m.PutStr("note", "from "+c.email(place+" unknown key"))
	m.PutStr("password", c.word(place+" password"))
	m.PutInt("number", c.card(place+" integer"))
	m.PutDouble("real", float64(c.card(place+" double")))
	m.PutEmptyBytes("bytes").FromRaw([]byte(c.email(place + " bytes")))
	m.PutEmptyBytes("binary").FromRaw(append([]byte{0, 0xFF}, c.email(place+" binary")...))
	m.PutStr(c.email(place+" key"), "x")
	for _, depth := range []int{1, 2, 5, 20} {
		v := m.PutEmpty(fmt.Sprintf("deep.%d", depth))
		for i := range depth {
			if i%2 == 0 {
				v = v.SetEmptyMap().PutEmpty("inner")
			} else {
				v = v.SetEmptySlice().AppendEmpty()
			}
		}
		inner := v.SetEmptyMap()
		inner.PutStr("x", c.email(fmt.Sprintf("%s value at depth %d", place, depth)))
		inner.PutStr(c.email(fmt.Sprintf("%s key at depth %d", place, depth)), "x")
	}
	m.PutStr("server.address", control)
}

// control is what every place that is searched must show, or nothing would be proved by what it does not show. It stands
// where the policy keeps text.
const control = "seen-by-everybody.example.com"

func (c *canaries) scope(s pcommon.InstrumentationScope, signal string) {
	s.SetName(c.email(signal + " scope name"))
	s.SetVersion(c.email(signal + " scope version"))
	c.fill(s.Attributes(), signal+" scope")
}

func (c *canaries) schema(slot string) string { return "https://example.com/?token=" + c.word(slot) }

func (c *canaries) logs() []byte {
	ld := plog.NewLogs()
	for _, body := range []string{"string", "map", "bytes"} {
		rl := ld.ResourceLogs().AppendEmpty()
		rl.SetSchemaUrl(c.schema("logs resource schema"))
		c.fill(rl.Resource().Attributes(), "logs resource")
		rl.Resource().Attributes().PutStr("service.name", "chat")
		sl := rl.ScopeLogs().AppendEmpty()
		sl.SetSchemaUrl(c.schema("logs scope schema"))
		c.scope(sl.Scope(), "logs")
		lr := sl.LogRecords().AppendEmpty()
		lr.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		lr.SetSeverityText(c.email("severity"))
		lr.SetEventName(c.email("event name"))
		c.fill(lr.Attributes(), "record")
		switch body {
		case "string":
			lr.Body().SetStr(c.email("body"))
		case "map":
			c.fill(lr.Body().SetEmptyMap(), "body map")
		default:
			lr.Body().SetEmptyBytes().FromRaw([]byte(c.email("body bytes")))
		}
		lr = sl.LogRecords().AppendEmpty()
		lr.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		lr.SetEventName(string(event.Close))
		c.fill(lr.Attributes(), "event")
		lr.Attributes().PutStr("websocket.connection.id", "c-1")
	}
	text, err := new(plog.JSONMarshaler).MarshalLogs(ld)
	require.NoError(c.t, err)
	return bytes.ReplaceAll(text, []byte(`"resource":{`), []byte(`"resource":{"entityRefs":[{"type":"`+c.email("entity type")+
		`","schemaUrl":"`+c.schema("entity schema")+`","idKeys":["`+c.email("entity key")+`"]}],`))
}

func (c *canaries) traces() []byte {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.SetSchemaUrl(c.schema("traces resource schema"))
	c.fill(rs.Resource().Attributes(), "traces resource")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.SetSchemaUrl(c.schema("traces scope schema"))
	c.scope(ss.Scope(), "traces")
	span := ss.Spans().AppendEmpty()
	span.SetTraceID([16]byte{1})
	span.SetSpanID([8]byte{1})
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	span.SetName("GET /" + c.email("span name"))
	span.TraceState().FromRaw("vendor=" + c.email("trace state"))
	span.Status().SetMessage(c.email("status message"))
	c.fill(span.Attributes(), "span")
	span.Events().AppendEmpty().SetName(c.email("span event name"))
	c.fill(span.Events().At(0).Attributes(), "span event")
	span.Links().AppendEmpty().TraceState().FromRaw("vendor=" + c.email("link's trace state"))
	c.fill(span.Links().At(0).Attributes(), "link")
	text, err := new(ptrace.JSONMarshaler).MarshalTraces(td)
	require.NoError(c.t, err)
	return text
}

func (c *canaries) metrics() []byte {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.SetSchemaUrl(c.schema("metrics resource schema"))
	c.fill(rm.Resource().Attributes(), "metrics resource")
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.SetSchemaUrl(c.schema("metrics scope schema"))
	c.scope(sm.Scope(), "metrics")
	for _, kind := range []pmetric.MetricType{
		pmetric.MetricTypeGauge, pmetric.MetricTypeSum, pmetric.MetricTypeHistogram, pmetric.MetricTypeExponentialHistogram,
		pmetric.MetricTypeSummary,
	} {
		m := sm.Metrics().AppendEmpty()
		m.SetName("requests." + c.email(kind.String()+" name"))
		m.SetDescription("of " + c.email(kind.String()+" description"))
		m.SetUnit("{" + c.email(kind.String()+" unit") + "}")
		c.fill(m.Metadata(), kind.String()+" metadata")
		var exemplars pmetric.ExemplarSlice
		switch kind {
		case pmetric.MetricTypeGauge:
			p := m.SetEmptyGauge().DataPoints().AppendEmpty()
			c.fill(p.Attributes(), kind.String()+" point")
			exemplars = p.Exemplars()
		case pmetric.MetricTypeSum:
			p := m.SetEmptySum().DataPoints().AppendEmpty()
			c.fill(p.Attributes(), kind.String()+" point")
			exemplars = p.Exemplars()
		case pmetric.MetricTypeHistogram:
			p := m.SetEmptyHistogram().DataPoints().AppendEmpty()
			c.fill(p.Attributes(), kind.String()+" point")
			exemplars = p.Exemplars()
		case pmetric.MetricTypeExponentialHistogram:
			p := m.SetEmptyExponentialHistogram().DataPoints().AppendEmpty()
			c.fill(p.Attributes(), kind.String()+" point")
			exemplars = p.Exemplars()
		default:
			c.fill(m.SetEmptySummary().DataPoints().AppendEmpty().Attributes(), kind.String()+" point")
			continue
		}
		c.fill(exemplars.AppendEmpty().FilteredAttributes(), kind.String()+" exemplar")
	}
	text, err := new(pmetric.JSONMarshaler).MarshalMetrics(md)
	require.NoError(c.t, err)
	return text
}

// accessLog is what nginx writes: a line for each place of one that a client fills, and lines that are broken.
func (c *canaries) accessLog() string {
	now := time.Now()
	line := func(edit ...string) string {
		return strings.NewReplacer(append([]string{"chat.example.com", control}, edit...)...).Replace(accessLine(1, now))
	}
	return line() +
		line("/ws?room=1", "/ws?token="+c.word("line query")) +
		line("/ws?room=1", "/ws/"+c.email("line path")) +
		line(`"http_user_agent":"test"`, `"http_user_agent":"`+c.email("line user agent")+`"`) +
		line(`"sent_http_sec_websocket_protocol":""`, `"sent_http_sec_websocket_protocol":"bearer, `+c.word("line subprotocol")+`"`) +
		line(`"status":101`, `"status":101,"http_cookie":"sid=`+c.word("line cookie")+`","http_authorization":"Bearer `+c.token("line authorization")+`"`) +
		line(`"status":101`, `"status":"`+c.word("line status")+`"`) +
		line(`"request_time":1.500`, `"request_time":"`+c.word("line time")+`"`) +
		line(`"remote_addr":"198.51.100.1"`, `"remote_addr":"`+c.word("line address")+`"`) +
		`{"time":"` + c.word("broken JSON") + "\n" +
		c.word("line that is no JSON") + " GET /?token=" + c.word("query of a line that is no JSON") + "\n"
}

// pushed are requests to the push receiver: one that is accepted, and ones that are refused.
func (c *canaries) pushed() map[string]string {
	good := authEvent(1, time.Now())
	with := func(members string) string { return strings.Replace(good, `"resource"`, members+`,"resource"`, 1) }
	// other is an event of another name with these members instead of those of websocket.auth.
	other := func(name, members string) string {
		before, rest, _ := strings.Cut(good, `"websocket.auth.result"`)
		_, after, _ := strings.Cut(rest, `"resource"`)
		return strings.Replace(before, "websocket.auth", name, 1) + members + `,"resource"` + after
	}
	return map[string]string{
		"accepted": with(`"server.address":"`+control+`"`) +
			with(`"session.id":"`+c.word("pushed session")+`","user.id":"`+c.word("pushed user")+`","user.email":"`+c.email("pushed e-mail")+`"`) +
			other("websocket.close", `"websocket.close.initiator":"client","websocket.close.reason":"bye `+c.email("pushed reason")+`"`) +
			other("websocket.close", `"websocket.close.initiator":"client","websocket.close.reason":"token=`+c.word("pushed token in a reason")+`"`) +
			other("websocket.message.rejected", `"error.type":"_OTHER","network.io.direction":"receive",`+
				`"websocket.message.sample":"{\"password\":\"`+c.word("pushed sample")+`\"}"`) +
			other("websocket.open", `"http.response.status_code":101,"url.path":"/`+c.email("pushed path")+`",`+
				`"websocket.subprotocol":"access_token, `+c.word("pushed subprotocol")+`"`) +
			other("websocket.open", `"http.response.status_code":101,"url.query":"a=`+c.word("pushed query")+`"`),
		"unknown attribute":   with(`"` + c.email("pushed key") + `":"` + c.email("pushed value") + `"`),
		"nested attribute":    with(`"note":{"a":["` + c.email("pushed nested") + `"]}`),
		"wrong type":          with(`"http.response.status_code":"` + c.word("pushed status") + `"`),
		"wrong set":           with(`"websocket.auth.method":"` + c.email("pushed method") + `"`),
		"unknown event":       strings.Replace(good, "websocket.auth", c.word("pushed event name"), 1),
		"wrong time":          strings.Replace(good, `{"time":"`, `{"time":"`+c.word("pushed time"), 1),
		"resource":            strings.Replace(good, `"service.name":"chat"`, `"service.name":"chat","owner":"`+c.email("pushed resource")+`"`, 1),
		"no JSON":             c.word("pushed text") + "\n",
		"JSON that is broken": `{"websocket.close.reason":"` + c.word("pushed broken") + "\n",
	}
}

// TestCanaries sends a secret of its own in every slot through the real collector, with ClickHouse away at first and there
// later, and looks for all of them in everything that comes out or stays: rows, the debug exporter's output, logs, metrics,
// zpages, profiles, and each file on disk while it runs and after it has ended.
//
// By design, and so not looked for: what the model keeps as it is (its numbers, ids of traces and spans, names of hosts, words
// under labels such as websocket.auth.method); names of people in free text; what a sender is told about its own request;
// the path and the User-Agent of requests to the collector itself, which its traces of itself have; passwords in the URLs of
// exporters other than ours, which are refused; the memory of the process;
// and the files that were given to it: the log and the configuration.
func TestCanaries(t *testing.T) {
	t.Parallel()
	c := &canaries{t: t, slots: map[string]string{}}
	engine := startClickHouse(t)
	engine.kill()
	given, data := t.TempDir(), t.TempDir()
	accessLog := filepath.Join(given, "access.log")
	require.NoError(t, os.WriteFile(accessLog, []byte(c.accessLog()), 0o600))
	push, otlp, zpages, pprof, metrics := testenv.Address(t), testenv.Address(t), testenv.Address(t), testenv.Address(t), testenv.Address(t)
	_, metricsPort, _ := strings.Cut(metrics, ":")
	config := configFile(t, fmt.Sprintf(canaryConfig, data, accessLog, push, otlp, zpages, pprof, metricsPort, engine.dsn(),
		testenv.Address(t), c.word("password of an endpoint"), c.word("header of an exporter")))
	collector := start(t, nil, binary(t), "--config", config)
	for _, addr := range []string{push, otlp, zpages, metrics} {
		collector.listening(addr)
	}

	client := &http.Client{Timeout: 20 * time.Second}
	send := func(address, contentType, body string) (status int, answer string) {
		req, err := http.NewRequest(http.MethodPost, "http://"+address+"?token="+c.word("query of a request"), strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("Authorization", "Bearer "+c.token("authorization of a request"))
		req.Header.Set("Cookie", "sid="+c.word("cookie of a request"))
		req.Header.Set("Idempotency-Key", c.word("key of a request"))
		req.Header.Set("Tracestate", "vendor="+c.word("trace state of a request"))
		req.Header.Set("Baggage", "user="+c.word("baggage of a request"))
		req.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		resp, err := client.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(text)
	}
	for name, body := range c.pushed() {
		status, answer := send(push+"/v1/events", "application/x-ndjson", body)
		switch name {
		case "accepted":
			require.Equal(t, http.StatusOK, status, answer)
		case "no JSON", "JSON that is broken":
			require.Equal(t, http.StatusBadRequest, status, answer)
		}
	}
	for path, body := range map[string][]byte{"/v1/logs": c.logs(), "/v1/traces": c.traces(), "/v1/metrics": c.metrics()} {
		status, answer := send(otlp+path, "application/json", string(body))
		require.Equal(t, http.StatusOK, status, answer)
	}
	for _, path := range []string{"/v1/logs", "/v1/traces", "/v1/metrics"} {
		status, answer := send(otlp+path, "application/json", `{"resourceLogs":[{"`+c.word("broken OTLP")+`"`)
		require.GreaterOrEqual(t, status, 400, answer)
		status, answer = send(otlp+path, "application/x-protobuf", c.word("OTLP that is no protobuf"))
		require.GreaterOrEqual(t, status, 400, answer)
	}
	t.Logf("%d canaries", len(c.slots))

	fetch := func(address string) []byte {
		resp, err := client.Get("http://" + address)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, http.StatusOK, resp.StatusCode, address)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return text
	}
	// look searches everything that can be seen from outside.
	look := func(when string) {
		c.requireNone("output "+when, []byte(collector.out.String()))
		for _, folder := range []string{data, engine.data} {
			c.requireNoneOnDisk(folder, when)
		}
	}
	lookInside := func(when string) {
		c.requireNone("metrics "+when, fetch(metrics+"/metrics"))
		for _, page := range []string{"tracez", "pipelinez", "servicez", "extensionz", "featurez"} {
			c.requireNone(page+" "+when, fetch(zpages+"/debug/"+page))
		}
		spans := tracezSpans(string(fetch(zpages + "/debug/tracez")))
		require.NotEmpty(t, spans)
		for _, span := range spans {
			for kind := range 3 {
				page := "/debug/tracez?" + url.Values{"zspanname": {span}, "ztype": {fmt.Sprint(kind)}}.Encode()
				c.requireNone("spans "+span+" "+when, fetch(zpages+page))
			}
		}
		for _, profile := range []string{"goroutine?debug=2", "heap?debug=1", "cmdline"} {
			c.requireNone(profile+" "+when, fetch(pprof+"/debug/pprof/"+profile))
		}
	}

	// ClickHouse is away: everything waits in queues.
	eventually(t, 60*time.Second, "errors of the exporters", func() (bool, string) {
		out := collector.out.String()
		return strings.Contains(out, "otlp_http/broken") && strings.Contains(out, "websocketclickhouse/broken") &&
			strings.Count(out, control) > 10, out
	})
	queued := func() bool {
		return slices.ContainsFunc(files(t, data), func(f string) bool { return has(t, f, control) })
	}
	eventually(t, 30*time.Second, "the queue on disk", func() (bool, string) { return queued(), "" })
	look("while ClickHouse is away")
	lookInside("while ClickHouse is away")

	// It comes: what waited is stored.
	engine.restart(t)
	eventually(t, 90*time.Second, "rows of the file and of the queue", func() (bool, string) {
		text, err := query(engine.addr, "SELECT countIf(source_type = 'nginx') > 3, countIf(source_type = 'app') > 3 FROM events")
		return text == "1\t1", fmt.Sprint(text, err)
	})
	eventually(t, 90*time.Second, "spans of both policies", func() (bool, string) {
		text, err := query(engine.addr, "SELECT count() FROM traces")
		return text == "2", fmt.Sprint(text, err)
	})
	tables, err := query(engine.addr, "SELECT name FROM system.tables WHERE database = 'sockeye' AND engine NOT LIKE '%View'")
	require.NoError(t, err)
	all := ""
	for table := range strings.Lines(tables) {
		rows, err := query(engine.addr, "SELECT * FROM `"+strings.TrimSpace(table)+"` FORMAT JSONEachRow")
		require.NoError(t, err)
		c.requireNone("table "+table, []byte(rows))
		all += rows
	}
	require.Contains(t, all, control)
	lookInside("with ClickHouse")
	collector.stop()
	require.FileExists(t, filepath.Join(data, "chain"))
	require.Regexp(t, `client\.hash: Str\(p1:[a-z2-7]+-\d+:`, collector.out.String())
	look("after the end")
	engine.stop()
	look("after ClickHouse has ended")
	require.True(t, queued(), "the queue of an exporter that reaches nobody is not kept")
}

// tracezSpans returns the names of spans that the page links to.
func tracezSpans(page string) (names []string) {
	for _, part := range strings.Split(page, "zspanname=")[1:] {
		name, _, _ := strings.Cut(part, "&")
		name, _, _ = strings.Cut(name, `"`)
		if plain, err := url.QueryUnescape(name); err == nil && !slices.Contains(names, plain) {
			names = append(names, plain)
		}
	}
	return names
}

func files(t testing.TB, folder string) (list []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			list = append(list, path)
		}
		return nil // a part of the engine may go while the folder is read
	}))
	return list
}

func has(t testing.TB, file, text string) bool {
	t.Helper()
	content, err := os.ReadFile(file)
	return err == nil && bytes.Contains(content, []byte(text))
}

func (c *canaries) requireNoneOnDisk(folder, when string) {
	c.t.Helper()
	for _, file := range files(c.t, folder) {
		if content, err := os.ReadFile(file); err == nil {
			c.requireNone(file+" "+when, content)
		}
	}
}
