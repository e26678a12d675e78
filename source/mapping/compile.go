package mapping

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source/fields"
)

// program is a Config that has been checked.
type program struct {
	sourceType, visibility, vantage string

	names      []string
	byName     map[string]fields.ID
	time       fields.ID
	layout     string
	connection []fields.ID
	// traceparent, traceID and spanID are fields.None where not given.
	traceparent, traceID, spanID fields.ID
	resource                     []resourceValue
	events                       []rule
}

type resourceValue struct {
	name  string
	field fields.ID
}

// rule is one event.
type rule struct {
	when   []condition
	name   event.Name
	schema *event.Schema
	ago    *value
	values []value
}

// condition holds if the field has one of the values, or any at all if any.
type condition struct {
	field  fields.ID
	values []string
	any    bool
}

// Bounds of a Config, so that a mistake in it cannot cost much: a name of a field stands in errors, and each event costs
// time on every line.
const (
	maxFieldName = 64
	maxEvents    = 64
)

// Layouts of time that are no layouts of package time.
var layouts = map[string]time.Duration{
	"unix": time.Second, "unix_ms": time.Millisecond, "unix_us": time.Microsecond, "unix_ns": time.Nanosecond,
}

// layoutRFC3339 is the default.
const layoutRFC3339 = "rfc3339"

// forbidden are attributes that are not a mapping's to set, with what to do instead.
var forbidden = map[event.Key]string{
	event.ConnectionID:        "list the fields that tell connections apart under connection",
	event.SourceType:          "set source_type",
	event.SourceVisibility:    "set visibility",
	event.Vantage:             "set vantage",
	event.NetworkProtocolName: "it is always websocket",
	event.ClientHash:          "map client.address; the pii processor makes the pseudonym",
	event.UserHash:            "map user.id; the pii processor makes the pseudonym",
}

// compiler collects faults, each beginning with its key.
type compiler struct {
	program
	faults []error
}

func (c *compiler) fault(key, text string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf(key+": "+text, args...))
}

// Check reports everything that is wrong, each fault beginning with its key.
func (c *Config) Check() error {
	_, err := compile(c)
	return err
}

func compile(cfg *Config) (*program, error) {
	c := &compiler{program: program{
		sourceType: cfg.SourceType, visibility: event.VisibilityAtOpen, vantage: cfg.Vantage, byName: map[string]fields.ID{},
	}}
	if cfg.SourceType == "" || len(cfg.SourceType) > maxFieldName {
		c.fault("source_type", "name what writes the log in 1 to %d bytes, such as chat_backend", maxFieldName)
	}
	if cfg.Visibility != "" {
		c.visibility = cfg.Visibility
		c.oneOf("visibility", event.SourceVisibility, cfg.Visibility)
	}
	if cfg.Vantage != "" {
		c.oneOf("vantage", event.Vantage, cfg.Vantage)
	}
	c.compileTime(cfg.Time)
	if len(cfg.Connection) == 0 {
		c.fault("connection", "list the fields that tell connections apart, such as [connection_id] or [peer]")
	}
	for i, name := range cfg.Connection {
		c.connection = append(c.connection, c.field(fmt.Sprintf("connection[%d]", i), name))
	}
	c.traceparent = c.optional("traceparent", cfg.Traceparent)
	c.traceID, c.spanID = c.optional("trace_id", cfg.TraceID), c.optional("span_id", cfg.SpanID)
	if (cfg.TraceID == "") != (cfg.SpanID == "") {
		c.fault("trace_id", "goes with span_id; name both fields")
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Resource)) {
		key := "resource." + name
		spec, ok := cfg.Resource[name].(string)
		if !ok {
			c.fault(key, "name a field; a fixed value belongs into resource of the receiver")
			continue
		}
		c.resource = append(c.resource, resourceValue{name, c.field(key, spec)})
	}
	c.compileEvents(cfg)
	if len(c.faults) > 0 {
		return nil, errors.Join(c.faults...)
	}
	return &c.program, nil
}

func (c *compiler) oneOf(key string, k event.Key, got string) {
	if !k.Accepts(event.String(got)) {
		c.fault(key, "must be one of %s, got %q", strings.Join(k.Definition().Values, ", "), got)
	}
}

// field returns the ID of a field of the log.
func (c *compiler) field(key, name string) fields.ID {
	if name == "" || len(name) > maxFieldName {
		c.fault(key, "name a field of the log in 1 to %d bytes", maxFieldName)
		return fields.None
	}
	id, ok := c.byName[name]
	if !ok {
		id = fields.ID(len(c.names))
		c.names = append(c.names, name)
		c.byName[name] = id
	}
	return id
}

func (c *compiler) optional(key, name string) fields.ID {
	if name == "" {
		return fields.None
	}
	return c.field(key, name)
}

