// Package embeddedclickhouseextension runs the embedded ClickHouse engine for the collector: it starts
// `sockeye clickhouse` as a child process, waits until it answers, passes its messages on to the collector's log,
// starts it again when it dies and stops it with the collector.
//
// It holds no engine itself and knows nothing of tables: store/embedded is the engine, store the client.
//
// The invariant: the child never outlives the collector, and while the collector shuts down it outlives every exporter,
// because extensions stop last.
package embeddedclickhouseextension

//go:generate go tool mdatagen metadata.yaml
