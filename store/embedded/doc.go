// Package embedded runs the real ClickHouse engine inside a process of its own and serves ClickHouse's HTTP interface
// and native protocol, so that clickhouse-go, clickhouse-client, curl and Grafana need not know that there is no server.
// `sockeye clickhouse` is this package.
//
// It does not supervise that process (extension/embeddedclickhouseextension does), knows nothing of our tables, and is
// no substitute for a server's users, roles, quotas or replication.
//
// The invariants: an upload that does not end cleanly is never committed; a connection that carried a deduplication
// token, or whose state a statement changed, never serves another request; the engine's last connection closes only
// with the process; nothing that reads files or opens network connections is run for a client.
package embedded
