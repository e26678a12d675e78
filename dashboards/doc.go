// Package dashboards writes Grafana dashboards as files: for ClickHouse, where every question about connections is answered, and
// for Prometheus, as far as metrics answer it. It writes files and reads nothing.
//
// A board is declared in one file (executive.go, oncall.go, debug.go, slo.go): what each panel asks, its query and what the
// query returns. panel.go turns that into the types of Grafana's SDK; clickhouse.go and prometheus.go hold what the two
// datasources have in common over all boards: variables, filters, names.
//
// The invariants to keep: the same SLO documents give the same bytes; no query counts a connection at two places of observation; a
// ratio without a denominator is null and shows as words, never as 0; and a panel says what it tells and what to do.
package dashboards
