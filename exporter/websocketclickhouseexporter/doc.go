// Package websocketclickhouseexporter stores log records that are WebSocket events in ClickHouse. It groups what
// arrives by chunk, stores each chunk as one INSERT under the chunk's own name, and decides once what to retry.
//
// Between collector and store it may keep requests in a queue on disk (queue.go), bounds the tenants that count by name
// (store.Tenants), and spreads chunks over the shards of a cluster (shardOf).
//
// It does not cut, merge or reorder chunks, redacts nothing (the pii processor runs before it) and loses only what
// cannot be a row, of which it keeps a letter (letters.go).
//
// The invariant to keep: what is sent again is sent under the same name, so that retrying anything at any time changes
// nothing in any table.
package websocketclickhouseexporter

//go:generate go tool mdatagen metadata.yaml
