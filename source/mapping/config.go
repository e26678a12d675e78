package mapping

// Config describes a JSON log. The tags are the keys in YAML.
//
// Where a key takes a value of the log, it takes the name of a field, dotted for a member of an inner object, or a map:
//
//	websocket.subprotocol: proto
//	websocket.connection.duration: {field: took_ms, unit: ms}
//	websocket.auth.result: {field: result, values: {ok: success, "*": failure}}
//	websocket.close.initiator: {value: server}
type Config struct {
	// SourceType is websocket.source.type of the events.
	SourceType string `mapstructure:"source_type" yaml:"source_type"`
	// Visibility is when the log tells of a connection that was opened: at_open or at_close. "" is at_open.
	Visibility string `mapstructure:"visibility" yaml:"visibility"`
	// Vantage is where the writer stands. "" leaves it to who reads.
	Vantage string `mapstructure:"vantage" yaml:"vantage"`
	// Time is the field with the time, or {field, layout}: rfc3339 (the default), unix, unix_ms, unix_us, unix_ns or a
	// layout of Go's package time.
	Time any `mapstructure:"time" yaml:"time"`
	// Connection are the fields that together tell connections apart. Events carry a keyed hash of them.
	Connection []string `mapstructure:"connection" yaml:"connection"`
	// Traceparent is the field with a W3C traceparent, or TraceID and SpanID are those with hexadecimal ids.
	Traceparent string `mapstructure:"traceparent" yaml:"traceparent"`
	TraceID     string `mapstructure:"trace_id" yaml:"trace_id"`
	SpanID      string `mapstructure:"span_id" yaml:"span_id"`
	// Resource maps resource attributes, such as service.name, to fields.
	Resource map[string]any `mapstructure:"resource" yaml:"resource"`
	// Attributes maps attributes to values, for every event to which they may belong.
	Attributes map[string]any `mapstructure:"attributes" yaml:"attributes"`
	// Events are the events of the log. A line is every event whose conditions hold, in this order.
	Events []EventConfig `mapstructure:"events" yaml:"events"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// EventConfig is one event of the log.
type EventConfig struct {
	// When holds the conditions: a field, and the value or the list of values that it must have; "*" is any.
	When map[string]any `mapstructure:"when" yaml:"when"`
	// Name is the event's name.
	Name string `mapstructure:"name" yaml:"name"`
	// Ago says how long before the line's time the event happened: {field, unit}.
	Ago any `mapstructure:"ago" yaml:"ago"`
	// Attributes maps attributes to values, beside those of every event.
	Attributes map[string]any `mapstructure:"attributes" yaml:"attributes"`

	// prevent unkeyed literal initialization
	_ struct{}
}
