package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/alerts"
	"github.com/sockeye-project/sockeye/dashboards"
	"github.com/sockeye-project/sockeye/slo"
)

type generateAlertsOptions struct {
	shipped             slo.DefaultSettings
	kind, out, settings string
	options             alerts.Options
}

// The kinds of files.
const (
	kindPrometheus   = "prometheus"
	kindGrafana      = "grafana"
	kindAlertmanager = "alertmanager"
)

// runbooks are where the pages of docs/runbooks can be read.
const runbooks = "https://github.com/sockeye-project/sockeye/blob/main/docs/runbooks/{alertname}.md"

func newGenerateAlertsCommand() *cobra.Command {
	var o generateAlertsOptions
	cmd := &cobra.Command{
		Use:   "alerts [FILE...]",
		Short: "Write alerts of SLO documents and of symptoms for Prometheus or Grafana, and Alertmanager's configuration",
		Long: `Reads OpenSLO v1 documents as the engine does and writes one file, by --kind:

  prometheus    rules over the metrics of the websocketsli connector: recording rules, burn rates, what is not known,
                symptoms of connections, and the collector's own health
  grafana       a provisioning file of rules that Grafana evaluates on ClickHouse
  alertmanager  routes by owner and severity, what keeps what quiet, and quiet hours; it takes no documents

What cannot be expressed is said on stderr, with who does it instead. The same documents give the same bytes. --settings
changes thresholds, owners and quiet hours; docs/alerts.md lists them.

Exactly one system should page: where it is not Prometheus, write --record-only.`,
		Example: `  sockeye generate alerts slo/*.yaml --out sockeye.rules.yaml && promtool check rules sockeye.rules.yaml
  sockeye generate alerts --service chat --runbook-url 'https://runbooks.example.com/{alertname}'
  sockeye generate alerts --kind grafana --service chat --out /etc/grafana/provisioning/alerting/sockeye.yaml
  sockeye generate alerts --kind alertmanager --settings alerts.yaml --out alertmanager.yaml`,
		RunE: func(cmd *cobra.Command, files []string) error {
			cmd.SilenceUsage = true
			return o.run(cmd, files)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.shipped.Services, "service", nil, "add the SLOs that ship, for this `SERVICE`; may be repeated")
	f.StringSliceVar(&o.shipped.Indicators, "indicator", nil, "only these of those SLOs: `NAMES`, with commas between")
	f.StringVar(&o.shipped.Vantage, "vantage", "", "`VANTAGE` from which those count connections (default edge)")
	f.StringVar(&o.shipped.AuthVantage, "auth-vantage", "",
		"`VANTAGE` from which they count authentications (default app)")
	f.StringVar(&o.kind, "kind", kindPrometheus, "prometheus, grafana or alertmanager")
	f.StringVar(&o.settings, "settings", "", "`FILE` with thresholds, owners and quiet hours")
	f.StringVar(&o.options.DatasourceUID, "datasource-uid", alerts.DefaultDatasourceUID,
		"`UID` of the ClickHouse datasource in Grafana")
	f.StringVar(&o.out, "out", "", "write to this `FILE` instead of stdout")
	f.BoolVar(&o.options.RecordOnly, "record-only", false, "leave out the alerts: something else pages")
	f.StringVar(&o.options.RunbookURL, "runbook-url", runbooks,
		"`URL` of runbooks, with {alertname}, {service}, {slo}, {severity}")
	f.StringVar(&o.options.GrafanaURL, "grafana-url", "",
		"`URL` of the Grafana that has the boards of sockeye generate dashboards; alerts link to theirs, with its variables set")
	f.StringVar(&o.options.DashboardURL, "dashboard-url", "",
		"`URL` of dashboards of yours instead, with the words of --runbook-url")
	f.DurationVar(&o.options.Interval, "interval", time.Minute, "how often rules are evaluated")
	f.IntVar(&o.options.Scale, "window-scale", 1, "divide burn windows by this, for a demonstration")
	return cmd
}

func (o *generateAlertsOptions) run(cmd *cobra.Command, files []string) error {
	kinds := []string{kindPrometheus, kindGrafana, kindAlertmanager}
	if !slices.Contains(kinds, o.kind) {
		return fmt.Errorf("--kind: must be one of %s, got %q", strings.Join(kinds, ", "), o.kind)
	}
	if o.kind != kindAlertmanager && len(files)+len(o.shipped.Services) == 0 {
		return errors.New("name SLO documents, or a --service for the SLOs that ship")
	}
	if o.kind != kindPrometheus && (o.options.RecordOnly || o.options.Scale != 1) {
		return fmt.Errorf("--record-only, --window-scale: are of --kind %s only", kindPrometheus)
	}
	if o.options.Interval < time.Second || o.options.Interval%time.Second != 0 {
		return fmt.Errorf("--interval: must be whole seconds, got %v", o.options.Interval)
	}
	if o.options.Scale < 1 {
		return fmt.Errorf("--window-scale: must be at least 1, got %d", o.options.Scale)
	}
	settings := alerts.DefaultSettings()
	if o.settings != "" {
		data, err := os.ReadFile(o.settings)
		if err != nil {
			return fmt.Errorf("--settings: %w", err)
		}
		if settings, err = alerts.ParseSettings(o.settings, data); err != nil {
			return err
		}
	}
	o.options.Thresholds = settings.Thresholds
	slos, err := o.load(cmd, files)
	if err != nil {
		return err
	}
	boards := dashboards.Prometheus
	if o.kind == kindGrafana {
		boards = dashboards.ClickHouse
	}
	if o.options.Panel, err = dashboards.Panels(boards); err != nil {
		return err
	}
	var file interface{ YAML() ([]byte, error) }
	var notes []string
	switch o.kind {
	case kindGrafana:
		file, notes = alerts.Grafana(slos, o.options)
	case kindAlertmanager:
		file, notes = alerts.Alertmanager(settings)
	default:
		file, notes = alerts.Prometheus(slos, o.options)
	}
	for _, note := range notes {
		fmt.Fprintln(cmd.ErrOrStderr(), note)
	}
	text, err := file.YAML()
	if err != nil {
		return err
	}
	if o.out == "" {
		_, err = cmd.OutOrStdout().Write(text)
		return err
	}
	return os.WriteFile(o.out, text, 0o644) //nolint:gosec // what is written is for other programs to read
}

func (o *generateAlertsOptions) load(cmd *cobra.Command, files []string) (slos []slo.SLO, err error) {
	if len(files) > 0 {
		if slos, err = loadSLOs(cmd, files); err != nil {
			return nil, err
		}
	}
	if len(o.shipped.Services) > 0 {
		shipped, err := slo.Defaults(o.shipped)
		if err != nil {
			return nil, fmt.Errorf("--service: %w", err)
		}
		slos = append(slos, shipped...)
	}
	return slos, nil
}
