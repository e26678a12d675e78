// Package piiprocessor is the collector's pii processor: it walks log records, spans and metrics and lets package
// redact treat every string in them, wherever it stands: attributes and their keys, bodies, names, descriptions, resource,
// scope, schema URLs.
//
// It never drops a record, span or data point and never adds one: a chunk's records are counted by the exporter. It only
// empties what may not pass. It keeps nothing of what it saw.
//
// The invariant to keep: it fails closed. A value leaves only if its treatment returned it; a panic blanks the field,
// or the record, span or metric where the field is not known.
package piiprocessor

//go:generate go tool mdatagen metadata.yaml
