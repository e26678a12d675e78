package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/follow"
	"github.com/sockeye-project/sockeye/internal/keyfile"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/format"
	"github.com/sockeye-project/sockeye/source/mapping"
	"github.com/sockeye-project/sockeye/source/nginx"
)

// maxParseLine is the receiver's default for max_line_bytes.
const maxParseLine = 1 << 20

func newParseCommand() *cobra.Command {
	var o parseOptions
	cmd := &cobra.Command{
		Use:   "parse --format FORMAT [FILE|-]...",
		Short: "Show the events that Sockeye reads from a log",
		Long: `Reads logs as the websocketlog receiver does, also logs that gzip has compressed, and prints the events that
their lines prove, as NDJSON, before personal data is removed. Pipe it into ` + "`sockeye redact`" + ` to see what would
be stored.

Problems go to stderr as FILE:LINE: REASON, the first ten of them; a line's content is never printed. The exit status is
0 if every file could be read, and with --strict 1 if a line could not.

Formats:
` + formatList(),
		Example: `  sockeye parse --format auto access.log
  sockeye parse --nginx-conf /etc/nginx/nginx.conf --error-log /var/log/nginx/error.log /var/log/nginx/access.log
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
		"the format as its `TEXT` stands in the writer's configuration, for formats that have such")
	f.StringArrayVar(&o.options.Paths, "path", nil,
		"`PATTERN` of URL paths that are WebSockets, for formats whose lines cannot prove it; may be repeated")
	f.StringVar(&o.mapping, "mapping", "", "YAML `FILE` that describes a JSON log, for --format mapping, which it implies")
	f.StringVar(&o.nginxConf, "nginx-conf", "",
		"nginx.conf `FILE` to take the template from: its access_log for that log, or --log-format")
	f.StringVar(&o.logFormat, "log-format", "", "`NAME` of a log_format in --nginx-conf")
	f.StringVar(&o.errorLog, "error-log", "", "nginx's error log `FILE`, which says why connections ended")
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
		fmt.Fprintf(&b, "  %-14s %s\n", f.Name, f.Brief)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

type parseOptions struct {
	format, vantage, service, keyFile string
	nginxConf, logFormat, errorLog    string
	mapping                           string
	strict                            bool
	options                           format.Options
	conf                              *nginx.Conf
	advised                           map[string]bool
}

// flagOf names the flags whose names are not those of their options.
var flagOf = map[format.Option]string{format.Paths: "path", format.ErrorLog: "error-log"}

// maxFaultsShown is how many lines that could not be read are named: the tenth tells no more than the first did.
const maxFaultsShown = 10

// parseTotals is what the last line of stderr reports.
type parseTotals struct{ lines, events, skipped, errors int }

func (o *parseOptions) run(ctx context.Context, files []string, stdin io.Reader, stdout, stderr io.Writer) error {
	newParser, err := o.prepare(stderr)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(stdout, 1<<16)
	var totals parseTotals
	var faults []error
	for _, name := range files {
		if err := o.file(ctx, name, stdin, newParser, out, stderr, &totals); err != nil {
			faults = append(faults, err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("stdout: %w", err)
	}
	if more := totals.errors - maxFaultsShown; more > 0 {
		fmt.Fprintf(stderr, "%d more that could not be read\n", more)
	}
	fmt.Fprintf(stderr, "%d lines: %d events; %d lines not about a WebSocket, %d that could not be read\n",
		totals.lines, totals.events, totals.skipped, totals.errors)
	if o.strict && totals.errors > 0 {
		faults = append(faults, fmt.Errorf("%d of %d lines could not be read", totals.errors, totals.lines))
	}
	return errors.Join(faults...)
}

// prepare checks the flags, all of them before it answers, and returns what makes the parser of a file; head is the
// beginning of that.
func (o *parseOptions) prepare(stderr io.Writer) (func(name string, head func() []byte) (source.Parser, error), error) {
	var faults []error
	settings := source.Settings{Vantage: o.vantage, Zone: time.Local}
	var f format.Format
	var err error
	switch {
	case o.format != "":
	case o.nginxConf != "":
		o.format = format.Nginx
	case o.mapping != "":
		o.format = format.MappingFormat
	}
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
		faults = append(faults, o.prepareFormat(f, stderr)...)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	settings.ConnectionKey = keyfile.Derive(key, source.ConnectionPurpose)
	settings.HandshakeKey = keyfile.Derive(key, source.HandshakePurpose)
	if o.service != "" {
		settings.Resource = event.NewResource(event.Named{Name: event.ServiceName, Value: event.String(o.service)})
	}
	o.advised = map[string]bool{}
	return func(name string, head func() []byte) (source.Parser, error) {
		options, err := o.optionsOf(name, head, stderr)
		if err != nil {
			return nil, err
		}
		p, err := f.New(settings, options)
		if adviser, ok := p.(source.Adviser); ok {
			o.advise(adviser.Advice(), stderr)
		}
		return p, err
	}, nil
}

// advise prints what a format lacks, each sentence once, with the names that options have as flags.
func (o *parseOptions) advise(advice []string, stderr io.Writer) {
	for _, sentence := range advice {
		for option, flag := range flagOf {
			sentence = strings.ReplaceAll(sentence, string(option), "--"+flag)
		}
		if !o.advised[sentence] {
			fmt.Fprintln(stderr, "note:", sentence)
		}
		o.advised[sentence] = true
	}
}

// maxCauses bounds what is kept of an error log: more ends of connections than a day of most sites has.
const maxCauses = 1 << 20

// prepareFormat completes the options that all files have in common, and returns their faults.
func (o *parseOptions) prepareFormat(f format.Format, stderr io.Writer) (faults []error) {
	if o.errorLog != "" {
		file := follow.New(o.errorLog, follow.Everything)
		if err := file.Read(func([]byte) {}); err != nil {
			faults = append(faults, fmt.Errorf("--error-log: %w", err))
		}
		file.Close()
		file = follow.New(o.errorLog, follow.Everything)
		o.options.ErrorLog = nginx.NewErrorLog(func(line func([]byte)) {
			if err := file.Read(line); err != nil {
				fmt.Fprintln(stderr, "--error-log:", err)
			}
		}, maxCauses)
	}
	if o.mapping != "" {
		var err error
		if o.options.Mapping, err = readMapping(o.mapping); err != nil {
			return append(faults, fmt.Errorf("--mapping: %w", err))
		}
	}
	switch {
	case o.nginxConf == "" && o.logFormat != "":
		faults = append(faults, errors.New("--log-format: names a log_format of --nginx-conf; give that too"))
	case o.nginxConf != "" && (f.Name != format.Nginx || o.options.Template != ""):
		faults = append(faults, errors.New("--nginx-conf: is for --format nginx without --template"))
	case o.nginxConf != "":
		name, err := filepath.Abs(o.nginxConf)
		if err == nil {
			o.conf, err = nginx.ReadConf(os.DirFS("/"), name)
		}
		if err == nil && o.logFormat != "" {
			o.options.Template, err = o.conf.Format(o.logFormat)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("--nginx-conf: %w", err))
		}
	}
	_, err := f.New(source.Settings{}, o.options)
	for _, fault := range format.OptionErrors(err) {
		flag := string(fault.Option)
		if name, ok := flagOf[fault.Option]; ok {
			flag = name
		}
		faults = append(faults, fmt.Errorf("--%s: %w", flag, fault.Err))
	}
	return faults
}

// readMapping reads the description of a JSON log, in which an unknown key is a fault.
func readMapping(name string) (*mapping.Config, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	cfg := &mapping.Config{}
	err = d.Decode(cfg)
	var wrong *yaml.TypeError
	switch {
	case errors.As(err, &wrong):
		var faults []error
		for _, text := range wrong.Errors {
			text, _, _ = strings.Cut(text, " in type ") // which is Go's
			faults = append(faults, fmt.Errorf("%s: %s", name, text))
		}
		return nil, errors.Join(faults...)
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return cfg, nil
}

// optionsOf returns the options of one file.
func (o *parseOptions) optionsOf(name string, head func() []byte, stderr io.Writer) (format.Options, error) {
	options := o.options
	if o.conf != nil && o.logFormat == "" {
		path, err := filepath.Abs(name)
		if err == nil {
			options.Template, err = o.conf.FormatOf(path)
		}
		if err != nil {
			return options, fmt.Errorf("%s: %w, with --log-format", name, err)
		}
	}
	told := false
	options.Auto = &format.AutoOptions{
		Head: head,
		Recognised: func(r format.Recognition) {
			fmt.Fprintf(stderr, "%s: format recognised: %s\n", name, r)
			o.advise(r.Advice, stderr)
		},
		Unrecognised: func(err error) {
			if !told {
				fmt.Fprintf(stderr, "%s: %v\n", name, err)
			}
			told = true
		},
	}
	return options, nil
}

func (o *parseOptions) file(
	ctx context.Context, name string, stdin io.Reader, newParser func(string, func() []byte) (source.Parser, error),
	out *bufio.Writer, stderr io.Writer, totals *parseTotals,
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
	lines := lineReader{r: bufio.NewReaderSize(in, format.AutoBytes)}
	if magic, _ := lines.r.Peek(2); string(magic) == "\x1f\x8b" { // RFC 1952 §2.3.1: a log that was rotated
		z, err := gzip.NewReader(lines.r)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		lines.r = bufio.NewReaderSize(z, format.AutoBytes)
	}
	// head is the beginning as it was there at first, seen what has been read of it.
	var head, seen []byte
	if o.format == format.Auto {
		// What there is now: standard input may be slow. An error comes again with the first line.
		_, _ = lines.r.Peek(1)
		head, _ = lines.r.Peek(lines.r.Buffered())
		head = bytes.Clone(head)
	}
	parser, err := newParser(name, func() []byte {
		if len(seen) > len(head) {
			return seen
		}
		return head
	})
	if err != nil {
		return err
	}
	for n := 1; ctx.Err() == nil; n++ {
		line, tooLong, err := lines.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		totals.lines++
		if o.format == format.Auto && len(seen) < format.AutoBytes {
			seen = append(append(seen, line...), '\n')
		}
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
			if totals.errors++; totals.errors <= maxFaultsShown {
				fmt.Fprintf(stderr, "%s:%d: %v\n", name, n, err)
			}
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
