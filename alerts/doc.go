// Package alerts writes files for those who alert: rules for Prometheus from SLOs (recording rules of their counts and error ratios,
// and the alerts that the engine raises, under the same names and labels) and from symptoms, rules for Grafana on ClickHouse, and
// Alertmanager's configuration. It writes files and reads nothing but its settings.
//
// The invariants to keep: whatever package slo decides stands in the rules as an exact decimal; where nothing is known
// there is no sample, never NaN; and the same SLOs give the same bytes.
package alerts
