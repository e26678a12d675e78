package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

// sockeye runs the command line in this process.
func sockeye(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, &out, &errs)
	return out.String(), errs.String(), status
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "collector.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestHelp(t *testing.T) {
	out, errs, status := sockeye(t, "--help")
	require.Zero(t, status)
	require.Empty(t, errs)
	for _, want := range []string{"sockeye demo", "sockeye --config collector.yaml", "Commands:", "validate", "--set KEY=VALUE"} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "feature-gates", "a newcomer has no use for the list of gates")
	for line := range strings.Lines(out) {
		require.LessOrEqual(t, len([]rune(line)), 121, line)
	}
}

func TestEverySubcommandIsDescribed(t *testing.T) {
	for _, cmd := range newRootCommand().Commands() {
		require.NotEmpty(t, cmd.Short, cmd.Name())
		require.NotEmpty(t, cmd.GroupID, cmd.Name())
		_, errs, status := sockeye(t, cmd.Name(), "--help")
		require.Zero(t, status, errs)
	}
}

func TestErrorsArePrintedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nothing to run": {nil, "sockeye: no configuration given; use `sockeye --config FILE`, or `sockeye --help` for " +
			"what else there is\n"},
		"unknown flag":         {[]string{"--konfig"}, "sockeye: unknown flag: --konfig; see `sockeye --help`\n"},
		"unknown command flag": {[]string{"validate", "--x"}, "sockeye: unknown flag: --x; see `sockeye validate --help`\n"},
		"file that is not there": {[]string{"validate", "--config", "no.yaml"},
			"sockeye: open no.yaml: no such file or directory\n"},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, status := sockeye(t, c.args...)
			require.Equal(t, 1, status)
			require.Empty(t, out)
			require.Equal(t, c.want, errs)
		})
	}
}

func TestConfigurationFaults(t *testing.T) {
	const rest = `
exporters: {nop: {}}
service: {pipelines: {logs: {receivers: [otlp], exporters: [nop]}}}
`
	for name, c := range map[string]struct {
		config string
		want   []string
	}{
		"a typo names the key, the line and the likely word": {
			"receivers:\n  otlp:\n    protocols:\n      grpc:\n        endpont: 127.0.0.1:0\n" + rest,
			[]string{`5: receivers.otlp.protocols.grpc.endpont: unknown key; did you mean "endpoint"?`},
		},
		"an unknown component names its neighbour": {
			"receivers: {otlp: {protocols: {grpc: }}, websocketlg: {}}\n" + rest,
			[]string{`1: receivers.websocketlg: this binary has no receiver "websocketlg"; did you mean "websocketlog"?`},
		},
		"a wrong type says which is right": {
			"receivers: {otlp: {protocols: {grpc: }}}\nprocessors: {batch: {send_batch_size: many}}\n" + rest,
			[]string{"2: processors.batch.send_batch_size: must be of type uint32, got string"},
		},
		"a misspelt section": {
			"receivers: {otlp: {protocols: {grpc: }}}\nprocesors: {batch: {}}\n" + rest,
			[]string{`2: procesors: unknown key; did you mean "processors"?`},
		},
		"several faults at once, from every section": {
			"receivers: {otlp: {protocols: {grpc: }}}\n" +
				"processors: {batch: {timout: 5s, send_batch_size: 2}, memory_limiter: }\n" +
				"exporters: {debug: {verbosty: basic}, nop: {}}\n" +
				"service: {extensions: [pprof], pipelines: {logs: {receivers: [otlp, in], processors: [pii], exporters: [out]}}}\n",
			[]string{
				`3: exporters.debug.verbosty: unknown key; did you mean "verbosity"?`,
				`2: processors.batch.timout: unknown key; did you mean "timeout"?`,
				`2: processors.memory_limiter: 'check_interval' must be greater than zero`,
				`4: service.extensions: names the extension "pprof", which extensions does not define`,
				`4: service.pipelines.logs.exporters: names the exporter "out", which exporters does not define`,
				`4: service.pipelines.logs.processors: names the processor "pii", which processors does not define`,
				`4: service.pipelines.logs.receivers: names the receiver "in", which receivers does not define`,
			},
		},
		"no YAML at all": {
			"receivers: [\n", []string{" not valid YAML: line 1: did not find expected node content"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeConfig(t, c.config)
			_, errs, status := sockeye(t, "validate", "--config", path)
			require.Equal(t, 1, status)
			var got []string
			for line := range strings.Lines(strings.TrimPrefix(errs, "sockeye: ")) {
				if line = strings.TrimSpace(line); !strings.HasPrefix(line, "the configuration has") {
					got = append(got, strings.TrimPrefix(line, path+":"))
				}
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestAGoodConfigurationIsAccepted(t *testing.T) {
	path := writeConfig(t, `
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
exporters: {nop: {}}
service: {pipelines: {logs: {receivers: [otlp], exporters: [nop]}}}
`)
	out, errs, status := sockeye(t, "validate", "--config", path)
	require.Zero(t, status, errs)
	require.Empty(t, out+errs)
}

func TestComponentFaultsKeepTheirKeys(t *testing.T) {
	err := errors.Join(errors.New("hash.key_file: must be set"), errors.New("mode: must be drop or scan, got \"x\""))
	require.Equal(t, faults{
		{key: "processors.pii.hash.key_file", text: "must be set"},
		{key: "processors.pii.mode", text: `must be drop or scan, got "x"`},
	}, validateFaults(confmap.Validate(failing{err}), "processors.pii"))
}

type failing struct{ err error }

func (f failing) Validate() error { return f.err }

// The collector's own `components` command reads the versions of providers from the binary; tests have none there.
func TestEveryProviderIsListed(t *testing.T) {
	require.Len(t, providerModules(), len(providers))
}

func TestNearest(t *testing.T) {
	words := []string{"endpoint", "timeout", "tls"}
	require.Equal(t, "endpoint", nearest("endpont", words))
	require.Equal(t, "timeout", nearest("timout", words))
	require.Empty(t, nearest("compression", words))
	require.Empty(t, nearest("x", words))
}
