package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// engineFlags say where a running engine is.
type engineFlags struct {
	address, tokenFile string
	databases          []string
}

func (f *engineFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.address, "address", "127.0.0.1:8123", "address of the HTTP interface of the engine")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "file with the engine's token (default: $"+tokenEnv+")")
}

// call sends a request to the engine and returns its answer, or what the engine says is wrong.
func (f *engineFlags) call(ctx context.Context, path string, query url.Values, body io.Reader) (*http.Response, error) {
	token, err := readToken(tokenEnv, "--token-file", f.tokenFile)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "http", Host: f.address, Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), body)
	if err != nil {
		return nil, errors.New("--address: must be host:port")
	}
	if token != "" {
		req.Header.Set("X-ClickHouse-Key", token)
	}
	// A redirect or a proxy would take the token elsewhere.
	client := http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if ctx.Err() != nil {
		return nil, errors.New("cancelled")
	}
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("no engine answers at %s; start the collector or `sockeye clickhouse`, "+
				"or name it with --address", f.address)
		}
		var cause *url.Error
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, fmt.Errorf("engine at %s: %w", f.address, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	switch code := resp.Header.Get("X-ClickHouse-Exception-Code"); {
	case err != nil:
		return nil, fmt.Errorf("engine at %s: %w", f.address, err)
	case code == "516":
		return nil, fmt.Errorf("engine at %s: the token is wrong or missing; put it in %s or a file named with --token-file",
			f.address, tokenEnv)
	case code == "":
		return nil, fmt.Errorf("%s answers, but not as the embedded engine does (HTTP %d)", f.address, resp.StatusCode)
	}
	return nil, fmt.Errorf("engine at %s: %s", f.address, strings.TrimSpace(string(text)))
}

// untilInterrupted ends with Ctrl-C, which takes the statement back: the engine stops what nobody waits for.
func untilInterrupted(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
}

func newBackupCommand() *cobra.Command {
	f := &engineFlags{}
	var to string
	cmd := &cobra.Command{
		Use:   "backup --to FILE|DIR",
		Short: "Write the tables of a running engine into an archive",
		Long: `Writes the tables of the embedded engine, which goes on running, into an archive for ` + "`sockeye clickhouse restore`" + `.
In a directory the archive gets a name of its own with the time. While it is made, the engine's data directory needs as
much room again as the archive takes. Each table is taken as it is at one moment, but not all at the same: run
` + "`sockeye store check`" + ` after a restore, or take the backup while nothing writes, with the collector stopped and
` + "`sockeye clickhouse --data DIR`" + ` in its place.`,
		Example: "  sockeye clickhouse backup --to /var/backups/",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return errors.New("backup: --to: name a directory, or a file that does not exist yet")
			}
			ctx, stop := untilInterrupted(cmd)
			defer stop()
			name, size, err := f.backup(ctx, to, time.Now())
			if err != nil {
				return fmt.Errorf("backup: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s (%d bytes)\n", name, size)
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&to, "to", "", "file that does not exist yet, or directory")
	cmd.Flags().StringArrayVar(&f.databases, "database", nil, "database to take, may be repeated (default: all)")
	return cmd
}

// backup writes an archive. The file has its name only once it is whole.
func (f *engineFlags) backup(ctx context.Context, to string, now time.Time) (name string, size int64, err error) {
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		to = filepath.Join(to, "sockeye-"+now.UTC().Format("20060102T150405Z")+".tar")
	}
	if _, err := os.Lstat(to); err == nil {
		return "", 0, fmt.Errorf("--to: %s exists; name another file", to)
	}
	file, err := os.CreateTemp(filepath.Dir(to), ".sockeye-backup-*")
	if err != nil {
		return "", 0, fmt.Errorf("--to: %w", err)
	}
	defer func() {
		file.Close()
		os.Remove(file.Name()) //nolint:errcheck // it has another name by now
	}()
	resp, err := f.call(ctx, "/backup", url.Values{"database": f.databases}, nil)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	if size, err = io.Copy(file, resp.Body); err != nil {
		if ctx.Err() != nil {
			err = errors.New("cancelled")
		}
		return "", 0, fmt.Errorf("the archive is not whole: %w", err)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return "", 0, fmt.Errorf("--to: %w", err)
	}
	// Link, unlike rename, does not replace what has come in between.
	if err := os.Link(file.Name(), to); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return "", 0, fmt.Errorf("--to: %s exists; name another file", to)
		}
		return "", 0, fmt.Errorf("--to: %w", err)
	}
	return to, size, nil
}

