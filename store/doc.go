// Package store is the one way to ClickHouse: it opens a connection through clickhouse-go, brings the schema up to
// date, inserts events chunk by chunk and reads the watermark. A server, a cluster's node and the embedded engine differ
// only in their address.
//
// It decides nothing about events (package event does) and nothing about retrying (the exporter does, by [Retryable]);
// it runs no SLO query.
//
// The invariant to keep: one chunk is one INSERT with one deduplication token and all rows in one block, so that
// sending a chunk again changes nothing, in any table. No error of this package holds a password or a stored value.
package store
