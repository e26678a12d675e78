package main

import (
	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/internal/eventdoc"
)

func newGenerateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Write alerts for Prometheus, Grafana and Alertmanager, dashboards, the event reference",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGenerateAlertsCommand(), newGenerateDashboardsCommand(), &cobra.Command{
		Use:   "events",
		Short: "Print the reference of events and attributes as Markdown",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(eventdoc.Markdown())
			return err
		},
	})
	return cmd
}
