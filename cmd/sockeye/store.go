package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

// storePasswordEnv carries the password of `sockeye store`: a flag would show it to everyone who lists processes.
const storePasswordEnv = "SOCKEYE_STORE_PASSWORD"

type storeFlags struct {
	endpoint, username, database, output string
	timeout                              time.Duration
	cluster                              schema.Cluster
}

func newStoreCommand() *cobra.Command {
	flags := &storeFlags{}
	cmd := &cobra.Command{
		Use:   "store migrate|status|check|print",
		Short: "Bring the ClickHouse schema up to date, and check what is stored",
		Long: `The tables, rollups and views that Sockeye needs in ClickHouse are made by numbered migrations. The collector
applies them itself unless its exporter says create_schema: false; then an administrator runs
` + "`sockeye store migrate`" + `.

The password of the endpoint is read from ` + storePasswordEnv + `, or stands in the endpoint.`,
		Example: `  sockeye store status --endpoint http://127.0.0.1:8123/sockeye
  sockeye store migrate --endpoint clickhouse://clickhouse:9000/sockeye --username admin
  sockeye store migrate --endpoint http://ch-1:8123/sockeye,http://ch-2:8123/sockeye --cluster sockeye
  sockeye store print > schema.sql`,
	}
	withEndpoint := func(sub *cobra.Command) *cobra.Command {
		flags.add(sub)
		return sub
	}
	status := withEndpoint(&cobra.Command{
		Use:   "status",
		Short: "Say which migrations are applied; exit status 1 if any is pending",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.withStore(cmd, true, func(ctx context.Context, s *store.Store) error {
				return flags.status(ctx, cmd, s)
			})
		},
	})
	status.Flags().StringVar(&flags.output, "output", "text", "text or json")
	printed := &cobra.Command{
		Use:   "print",
		Short: "Print the statements of all migrations",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := store.Print(flags.cluster, cmp.Or(flags.database, store.DefaultDatabase))
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
	printed.Flags().StringVar(&flags.database, "database", "", "database that statements for a cluster name (default "+
		store.DefaultDatabase+")")
	cmd.AddCommand(
		withEndpoint(&cobra.Command{
			Use:   "migrate",
			Short: "Create the database and apply what is pending",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return flags.withStore(cmd, false, func(ctx context.Context, s *store.Store) error {
					applied, err := s.Migrate(ctx)
					if err != nil {
						return err
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %d migrations applied\n", s.Database(), applied)
					return nil
				})
			},
		}),
		status,
		withEndpoint(newStoreCheckCommand(flags)),
		printed,
	)
	cluster := cmd.PersistentFlags()
	cluster.StringVar(&flags.cluster.Name, "cluster", "",
		"name of the cluster that the database lies on, as in system.clusters")
	cluster.StringVar(&flags.cluster.Path, "cluster-path", "", "where replicated tables meet in Keeper (default "+
		schema.DefaultPath+")")
	cluster.StringVar(&flags.cluster.StoragePolicy, "storage-policy", "", "storage policy of a cluster's tables")
	return cmd
}

// add adds the flags that say where the store is.
func (f *storeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.endpoint, "endpoint", "http://127.0.0.1:8123/sockeye",
		"where ClickHouse is: http(s)://host:8123/database or clickhouse://host:9000/database; several, with commas "+
			"between them, stand in for each other")
	cmd.Flags().StringVar(&f.username, "username", "", "user name, if it does not stand in the endpoint")
	cmd.Flags().StringVar(&f.database, "database", "", "database, if it does not stand in the endpoint")
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait for an answer")
}

func (f *storeFlags) withStore(cmd *cobra.Command, keep bool, do func(context.Context, *store.Store) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	s, err := store.Open(ctx, f.endpoint, store.Options{
		Username: f.username, Password: os.Getenv(storePasswordEnv), Database: f.database, KeepDatabase: keep,
		Cluster: f.cluster,
	})
	if err != nil {
		return err
	}
	defer s.Close()
	return do(ctx, s)
}

// storeStatus is what `sockeye store status` prints.
type storeStatus struct {
	Server     string         `json:"server"`
	Migrations []migrationRow `json:"migrations"`
	Drifts     []store.Drift  `json:"drifts"`
	Own        []string       `json:"own_columns"`
}

// migrationRow is a line of `sockeye store status`.
type migrationRow struct {
	Migration string     `json:"migration"`
	State     string     `json:"state"`
	Applied   *time.Time `json:"applied,omitempty"`
}

func (f *storeFlags) status(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
	status, err := s.MigrationStatus(ctx)
	if err != nil {
		return err
	}
	server, err := s.Version()
	if err != nil {
		return err
	}
	report := storeStatus{Server: server, Drifts: status.Drifts, Own: status.Own}
	for _, m := range status.Migrations {
		row := migrationRow{Migration: fmt.Sprintf("%04d_%s", m.Number, m.Name), State: "pending"}
		if !m.Applied.IsZero() {
			row.State, row.Applied = "applied", &m.Applied
		}
		if m.Edited {
			row.State = "applied in another form"
		}
		report.Migrations = append(report.Migrations, row)
	}
	for _, name := range status.Newer {
		report.Migrations = append(report.Migrations, migrationRow{Migration: name, State: "unknown to this version"})
	}
	if err := f.print(cmd.OutOrStdout(), report); err != nil {
		return err
	}
	if n := status.Pending(); n > 0 {
		err = fmt.Errorf("database %q lacks %d migrations; run `sockeye store migrate`", s.Database(), n)
	}
	return errors.Join(status.Fault(s.Database()), err)
}

func (f *storeFlags) print(w io.Writer, report storeStatus) error {
	switch f.output {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report)
	case "text":
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "MIGRATION\tSTATE\tAPPLIED")
		for _, r := range report.Migrations {
			applied := "-"
			if r.Applied != nil {
				applied = r.Applied.UTC().Format(time.RFC3339)
			}
			fmt.Fprintln(table, strings.Join([]string{r.Migration, r.State, applied}, "\t"))
		}
		if err := table.Flush(); err != nil {
			return err
		}
		fmt.Fprintf(w, "\nserver: %s\n", report.Server)
		for _, d := range report.Drifts {
			fmt.Fprintf(w, "\n%s\n%s;\n", d, d.Remedy)
		}
		for _, column := range report.Own {
			fmt.Fprintf(w, "%s: a column of your own, which is left alone\n", column)
		}
		return nil
	}
	return fmt.Errorf("--output: must be text or json, got %q", f.output)
}