func newRestoreCommand() *cobra.Command {
	f := &engineFlags{}
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make the tables of an archive in a running engine",
		Long: `Makes the tables of an archive of ` + "`sockeye clickhouse backup`" + `, with their rows. Tables that exist must be empty: start the
engine by itself, on an empty directory, and the collector afterwards.`,
		Example: "  sockeye clickhouse --data ./empty &\n  sockeye clickhouse restore /var/backups/sockeye-20260102T030405Z.tar",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("restore: needs one file, an archive of `sockeye clickhouse backup`")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := untilInterrupted(cmd)
			defer stop()
			file, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("restore: %w", err)
			}
			defer file.Close()
			resp, err := f.call(ctx, "/restore", nil, file)
			if err != nil {
				return fmt.Errorf("restore: %w", err)
			}
			return resp.Body.Close()
		},
	}
	f.add(cmd)
	return cmd
}

// outputFormats are the engine's names of ours.
var outputFormats = map[string]string{"table": "PrettyCompactMonoBlock", "json": "JSONEachRow", "csv": "CSVWithNames"}

func newClickhouseQueryCommand() *cobra.Command {
	f := &engineFlags{}
	var output, database string
	cmd := &cobra.Command{
		Use:   "query SQL",
		Short: "Run a statement in a running engine",
		Long: `Runs a statement in the embedded engine and prints its result as it comes; Ctrl-C stops the statement. With - the
statement is read from the input. A table shows at most 1,000 rows, json (an object a row) and csv all.`,
		Example: `  sockeye clickhouse query "SELECT event, count() FROM events GROUP BY event"
  sockeye clickhouse query "SELECT * FROM events" --output csv > events.csv`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("query: needs one statement, in quotes")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			format, ok := outputFormats[output]
			if !ok {
				return fmt.Errorf("--output: must be table, json or csv, got %q", output)
			}
			text := args[0]
			if text == "-" {
				read, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 16<<20))
				if err != nil {
					return fmt.Errorf("query: %w", err)
				}
				text = string(read)
			}
			ctx, stop := untilInterrupted(cmd)
			defer stop()
			query := url.Values{"default_format": {format}, "database": {database}}
			resp, err := f.call(ctx, "/", query, strings.NewReader(text))
			if err != nil {
				return fmt.Errorf("query: %w", err)
			}
			defer resp.Body.Close()
			body := bufio.NewReader(resp.Body)
			_, empty := body.Peek(1)
			err = copyResult(cmd.OutOrStdout(), body, resp.Header.Get("X-ClickHouse-Exception-Tag"))
			switch {
			case ctx.Err() != nil:
				return errors.New("query: cancelled")
			case errors.Is(err, syscall.EPIPE):
				return nil // whoever reads us, such as head, has enough
			case err != nil:
				return fmt.Errorf("query: %w", err)
			case output == "table" && errors.Is(empty, io.EOF):
				// Such a table has no head either.
				fmt.Fprintln(cmd.ErrOrStderr(), "done; there are no rows to show")
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`FORM`: table, json or csv")
	cmd.Flags().StringVar(&database, "database", "sockeye", "database that names without one are of")
	return cmd
}

// maxExceptionBytes is how much of a result's end may be an exception instead.
const maxExceptionBytes = 32 << 10

// copyResult copies a result. An exception that follows what has been sent already is not printed but returned.
func copyResult(w io.Writer, body io.Reader, tag string) error {
	in := bufio.NewReaderSize(body, 2*maxExceptionBytes)
	for {
		// The end is held back until it is known to be one.
		held, err := in.Peek(in.Size())
		if err == nil {
			n, err := w.Write(held[:len(held)-maxExceptionBytes])
			if err != nil {
				return err
			}
			_, _ = in.Discard(n)
			continue
		}
		mark := []byte("\r\n__exception__\r\n" + tag + "\r\n")
		if at := bytes.Index(held, mark); tag != "" && at >= 0 {
			text, _, _ := strings.Cut(string(held[at+len(mark):]), "\n")
			held, err = held[:at], errors.New(text)
		}
		if _, written := w.Write(held); written != nil {
			return written
		}
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		return err
	}
}

// readToken reads a token from a file, or from the environment where none is named.
func readToken(env, flag, file string) (string, error) {
	if file == "" {
		return os.Getenv(env), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", fmt.Errorf("%s: %s is empty; write the token into it", flag, file)
	}
	return token, nil
}
