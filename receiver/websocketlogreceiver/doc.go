// Package websocketlogreceiver is the websocketlog receiver: it follows log files and accepts lines pushed by HTTP,
// turns them into events with the parsers of source/, and hands them to the pipeline in chunks.
//
// It parses nothing itself, redacts nothing (the pii processor does) and queues nothing: the file is the queue, and a
// sender that is refused keeps what it sent.
//
// The invariant to keep, "exactly once": a chunk of a file is a span of bytes. Its bounds and id are stored before it
// is sent, the same span is read again after a restart, and the file's offset moves only after the pipeline has
// acknowledged the chunk. Nothing is skipped because the pipeline refuses it.
package websocketlogreceiver
