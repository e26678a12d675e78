package piiprocessor

import (
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

// Redactor applies a Config to data without a collector around it: the processor and `sockeye redact` are both one.
// It is safe for concurrent use.
type Redactor struct {
	engine    *redact.Engine
	policies  []policy
	tenantKey string
	remarking bool
	walkers   sync.Pool
}

// Counts says how often each rule took each action.
type Counts [redact.RuleCount][redact.ActionCount]uint32

func (c *Counts) add(more *[redact.RuleCount][redact.ActionCount]uint32) {
	for r := range more {
		for a, n := range more[r] {
			c[r][a] += n
		}
	}
}

// NewRedactor returns a Redactor for cfg, which must be valid. A nil key means that what should be pseudonymised is
// dropped. It reads no files: what should be tokenised is masked.
func NewRedactor(cfg *Config, key []byte) *Redactor { return newRedactor(cfg, keys{current: key}) }

// LoadRedactor is [NewRedactor] with the public keys that cfg names.
func LoadRedactor(cfg *Config, key []byte) (*Redactor, error) {
	recipients, err := cfg.loadRecipients()
	if err != nil {
		return nil, err
	}
	return newRedactor(cfg, keys{current: key, recipients: recipients}), nil
}

func newRedactor(cfg *Config, k keys) *Redactor {
	return &Redactor{
		engine: redact.New(cfg.settings(k)), policies: cfg.compilePolicies(k), tenantKey: cfg.Pseudonyms.TenantAttribute,
		remarking: cfg.Remarks == remarksAttribute,
	}
}

func (r *Redactor) take() *walker {
	w, ok := r.walkers.Get().(*walker)
	if !ok {
		w = newWalker(r)
	}
	w.scanners[0] = r.engine.Scanner()
	w.use(-1)
	return w
}

func (r *Redactor) release(w *walker) (counts Counts) {
	counts = w.scanners[0].Counts
	for i, s := range w.scanners {
		if s == nil {
			continue
		}
		if i > 0 {
			counts.add(&s.Counts)
		}
		s.Release()
		w.scanners[i] = nil
	}
	w.scanner, w.clientHash, w.resourceTenant = nil, "", ""
	clear(w.digits[:cap(w.digits)])
	r.walkers.Put(w)
	return counts
}

// Text returns line without what detectors find in it, or "" where it cannot be judged.
func (r *Redactor) Text(line string) (string, Counts) {
	w := r.take()
	out, _ := w.scanner.Text(line)
	return out, r.release(w)
}

// Logs redacts ld in place. The number of its records stays as it is.
func (r *Redactor) Logs(ld plog.Logs) Counts {
	w := r.take()
	w.logs(ld)
	return r.release(w)
}

func (w *walker) logs(ld plog.Logs) {
	for _, rl := range ld.ResourceLogs().All() {
		w.choose(rl.Resource())
		rl.SetSchemaUrl(w.schemaURL(rl.SchemaUrl()))
		w.note("schema_url")
		w.field = "resource"
		w.resource(rl.Resource())
		for _, sl := range rl.ScopeLogs().All() {
			sl.SetSchemaUrl(w.schemaURL(sl.SchemaUrl()))
			w.note("schema_url")
			w.field = "scope"
			w.instrumentation(sl.Scope())
			for _, lr := range sl.LogRecords().All() {
				w.record(lr)
			}
		}
	}
}

// resource treats the attributes of r and drops its references to entities, which name keys and schemas of the sender's
// choice and which nothing here reads.
func (w *walker) resource(r pcommon.Resource) {
	r.Attributes().MoveTo(w.spare.Attributes())
	w.spare.SetDroppedAttributesCount(r.DroppedAttributesCount())
	w.spare.MoveTo(r)
	w.guard(r.Attributes(), redact.Resource)
}

// guard walks m and empties it where that panics.
func (w *walker) guard(m pcommon.Map, table redact.Table) {
	defer func() {
		if recover() != nil {
			w.scanner.CountDrop(redact.Panic)
			m.RemoveIf(func(string, pcommon.Value) bool { return true })
		}
	}()
	w.walk(m, table)
}

func (w *walker) record(lr plog.LogRecord) {
	defer func() {
		if recover() != nil {
			w.scanner.CountDrop(redact.Panic)
			lr.SetEventName("")
			lr.SetSeverityText("")
			pcommon.NewValueEmpty().MoveTo(lr.Body())
			lr.Attributes().RemoveIf(func(string, pcommon.Value) bool { return true })
		}
	}()
	w.scanner.SetTime(recordTime(lr))
	w.tenant(lr.Attributes())
	if w.remarking {
		w.before = w.scanner.Counts
	}
	if name := lr.EventName(); name != "" && !event.Name(name).Known() {
		lr.SetEventName(w.foreign(name))
		w.note("event_name")
	}
	if text := lr.SeverityText(); text != "" && !knownSeverity(text) {
		lr.SetSeverityText(w.foreign(text))
		w.note("severity_text")
	}
	if body := lr.Body(); body.Type() != pcommon.ValueTypeEmpty {
		// An event has no body: what stands there came from elsewhere.
		t := w.engine.Unknown(redact.Body)
		w.field = "body"
		if w.scanner.Drops(t) || w.value(body, t, 0) == redact.Dropped {
			pcommon.NewValueEmpty().MoveTo(body)
		}
		w.note(w.field)
	}
	w.field = "attributes"
	w.walk(lr.Attributes(), redact.Record)
	if w.remarking {
		w.writeRemarks(lr.Attributes())
	}
}

// recordTime is the source's time of the record, which a replay does not change.
func recordTime(lr plog.LogRecord) time.Time {
	switch {
	case lr.Timestamp() != 0:
		return lr.Timestamp().AsTime()
	case lr.ObservedTimestamp() != 0:
		return lr.ObservedTimestamp().AsTime()
	}
	return time.Time{}
}

// foreign treats text in a field where the event model has a closed set.
func (w *walker) foreign(text string) string {
	out, _ := w.scanner.String(w.engine.Unknown(redact.UnknownValue), text)
	return out
}

var severities = map[string]bool{
	"TRACE": true, "DEBUG": true, "INFO": true, "WARN": true, "WARNING": true, "ERROR": true, "FATAL": true,
	"NOTICE": true, "CRITICAL": true, "ALERT": true, "EMERGENCY": true, "CRIT": true, "EMERG": true, "ERR": true,
	"INFORMATIONAL": true, "PANIC": true,
}

// knownSeverity reports whether text is a severity's usual name, also with OTLP's digit ("INFO2").
func knownSeverity(text string) bool {
	if len(text) > 16 {
		return false
	}
	return severities[text] || severities[strings.ToUpper(strings.TrimRight(text, "234"))]
}

func (w *walker) instrumentation(scope pcommon.InstrumentationScope) {
	if name := scope.Name(); name != "" {
		out := ""
		if libraryName(name) {
			out, _ = w.scanner.String(w.engine.Library(), name)
		} else {
			out = w.foreign(name)
		}
		scope.SetName(out)
	}
	if v := scope.Version(); v != "" {
		out := ""
		if versionLike(v) {
			out, _ = w.scanner.String(w.engine.Library(), v)
		} else {
			out = w.foreign(v)
		}
		scope.SetVersion(out)
	}
	w.note(w.field)
	w.guard(scope.Attributes(), redact.Scope)
}

// libraryName reports whether a scope's name is one that code gives itself.
func libraryName(name string) bool {
	for _, prefix := range [...]string{
		"github.com/", "go.opentelemetry.io/", "io.opentelemetry.", "opentelemetry.", "@opentelemetry/",
	} {
		if strings.HasPrefix(name, prefix) {
			return len(name) <= 128
		}
	}
	return false
}

func versionLike(v string) bool {
	if len(v) > 48 {
		return false
	}
	for i := range len(v) {
		c := v[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.' && c != '-' && c != '+' {
			return false
		}
	}
	return strings.ContainsAny(v[:min(len(v), 2)], "0123456789")
}

// otelSchemas is where OpenTelemetry publishes its schemas; what follows is a version.
const otelSchemas = "https://opentelemetry.io/schemas/"

func (w *walker) schemaURL(url string) string {
	if url == "" {
		return ""
	}
	version, ok := strings.CutPrefix(url, otelSchemas)
	if ok && len(version) < 16 && strings.Trim(version, "0123456789.") == "" {
		return url
	}
	out, _ := w.scanner.String(w.engine.SchemaURL(), url)
	return out
}
