package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/cmd/sockeye/demo"
)

func newDemoCommand() *cobra.Command {
	var settings demo.Settings
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See all of it on this machine, with traffic and an incident",
		Long: `Runs ClickHouse (embedded), the collector, a small WebSocket application behind nginx, an identity provider and clients
on free loopback ports; writes 30 days of history; lets the identity provider time out; and shows the page arrive and
resolve. nginx and Alertmanager are used where they are installed; what stands in for them is said on the screen.

It takes under four minutes and ends with status 0 only if the page arrived and resolved and every event was counted.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if settings.Executable, err = os.Executable(); err != nil {
				return err
			}
			settings.Out = cmd.OutOrStdout()
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return demo.Run(ctx, settings)
		},
	}
	cmd.Flags().BoolVar(&settings.Keep, "keep", false, "leave everything running at the end and print where to look")
	cmd.Flags().BoolVar(&settings.WithoutNginx, "without-nginx", false, "do as on a machine without nginx")
	cmd.Flags().BoolVar(&settings.WithoutAlertmanager, "without-alertmanager", false,
		"do as on a machine without Alertmanager")
	return cmd
}
