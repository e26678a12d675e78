package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/alerts"
	"github.com/sockeye-project/sockeye/slo"
)

type generateAlertsOptions struct {
	shipped slo.DefaultSettings
	out     string
	options alerts.Options
}

func newGenerateAlertsCommand() *cobra.Command {
	var o generateAlertsOptions
	cmd := &cobra.Command{
		Use:   "alerts [FILE...]",
		Short: "Write Prometheus rules of SLO documents",
		Long: `Reads OpenSLO v1 documents as the engine does and writes one rule file for Prometheus: recording rules over the
metrics of the websocketsli connector, burn-rate alerts, and alerts for what is not known. What rules cannot express
is said on stderr, with who does it instead. The same documents give the same bytes.

Exactly one system should page: where it is not Prometheus, write --record-only.`,
		Example: `  sockeye generate alerts slo/*.yaml --out sockeye.rules.yaml && promtool check rules sockeye.rules.yaml
  sockeye generate alerts --service chat --runbook-url 'https://runbooks.example.com/{alertname}'`,
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
	f.StringVar(&o.out, "out", "", "write to this `FILE` instead of stdout")
	f.BoolVar(&o.options.RecordOnly, "record-only", false, "leave out the alerts: something else pages")
	f.StringVar(&o.options.RunbookURL, "runbook-url", "",
		"`URL` of runbooks, with {alertname}, {service}, {slo}, {severity}")
	f.StringVar(&o.options.DashboardURL, "dashboard-url", "", "`URL` of dashboards, with the same")
	f.DurationVar(&o.options.Interval, "interval", time.Minute, "how often rules are evaluated")
	f.IntVar(&o.options.Scale, "window-scale", 1, "divide burn windows by this, for a demonstration")
	return cmd
}

func (o *generateAlertsOptions) run(cmd *cobra.Command, files []string) error {
	if len(files)+len(o.shipped.Services) == 0 {
		return errors.New("name SLO documents, or a --service for the SLOs that ship")
	}
	if o.options.Interval < time.Second || o.options.Interval%time.Second != 0 {
		return fmt.Errorf("--interval: must be whole seconds, got %v", o.options.Interval)
	}
	if o.options.Scale < 1 {
		return fmt.Errorf("--window-scale: must be at least 1, got %d", o.options.Scale)
	}
	var slos []slo.SLO
	if len(files) > 0 {
		var err error
		if slos, err = loadSLOs(cmd, files); err != nil {
			return err
		}
	}
	if len(o.shipped.Services) > 0 {
		shipped, err := slo.Defaults(o.shipped)
		if err != nil {
			return fmt.Errorf("--service: %w", err)
		}
		slos = append(slos, shipped...)
	}
	file, notes := alerts.Prometheus(slos, o.options)
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
	return os.WriteFile(o.out, text, 0o644) //nolint:gosec // rules are for Prometheus to read
}
