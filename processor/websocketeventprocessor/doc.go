// Package websocketeventprocessor is the collector's websocketevent processor: it reads log records that arrive by OTLP
// with the parsers of package source, as the websocketlog receiver reads lines, and puts the events in their place.
//
// It keeps no records and gives none an identity: a chunk's id is for the source of records to give. Records that are
// events already pass unchanged, with the scope that names their chunk.
//
// The invariant to keep: what a sender says of itself in its resource wins over what the configuration says, and nothing
// of a record that became an event goes on but the event.
package websocketeventprocessor

//go:generate go tool mdatagen metadata.yaml