func (c *compiler) compileTime(spec any) {
	name, layout := "", layoutRFC3339
	switch spec := spec.(type) {
	case string:
		name = spec
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(spec)) {
			text, _ := spec[key].(string)
			switch key {
			case "field":
				name = text
			case "layout":
				layout = text
			default:
				c.fault("time."+key, "unknown; field and layout are known")
			}
		}
	}
	if name == "" {
		c.fault("time", "name the field with the time, or write {field: ts, layout: unix_ms}")
		return
	}
	c.time = c.field("time", name)
	switch {
	case layout == layoutRFC3339:
		layout = time.RFC3339
	case layouts[layout] != 0:
	default:
		// A layout without a reference time reads every text as one time, or none.
		probe := time.Date(2031, 11, 23, 17, 48, 59, 0, time.UTC)
		if got, err := time.Parse(layout, probe.Format(layout)); err != nil || got.Year() != 2031 || got.Minute() != 48 {
			c.fault("time.layout", "must be rfc3339, unix, unix_ms, unix_us, unix_ns or a layout of Go's package time "+
				"with a date, got %q", layout)
		}
	}
	c.layout = layout
}

func (c *compiler) compileEvents(cfg *Config) {
	switch {
	case len(cfg.Events) == 0:
		c.fault("events", "describe at least one event: {when: {field: value}, name: websocket.open}")
	case len(cfg.Events) > maxEvents:
		c.fault("events", "must be at most %d, got %d", maxEvents, len(cfg.Events))
		return
	}
	common := c.values("attributes", cfg.Attributes)
	used := make([]bool, len(common))
	for i := range cfg.Events {
		e := &cfg.Events[i]
		key := fmt.Sprintf("events[%d]", i)
		r := rule{name: event.Name(e.Name), schema: event.Name(e.Name).Schema()}
		r.when = c.conditions(key+".when", e.When)
		if e.Ago != nil {
			// The key is one that is a duration in seconds.
			if v, ok := c.value(key+".ago", event.ConnectionDuration, e.Ago); ok {
				r.ago = &v
			}
		}
		own := c.values(key+".attributes", e.Attributes)
		if r.schema == nil {
			c.unknownEvent(key+".name", e.Name)
			for i := range used {
				used[i] = true // which of them belong to it cannot be said
			}
			continue
		}
		if e.Name == string(event.SourceProgress) {
			c.fault(key+".name", "%s is the receiver's own", e.Name)
		}
		for i, v := range common {
			if !r.schema.Allows(v.key) {
				continue
			}
			used[i] = true
			if !slices.ContainsFunc(own, func(o value) bool { return o.key == v.key }) {
				r.values = append(r.values, v)
			}
		}
		for _, v := range own {
			if !r.schema.Allows(v.key) {
				c.fault(key+".attributes."+v.key.String(), "does not belong to %s", e.Name)
			}
			r.values = append(r.values, v)
		}
		c.complete(key+".attributes", &r)
		c.events = append(c.events, r)
	}
	for i, v := range common {
		if !used[i] {
			c.fault("attributes."+v.key.String(), "belongs to none of the events")
		}
	}
}

func (c *compiler) unknownEvent(key, name string) {
	var known []string
	for i := range event.Schemas() {
		known = append(known, string(event.Schemas()[i].Name))
	}
	c.fault(key, "%q is not an event of the event model%s", cut(name), suggest(name, known))
}

// complete checks that an event has what it cannot be without, and fills in what follows from its name.
func (c *compiler) complete(key string, r *rule) {
	has := func(k event.Key) bool {
		return slices.ContainsFunc(r.values, func(v value) bool { return v.key == k })
	}
	for _, k := range r.schema.Requires() {
		if _, set := forbidden[k]; set || k == event.SourceEvidence || has(k) {
			continue
		}
		var constant event.Value
		switch {
		case r.name == event.Open && k == event.HTTPResponseStatusCode:
			// RFC 6455 §4.1; RFC 8441 needs it said.
			constant = event.Int(101)
		case r.name == event.Close && k == event.CloseInitiator:
			constant = event.String(event.InitiatorUnknown)
		case r.name == event.HandshakeRejected && k == event.ErrorType:
			continue // by the status, see Parser
		default:
			c.fault(key, "%s needs %s", r.name, k)
			continue
		}
		r.values = append(r.values, value{key: k, field: fields.None, constant: constant})
	}
}

func (c *compiler) conditions(key string, when map[string]any) (list []condition) {
	if len(when) == 0 {
		c.fault(key, "say by which field and value a line is this event: {event: opened}")
	}
	for _, name := range slices.Sorted(maps.Keys(when)) {
		condition := condition{field: c.field(key, name)}
		values, ok := when[name].([]any)
		if !ok {
			values = []any{when[name]}
		}
		for _, v := range values {
			text, ok := scalar(v)
			switch {
			case !ok:
				c.fault(key+"."+name, "must be a value or a list of values")
			case text == "*":
				condition.any = true
			default:
				condition.values = append(condition.values, text)
			}
		}
		list = append(list, condition)
	}
	return list
}

