// Package slo is the pure part of the SLO engine: OpenSLO v1 documents in, one SQL statement out, counts in, states and
// burn rates out. [Parse] and [Load] read documents and report every fault at once with file, line and column;
// [Defaults] instantiates the indicators that ship with Sockeye; [Plan] compiles any number of SLOs into one query over
// the rollups and side tables; [Evaluate] turns counts into a [Status].
//
// It opens no connection, reads no clock and sends no alert: package sloextension does.
//
// The invariants to keep: a number that a reader sees is exact or rounded once at the very end, because all arithmetic
// is on integers and rationals; a ratio without a denominator is a state, never a number; and a window is half-open,
// [asof-w, asof), with asof given from outside.
package slo
