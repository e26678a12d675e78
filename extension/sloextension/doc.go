// Package sloextension runs the SLO engine inside a collector. On every tick it asks the store how far its sources have
// been read, counts all SLOs as of that watermark, writes the outcome with the counts it used to slo_status,
// serves it as JSON and as Prometheus metrics, and, if it owns the alerting, keeps Alertmanager informed.
//
// What an SLO is and how it is judged is package slo's business; this package only executes, remembers and sends.
//
// The invariants to keep: what the engine cannot see neither fires nor resolves a burn-rate alert, it raises an alert of
// its own; and an alert's labels never hold anything that differs between two engines over the same store, so that
// Alertmanager merges what both send.
package sloextension

//go:generate go tool mdatagen metadata.yaml
