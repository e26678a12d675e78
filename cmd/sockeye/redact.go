package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/internal/keyfile"
	"github.com/sockeye-project/sockeye/processor/piiprocessor"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

func newRedactCommand() *cobra.Command {
	var o redactOptions
	cmd := &cobra.Command{
		Use:   "redact [--policy FILE] [--unknown-keys drop|scan] [--text] [--explain|--audit|--reveal] [FILE|-]...",
		Short: "Show what the pii processor leaves of events or text",
		Long: `Reads NDJSON events and prints what the pii processor would pass on, one line for every line, in the same
order. A line that is no event of the model but a JSON object is treated as attributes. A line that is neither becomes
{} and is reported on stderr by its number, never by its content; the exit status is then 1.

With --text, lines are plain text, to try the detectors.

With --explain, it prints what was done instead of what is left: file and line, field, bytes of the value, rule and
action, separated by tabs. No value is printed, and no key that looks like one.

With --audit, lines are labelled data and it prints how much of what must go is gone and how much of what must stay is
there: {"text":…,"spans":[{"type":…,"start":…,"end":…}],"neg_for":…} in bytes, or {"attrs":{…},"body":…,
"labels":[{"type":…,"value":…}],"safe":[…]}. Files may be compressed with gzip.

With --reveal, nothing is redacted: in place of the tokens that were made for the private key in --identity, it prints
the values. Everything else stays as it is.`,
		Example: `  sockeye parse --format nginx access.json.log | sockeye redact
  sockeye redact --policy collector.yaml --unknown-keys scan events.ndjson
  echo 'user ann@example.com rejected' | sockeye redact --text
  sockeye redact --explain --unknown-keys scan events.ndjson
  sockeye redact --audit --unknown-keys scan labelled.jsonl.gz
  sockeye redact --reveal --identity reveal.pem events.ndjson`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			if len(args) == 0 {
				args = []string{"-"}
			}
			if o.reveal {
				return o.runReveal(cmd.Context(), args, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			return o.run(cmd.Context(), args, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.policy, "policy", "",
		"YAML `FILE` with the configuration of the processor, or of a collector that has it")
	f.StringVar(&o.unknownKeys, "unknown-keys", "",
		"what to do with attributes outside the event model, `drop or scan`; overrides the policy")
	f.StringVar(&o.keyFile, "key-file", "", "installation key `FILE` for pseudonyms; without one they are dropped")
	f.BoolVar(&o.text, "text", false, "treat lines as plain text")
	f.BoolVar(&o.explain, "explain", false, "print what was done and why instead of what is left")
	f.BoolVar(&o.audit, "audit", false, "measure recall and what is kept on labelled data")
	f.StringVarP(&o.output, "output", "o", "table", "`table or json`, for --audit")
	f.BoolVar(&o.reveal, "reveal", false, "print values in place of tokens; needs --identity")
	f.StringVar(&o.identity, "identity", "", "private key `FILE` in PEM, for --reveal")
	cmd.MarkFlagsMutuallyExclusive("audit", "explain")
	cmd.MarkFlagsRequiredTogether("reveal", "identity")
	for _, other := range []string{"audit", "explain", "policy", "unknown-keys", "key-file"} {
		cmd.MarkFlagsMutuallyExclusive("reveal", other)
	}
	cmd.MarkFlagsMutuallyExclusive("audit", "text")
	return cmd
}

type redactOptions struct {
	policy, unknownKeys, keyFile, output, identity string
	text, explain, audit, reveal                   bool
}

// redactRun is one run of the command.
type redactRun struct {
	redactor *piiprocessor.Redactor
	text     bool
	explain  bool
	remarks  []piiprocessor.Remark
	decoder  event.Decoder
	stderr   io.Writer
	counts   map[string]int
	lines    int
	faults   int
}

func (o *redactOptions) run(ctx context.Context, files []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if o.output != "table" && o.output != "json" {
		return fmt.Errorf("--output: must be table or json, got %q", o.output)
	}
	redactor, err := o.redactor(ctx, stderr)
	if err != nil {
		return err
	}
	if o.audit {
		return o.runAudit(ctx, redactor, files, stdin, stdout)
	}
	r := &redactRun{
		redactor: redactor, text: o.text, explain: o.explain, decoder: event.Decoder{AllowUnknown: true}, stderr: stderr,
		counts: map[string]int{},
	}
	out := bufio.NewWriterSize(stdout, 1<<16)
	var faults []error
	for _, name := range files {
		if err := r.file(ctx, name, stdin, out); err != nil {
			faults = append(faults, err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("stdout: %w", err)
	}
	fmt.Fprintf(stderr, "%d lines%s\n", r.lines, r.summary())
	if r.faults > 0 {
		faults = append(faults, fmt.Errorf("%d of %d lines could not be read and are empty in the output", r.faults, r.lines))
	}
	return errors.Join(faults...)
}

// redactor builds the policy: defaults, then the file, then the flags.
func (o *redactOptions) redactor(ctx context.Context, stderr io.Writer) (*piiprocessor.Redactor, error) {
	cfg := piiprocessor.NewFactory().CreateDefaultConfig().(*piiprocessor.Config)
	if o.policy != "" {
		if err := readPolicy(ctx, o.policy, cfg); err != nil {
			return nil, fmt.Errorf("--policy: %w", err)
		}
	}
	if o.unknownKeys != "" {
		cfg.UnknownKeys = o.unknownKeys
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if o.keyFile != "" {
		key, err := keyfile.Load(o.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--key-file: %w", err)
		}
		return piiprocessor.LoadRedactor(cfg, key)
	}
	if cfg.KeyFile != "" {
		key, err := keyfile.Load(cfg.KeyFile)
		switch {
		case err == nil:
			return piiprocessor.LoadRedactor(cfg, key)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("key_file: %w", err)
		}
	}
	fmt.Fprintln(stderr, "no key: client.hash, session.id and other pseudonyms are dropped; use --key-file")
	return piiprocessor.LoadRedactor(cfg, nil)
}

// readPolicy reads a pii processor's configuration, alone or out of a collector's.
func readPolicy(ctx context.Context, path string, cfg *piiprocessor.Config) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs: []string{"file:" + path}, ProviderFactories: providers,
	})
	if err != nil {
		return err
	}
	conf, err := resolver.Resolve(ctx)
	if err = errors.Join(err, resolver.Shutdown(ctx)); err != nil {
		return err
	}
	if conf.IsSet("processors") {
		if conf, err = policyOf(conf); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := conf.Unmarshal(cfg); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func policyOf(conf *confmap.Conf) (*confmap.Conf, error) {
	all, err := conf.Sub("processors")
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range all.ToStringMap() {
		if typ, _, _ := strings.Cut(name, "/"); typ == "pii" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) != 1 {
		return nil, fmt.Errorf("processors: has %d pii processors; name a file with exactly one", len(names))
	}
	return all.Sub(names[0])
}

func (r *redactRun) file(ctx context.Context, name string, stdin io.Reader, out *bufio.Writer) error {
	in := stdin
	if name == "-" {
		name = "stdin"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
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
		r.lines++
		var result []byte
		if tooLong {
			err = fmt.Errorf("longer than %d bytes", maxParseLine)
		} else {
			result, err = r.line(line)
		}
		if err != nil {
			r.faults++
			fmt.Fprintf(r.stderr, "%s:%d: %v\n", name, n, err)
			if result = []byte("{}"); r.text {
				result = nil
			}
		}
		if r.explain {
			for _, remark := range r.remarks {
				fmt.Fprintf(out, "%s:%d\t%s\t%s\t%s\t%s\n",
					name, n, remark.Field, place(remark), r.redactor.RuleName(remark.Rule), remark.Action)
			}
			r.remarks = nil
			continue
		}
		// A write error stays with the writer, and Flush returns it.
		_, _ = out.Write(append(result, '\n'))
	}
	return ctx.Err()
}

// place is the part of the value that a remark means.
func place(remark piiprocessor.Remark) string {
	if remark.Start < 0 {
		return "all"
	}
	return fmt.Sprintf("%d-%d", remark.Start, remark.End)
}

// logs redacts ld and keeps the remarks where they are asked for.
func (r *redactRun) logs(ld plog.Logs) {
	if !r.explain {
		r.add(r.redactor.Logs(ld))
		return
	}
	remarks, counts := r.redactor.Explain(ld)
	r.remarks = remarks
	r.add(counts)
}

func (r *redactRun) line(line []byte) ([]byte, error) {
	if r.text {
		out, remarks, counts := r.redactor.ExplainText(string(line))
		r.remarks = remarks
		r.add(counts)
		if out == "" && len(line) > 0 {
			return nil, errors.New("too long for max_value_bytes")
		}
		return []byte(out), nil
	}
	if len(line) == 0 {
		return nil, nil
	}
	var e event.Event
	if err := r.decoder.Decode(line, &e); err != nil {
		return r.object(line)
	}
	ld := eventlog.Encode([]event.Event{e}, eventlog.Chunk{})
	r.logs(ld)
	rl := ld.ResourceLogs().At(0)
	lr, resource := rl.ScopeLogs().At(0).LogRecords().At(0), eventlog.DecodeResource(rl.Resource())
	if err := eventlog.DecodeRecord(lr, resource, &e); err != nil {
		return nil, err
	}
	return e.AppendJSON(nil), nil
}

// object treats a line that is not an event of the model but a JSON object.
func (r *redactRun) object(line []byte) ([]byte, error) {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	lr := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	o, err := readObject(line, lr, rl.Resource())
	if err != nil {
		return nil, err
	}
	r.logs(ld)
	return o.append(nil, lr, rl.Resource()), nil
}

func (r *redactRun) add(counts piiprocessor.Counts) {
	for rule := range counts {
		for action, n := range counts[rule] {
			if n > 0 {
				r.counts[r.redactor.RuleName(redact.Rule(rule))+" "+redact.Action(action).String()] += int(n)
			}
		}
	}
}

// summary is what was done, by rule and action: never a value.
func (r *redactRun) summary() string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(r.counts)) {
		b.WriteString([2]string{": ", ", "}[min(i, 1)])
		fmt.Fprintf(&b, "%s %d", name, r.counts[name])
	}
	return b.String()
}
