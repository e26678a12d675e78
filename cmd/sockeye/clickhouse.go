package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/store/embedded"
)

// tokenEnv carries the token of `sockeye clickhouse`: a flag would show it to everyone who lists processes.
const (
	tokenEnv         = "SOCKEYE_CLICKHOUSE_TOKEN"
	readOnlyTokenEnv = "SOCKEYE_CLICKHOUSE_READONLY_TOKEN"
)

func newClickhouseCommand() *cobra.Command {
	settings := embedded.Settings{}
	var tokenFile, readOnlyFile, memory string
	cmd := &cobra.Command{
		Use:   "clickhouse --data DIR",
		Short: "Run the embedded ClickHouse engine, ask one that runs, back it up",
		Long: `Runs the ClickHouse engine on a directory of its own and serves ClickHouse's HTTP interface and, with --listen-native,
its native protocol, for clickhouse-go, clickhouse-client, curl, Grafana and this program's store. The engine is a shared
library: ` + "`make libchdb`" + ` gets it.

Without a token only loopback addresses are served. The token is the password of every request, whatever the user; it is
read from --token-file or ` + tokenEnv + `. With the one of --readonly-token-file or ` + readOnlyTokenEnv + `
nothing can be changed. Nothing that reads files or opens connections (file(), url(), s3(), remote() and their like) is
run for clients.`,
		Example: `  sockeye clickhouse --data ./clickhouse --listen-native 127.0.0.1:9000
  curl 'http://127.0.0.1:8123/?query=SELECT+version()'
  clickhouse-client --query 'SELECT version()'
  sockeye clickhouse query 'SELECT version()'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if settings.DataDir == "" {
				return errors.New("--data: name the directory of the tables; or a command: backup, query, restore")
			}
			var err error
			if settings.MemoryBytes, err = embedded.ParseBytes(memory); err != nil {
				return fmt.Errorf("--memory: %w", err)
			}
			if settings.Token, err = readToken(tokenEnv, "--token-file", tokenFile); err != nil {
				return err
			}
			settings.ReadOnlyToken, err = readToken(readOnlyTokenEnv, "--readonly-token-file", readOnlyFile)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			return embedded.Run(ctx, settings, func(a embedded.Addresses) {
				fmt.Fprintf(cmd.OutOrStdout(), "ready http://%s/", a.HTTP)
				if a.Native != "" {
					fmt.Fprintf(cmd.OutOrStdout(), " clickhouse://%s", a.Native)
				}
				fmt.Fprintln(cmd.OutOrStdout())
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&settings.DataDir, "data", "", "directory of the tables; made if it does not exist")
	flags.StringVar(&settings.Listen, "listen", "127.0.0.1:8123", "address of the HTTP interface; port 0 takes a free one")
	flags.StringVar(&settings.ListenNative, "listen-native", "",
		"address of the native protocol, such as 127.0.0.1:9000 (default: none)")
	flags.StringVar(&settings.Library, "library", "", "the engine's library, `libchdb.so` (default: $"+
		embedded.LibraryEnv+", beside this program, where make libchdb puts it, /usr/local/lib, /usr/lib)")
	flags.StringVar(&memory, "memory", "2GiB", "how much memory the engine may use, such as 512MiB or 4GiB")
	flags.StringVar(&tokenFile, "token-file", "", "file with the token every request must carry")
	flags.StringVar(&readOnlyFile, "readonly-token-file", "", "file with a token for reading only, such as Grafana's")
	cmd.AddCommand(newBackupCommand(), newRestoreCommand(), newClickhouseQueryCommand())
	return cmd
}
