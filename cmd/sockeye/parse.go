package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/keyfile"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/format"
)

// maxParseLine is the receiver's default for max_line_bytes.
const maxParseLine = 1 << 20

func newParseCommand() *cobra.Command {
	var o parseOptions
	cmd := &cobra.Command{
		Use:   "parse --format FORMAT [FILE|-]...",
		Short: "Show the events that Sockeye reads from a log",
		Long: `Reads logs as the websocketlog receiver does and prints the events that their lines prove, as NDJSON, before
personal data is removed. Pipe it into ` + "`sockeye redact`" + ` to see what would be stored.

Problems go to stderr as FILE:LINE: REASON; a line's content is never printed. The exit status is 0 if every file could
be read, and with --strict 1 if a line could not.

Formats:
` + formatList(),
		Example: `  sockeye parse --format nginx /var/log/nginx/access.json.log
  tail -n 1000 access.log | sockeye parse --format nginx --service chat | sockeye redact`,
		RunE: func(cmd *cobra.Command, args []string) error {
			// From here on an error is about files and lines, not about how the command was called.
			cmd.SilenceUsage = true
			if len(args) == 0 {
				args = []string{"-"}
			}
			return o.run(cmd.Context(), args, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.format, "format", "f", "", "`FORMAT` of the lines: "+format.Names())
	f.StringVarP(&o.options.Template, "template", "t", "",
		"the format as it stands in the writer's configuration, for formats that have such")
	f.StringArrayVar(&o.options.Paths, "path", nil,
		"`PATTERN` of URL paths that are WebSockets, such as /rooms/*, for formats whose lines cannot prove it; may be repeated")
	f.StringVar(&o.vantage, "vantage", event.VantageEdge,
		"`WHERE` the writer of the log stands: "+strings.Join(event.Vantage.Definition().Values, ", "))
	f.StringVar(&o.service, "service", "", "`NAME` for service.name of the events")
	f.StringVar(&o.keyFile, "key-file", "",
		"installation key `FILE` for connection ids; without one they differ from run to run")
	f.BoolVar(&o.strict, "strict", false, "exit with status 1 if a line could not be read")
	return cmd
}

func formatList() string {
	var b strings.Builder
	for _, f := range format.All() {
		fmt.Fprintf(&b, "  %-8s %s\n", f.Name, f.Brief)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

type parseOptions struct {
	format, vantage, service, keyFile string
	strict                            bool
	options                           format.Options
}

// flagOf names the flags whose names are not those of their options.
var flagOf = map[format.Option]string{format.Paths: "path"}

// parseTotals is what the last line of stderr reports.
type parseTotals struct{ lines, events, skipped, errors int }

func (o *parseOptions) run(ctx context.Context, files []string, stdin io.Reader, stdout, stderr io.Writer) error {
	parser, err := o.parser()
	if err != nil {
		return err
	}
	if adviser, ok := parser.(source.Adviser); ok {
		for _, sentence := range adviser.Advice() {
			fmt.Fprintln(stderr, "note:", sentence)
		}
	}
	out := bufio.NewWriterSize(stdout, 1<<16)
	var totals parseTotals
	var faults []error
	for _, name := range files {
		if err := o.file(ctx, name, stdin, parser, out, stderr, &totals); err != nil {
			faults = append(faults, err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("stdout: %w", err)
	}
	fmt.Fprintf(stderr, "%d lines: %d events; %d lines not about a WebSocket, %d that could not be read\n",
		totals.lines, totals.events, totals.skipped, totals.errors)
	if o.strict && totals.errors > 0 {
		faults = append(faults, fmt.Errorf("%d of %d lines could not be read", totals.errors, totals.lines))
	}
	return errors.Join(faults...)
}

// parser checks the flags, all of them before it answers.
func (o *parseOptions) parser() (source.Parser, error) {
	var faults []error
	settings := source.Settings{Vantage: o.vantage}
	var f format.Format
	var err error
	if o.format == "" {
		faults = append(faults, fmt.Errorf("--format: name the format of the lines, one of %s", format.Names()))
	} else if f, err = format.Of(o.format); err != nil {
		faults = append(faults, fmt.Errorf("--format: %w", err))
	}
	if vantages := event.Vantage.Definition().Values; !slices.Contains(vantages, o.vantage) {
		faults = append(faults, fmt.Errorf("--vantage: must be one of %s, got %q", strings.Join(vantages, ", "), o.vantage))
	}
	key := make([]byte, keyfile.Size)
	if o.keyFile == "" {
		_, _ = rand.Read(key) // never fails: crypto/rand
	} else if key, err = keyfile.Load(o.keyFile); err != nil {
		faults = append(faults, fmt.Errorf("--key-file: %w", err))
	}
	if f.Name != "" {
		_, err := f.New(settings, o.options)
		for _, fault := range format.OptionErrors(err) {
			flag := string(fault.Option)
			if name, ok := flagOf[fault.Option]; ok {
				flag = name
			}
			faults = append(faults, fmt.Errorf("--%s: %w", flag, fault.Err))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	settings.ConnectionKey = keyfile.Derive(key, source.ConnectionPurpose)
	settings.HandshakeKey = keyfile.Derive(key, source.HandshakePurpose)
	if o.service != "" {
		settings.Resource = event.NewResource(event.Named{Name: event.ServiceName, Value: event.String(o.service)})
	}
	return f.New(settings, o.options)
}

func (o *parseOptions) file(
	ctx context.Context, name string, stdin io.Reader, parser source.Parser, out *bufio.Writer, stderr io.Writer,
	totals *parseTotals,
) error {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	} else {
		name = "stdin"
	}
	var buf []byte
	emit := func(e *event.Event) {
		totals.events++
		buf = append(e.AppendJSON(buf[:0]), '\n')
		// A write error stays with the writer, and Flush returns it.
		_, _ = out.Write(buf)
	}
	lines := lineReader{r: bufio.NewReaderSize(in, 1<<16)}
	for n := 1; ctx.Err() == nil; n++ {
		line, tooLong, err := lines.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		totals.lines++
		if tooLong {
			err = &source.Error{Reason: source.TooLong}
		} else {
			err = parser.Parse(line, emit)
		}
		switch {
		case err == nil:
		case errors.Is(err, source.ErrSkipped):
			totals.skipped++
		default:
			totals.errors++
			fmt.Fprintf(stderr, "%s:%d: %v\n", name, n, err)
		}
	}
	return ctx.Err()
}

// lineReader reads lines in bounded memory: of a longer one it says only that it was there.
type lineReader struct {
	r    *bufio.Reader
	line []byte
}

// next returns a line without its break, which is valid until the next call; io.EOF after the last.
func (l *lineReader) next() (line []byte, tooLong bool, err error) {
	l.line = l.line[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if len(l.line)+len(part) > maxParseLine+1 {
			tooLong = true
			l.line = l.line[:0]
		}
		if !tooLong {
			l.line = append(l.line, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && (len(l.line) > 0 || tooLong || len(part) > 0):
			err = nil
		}
		return bytes.TrimRight(l.line, "\r\n"), tooLong, err
	}
}