// scalar returns a YAML scalar as JSON would write it.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool, int, int64, uint64:
		return fmt.Sprint(v), true
	case float64:
		return fmt.Sprintf("%g", v), true
	case nil:
		return "", true
	}
	return "", false
}

func (c *compiler) values(key string, specs map[string]any) (list []value) {
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		k, ok := event.KeyOf(name)
		if !ok {
			var known []string
			for _, k := range event.Keys() {
				known = append(known, k.String())
			}
			c.fault(key+"."+cut(name), "not an attribute of the event model%s", suggest(name, known))
			continue
		}
		if remedy, ok := forbidden[k]; ok {
			c.fault(key+"."+name, "cannot be mapped: %s", remedy)
			continue
		}
		if v, ok := c.value(key+"."+name, k, specs[name]); ok {
			list = append(list, v)
		}
	}
	return list
}

// value compiles the name of a field or a map with more.
func (c *compiler) value(key string, k event.Key, spec any) (value, bool) {
	v := value{key: k, field: fields.None}
	if name, ok := spec.(string); ok {
		v.field = c.field(key, name)
		return v, v.field != fields.None
	}
	m, ok := spec.(map[string]any)
	if !ok {
		c.fault(key, "must be the name of a field, or a map with field or value; a fixed value is written {value: x}")
		return v, false
	}
	before := len(c.faults)
	_, hasField := m["field"]
	constant, hasConstant := m["value"]
	if hasField == hasConstant {
		c.fault(key, "needs either field or value")
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		at := key + "." + name
		switch name {
		case "field":
			text, _ := m[name].(string)
			v.field = c.field(at, text)
		case "value":
			v.constant = c.fixed(at, k, constant)
			if v.constant.Kind() == event.KindAbsent && len(c.faults) == before {
				c.fault(at, "must not be empty")
			}
		case "unit":
			v.unit, _ = m[name].(string)
			d := k.Definition()
			if _, ok := units[v.unit]; (!ok && v.unit != unitGo) || d.Kind != event.KindDouble || d.Unit != "s" {
				c.fault(at, "must be s, ms, us, ns, or go for 1m2.5s, and only of a duration, got %q", cut(v.unit))
			}
		case "values":
			c.table(at, &v, m[name])
		default:
			c.fault(at, "unknown; field, value, values and unit are known")
		}
	}
	return v, len(c.faults) == before
}

func (c *compiler) table(key string, v *value, spec any) {
	table := map[string]any{}
	switch spec := spec.(type) {
	case map[string]any:
		table = spec
	case map[any]any:
		for k, value := range spec {
			text, ok := scalar(k)
			if !ok {
				c.fault(key, "must be a map of values of the log to values of the attribute")
				return
			}
			table[text] = value
		}
	}
	if len(table) == 0 {
		c.fault(key, "must be a map of values of the log to values of the attribute")
		return
	}
	v.table = map[string]event.Value{}
	for _, from := range slices.Sorted(maps.Keys(table)) {
		to := c.fixed(key+"."+cut(from), v.key, table[from])
		if from == "*" {
			v.other, v.hasOther = to, true
		} else {
			v.table[from] = to
		}
	}
}

// fixed reads a value of the configuration; null and "" are the absent value.
func (c *compiler) fixed(key string, k event.Key, spec any) event.Value {
	text, ok := scalar(spec)
	if ok && text == "" {
		return event.Value{}
	}
	v, good := parse(k, text, "")
	if !ok || !good {
		c.fault(key, "cannot be %s: %s", k, wants(k))
		return event.Value{}
	}
	return v
}

// wants says in words what an attribute takes.
func wants(k event.Key) string {
	d := k.Definition()
	if len(d.Values) > 0 {
		return "must be one of " + strings.Join(d.Values, ", ")
	}
	return "must be " + map[event.Kind]string{
		event.KindString: "a text", event.KindInt: "a whole number within its bounds", event.KindDouble: "a number",
		event.KindBool: "true or false", event.KindStrings: "a list of texts",
	}[d.Kind]
}

func cut(s string) string {
	if len(s) > maxFieldName {
		return s[:maxFieldName] + "…"
	}
	return s
}

// suggest words the known name that is nearest to name, if one is near enough to be meant.
func suggest(name string, known []string) string {
	if len(name) > 2*maxFieldName {
		return ""
	}
	best, at := "", 1+min(max(2, len(name)/4), 4)
	for _, k := range known {
		if d := distance(name, k); d < at {
			best, at = k, d
		}
	}
	if best == "" {
		// A last part that is right is worth a guess: close.code for websocket.close.code.
		for _, k := range known {
			if strings.HasSuffix(k, "."+name) {
				return "; did you mean " + k + "?"
			}
		}
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
