// Package event is Sockeye's model: one [Event] is one thing that happened to a WebSocket connection, as one source
// proved it. It holds the event names, the attributes with their types and limits, the error types with their fault
// domains, the close codes, the facts that counting is built on ([Event.Facts]) and the NDJSON form.
//
// It parses no foreign format (source/ does), knows nothing of OpenTelemetry's pdata (internal/eventlog does), and
// imports only the standard library.
//
// The invariant to keep: a name stands in exactly one table here (names.go, attributes.go, errors.go), every other
// package and docs/events.md are derived from it; and what a source could not see is absent, never zero.
package event
