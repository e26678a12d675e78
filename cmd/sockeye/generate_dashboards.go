package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/dashboards"
	"github.com/sockeye-project/sockeye/slo"
)

type generateDashboardsOptions struct {
	out         string
	datasources []string
	files       []string
}

func newGenerateDashboardsCommand() *cobra.Command {
	var o generateDashboardsOptions
	cmd := &cobra.Command{
		Use:   "dashboards",
		Short: "Write Grafana dashboards and the files that provision them",
		Long: `Writes the boards of each datasource into a folder, and a provisioning file for all: Executive, On-call, Debug, SLOs
and the detail of one SLO. Point SOCKEYE_DASHBOARDS at the folder and copy provisioning/ into Grafana's, or import
single files.

With --slo, objectives in titles and capacities are those of your documents; without, those that ship. The same
documents give the same bytes.`,
		Example: `  sockeye generate dashboards --out /etc/grafana/sockeye --datasource clickhouse --slo 'slo/*.yaml'`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			return o.run(cmd)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.out, "out", "dashboards", "`DIR` to write to")
	f.StringSliceVar(&o.datasources, "datasource", nil, "`clickhouse|prometheus`; both if none is given")
	f.StringSliceVar(&o.files, "slo", nil, "SLO documents; `FILES` may be patterns")
	return cmd
}

func (o *generateDashboardsOptions) run(cmd *cobra.Command) error {
	if o.out == "" {
		return errors.New("--out: name a folder")
	}
	chosen := dashboards.Datasources()
	if len(o.datasources) > 0 {
		chosen = nil
		for _, d := range o.datasources {
			if !slices.Contains(dashboards.Datasources(), dashboards.Datasource(d)) {
				return fmt.Errorf("--datasource: must be clickhouse or prometheus, got %q", d)
			}
			chosen = append(chosen, dashboards.Datasource(d))
		}
	}
	var slos []slo.SLO
	if len(o.files) > 0 {
		var err error
		if slos, err = loadSLOs(cmd, o.files); err != nil {
			return err
		}
	}
	files, err := dashboards.Files(chosen, slos)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(o.out, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // for Grafana to read
			return err
		}
		if err := os.WriteFile(path, []byte(f.Data), 0o644); err != nil { //nolint:gosec // for Grafana to read
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), path)
	}
	return nil
}
