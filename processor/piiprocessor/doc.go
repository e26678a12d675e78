// Package piiprocessor is the collector's pii processor: it walks log records and lets package redact treat every
// string in them, wherever it stands: attributes and their keys, bodies, resource, scope, schema URLs, event names.
//
// It never drops a record and never adds one, because a chunk's records are counted by the exporter; it only empties
// what may not pass. It keeps nothing of what it saw.
//
// The invariant to keep: it fails closed. A value leaves only if its treatment returned it; a panic blanks the field,
// or the record where the field is not known.
package piiprocessor

//go:generate go tool mdatagen metadata.yaml
