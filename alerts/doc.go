// Package alerts writes rule files for Prometheus from SLOs: recording rules of their counts and error ratios, and the
// alerts that the engine raises, under the same names and labels. It writes files and reads nothing.
//
// The invariants to keep: whatever package slo decides stands in the rules as an exact decimal; where nothing is known
// there is no sample, never NaN; and the same SLOs give the same bytes.
package alerts
