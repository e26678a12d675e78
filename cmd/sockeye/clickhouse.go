package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/store/embedded"
)

// tokenEnv carries the token of `sockeye clickhouse`: a flag would show it to everyone who lists processes.
const tokenEnv = "SOCKEYE_CLICKHOUSE_TOKEN"

func newClickhouseCommand() *cobra.Command {
	settings := embedded.Settings{}
	var tokenFile, memory string
	cmd := &cobra.Command{
		Use:   "clickhouse --data DIR",
		Short: "Run the embedded ClickHouse engine and serve its HTTP interface",
		Long: `Runs the ClickHouse engine on a directory of its own and serves ClickHouse's HTTP interface, for clickhouse-go,
curl, Grafana and this program's store. The engine is a shared library: ` + "`make libchdb`" + ` gets it.

Without a token only a loopback address is served. The token is the password of every request; it is read from
--token-file or ` + tokenEnv + `. Nothing that reads files or opens connections (file(), url(), s3(), remote() and
their like) is run for clients.`,
		Example: `  sockeye clickhouse --data ./clickhouse
  curl 'http://127.0.0.1:8123/?query=SELECT+version()'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if settings.MemoryBytes, err = embedded.ParseBytes(memory); err != nil {
				return fmt.Errorf("--memory: %w", err)
			}
			settings.Token = os.Getenv(tokenEnv)
			if tokenFile != "" {
				data, err := os.ReadFile(tokenFile)
				if err != nil {
					return fmt.Errorf("--token-file: %w", err)
				}
				if settings.Token = strings.TrimSpace(string(data)); settings.Token == "" {
					return fmt.Errorf("--token-file: %s is empty; write the token into it", tokenFile)
				}
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
	flags.StringVar(&settings.ListenNative, "listen-native", "", "address of the native protocol, such as 127.0.0.1:9000 (default: none)")
	flags.StringVar(&settings.Library, "library", "", "the engine's library, libchdb.so (default: $"+
		embedded.LibraryEnv+", beside this program, `make libchdb`'s, /usr/local/lib, /usr/lib)")
	flags.StringVar(&memory, "memory", "2GiB", "how much memory the engine may use, such as 512MiB or 4GiB")
	flags.StringVar(&tokenFile, "token-file", "", "file with the token every request must carry")
	_ = cmd.MarkFlagRequired("data")
	return cmd
}
