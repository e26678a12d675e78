package event

// Metrics are the names of the metrics that count events, for those who make them and those who query them. Gauges are
// named after the attribute that they report.
const (
	MetricEvents         = "websocket.events"          // {event}, a sum of Facts.Count
	MetricEventsSize     = "websocket.events.size"     // By, a sum of Facts.Bytes
	MetricEventDuration  = "websocket.event.duration"  // s, a histogram of Facts.Duration over DurationBounds
	MetricConnectionRate = "websocket.connection.rate" // By/s, a histogram over RateBounds of connections that closed
	MetricEventsLate     = "websocket.events.late"     // {event}, what came too late to be in the others
	MetricPlaintext      = "websocket.plaintext.seen"  // s, the Unix time of the last open without TLS
)

// RateBounds are the bounds, in bytes per second, of the histogram of connections; there are as many as of durations.
var RateBounds = [len(DurationBounds)]float64{
	100, 1e3, 5e3, 1e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 2.5e7, 5e7, 1e8,
}

// Attributes of these metrics that events do not carry, because they follow from them. The others are named as on the
// event or its resource.
const (
	MetricEvent   = "event.name"
	MetricOutcome = "event.outcome"    // Facts.Outcome; the name is ECS's
	MetricFault   = "websocket.fault"  // Facts.Fault
	MetricPolicy  = "websocket.policy" // Facts.Policy
)
