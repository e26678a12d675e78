// Package websocketsliconnector is the collector's websocketsli connector: it counts WebSocket events into metrics, by
// the dimensions and with the facts of the rollup, so that a Prometheus has the indicators that the store has. It
// decides nothing about events: package event says what counts, and how much.
//
// The invariants to keep: a chunk is counted once, however often it comes; what is published is kept before, where there
// is a storage, because a counter that falls back makes Prometheus count everything again; and the number of series is
// bounded, whatever events say.
package websocketsliconnector

//go:generate go tool mdatagen metadata.yaml
