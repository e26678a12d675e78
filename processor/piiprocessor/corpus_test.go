package piiprocessor

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/audit"
)

func readCorpus(t testing.TB, name string) (rows []*audit.Row) {
	t.Helper()
	f, err := os.Open(testenv.Corpus(t, "pii", name))
	require.NoError(t, err)
	defer f.Close()
	for row, err := range audit.Rows(f) {
		require.NoError(t, err)
		rows = append(rows, row)
	}
	require.NotEmpty(t, rows)
	return rows
}

// measure redacts rows and logs what is left of them, in numbers.
func measure(t *testing.T, cfg *Config, rows []*audit.Row) *audit.Report {
	t.Helper()
	r := NewRedactor(cfg, make([]byte, 32))
	a := audit.New(func(ld plog.Logs) { r.Logs(ld) })
	for _, row := range rows {
		a.Add(row)
	}
	report := a.Report()
	var table strings.Builder
	require.NoError(t, report.WriteTable(&table))
	t.Log("\n" + table.String())
	return report
}

func TestSyntheticCorpus(t *testing.T) {
	rows := readCorpus(t, "ws-synth.jsonl.gz")
	for _, tt := range []struct {
		unknown  string
		recall   map[string]float64 // least share that must go, in percent; "" is for types not named
		safeKept float64
	}{
		{"drop", map[string]float64{"": 100}, 0},
		{"scan", map[string]float64{"": 100, "EMAIL": 100, "SECRET": 99}, 99.7},
	} {
		t.Run(tt.unknown, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			cfg.UnknownKeys = tt.unknown
			report := measure(t, cfg, rows)
			for _, typ := range report.Types {
				want, ok := tt.recall[typ.Type]
				if !ok {
					want = tt.recall[""]
				}
				if typ.Gone.Percent() < want {
					t.Errorf("%s: %.2f %% gone, want %.2f", typ.Type, typ.Gone.Percent(), want)
				}
			}
			if report.SafeKept.Percent() < tt.safeKept {
				t.Errorf("safe values kept: %.2f %%, want %.2f", report.SafeKept.Percent(), tt.safeKept)
			}
		})
	}
}

// TestForeignCorpora holds what was measured on data that others made. docs/pii.md has the whole table.
func TestForeignCorpora(t *testing.T) {
	for file, types := range map[string]map[string]struct{ gone, kept float64 }{
		"gitleaks":          {"SECRET": {gone: 95}, "JWT": {gone: 98}},
		"presidio-research": {"CARD": {gone: 99}, "EMAIL": {gone: 99.9}, "IBAN": {gone: 99.5}, "PHONE": {gone: 90}},
		"presidio-tests": {
			"IBAN": {gone: 99.5, kept: 99}, "MAC": {gone: 99.5, kept: 99}, "IPV6": {gone: 98, kept: 99}, "PHONE": {kept: 99},
		},
		"libphonenumber": {"PHONE": {gone: 100}, "PHONE_NATIONAL": {gone: 90}},
	} {
		t.Run(file, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			cfg.UnknownKeys = unknownScan
			report := measure(t, cfg, readCorpus(t, file+".jsonl.gz"))
			for name, want := range types {
				typ := report.Type(name)
				require.Positive(t, typ.Gone.Total, name)
				require.GreaterOrEqual(t, typ.Gone.Percent(), want.gone, "%s gone", name)
				require.GreaterOrEqual(t, typ.LookAlikes.Percent(), want.kept, "%s look-alikes kept", name)
			}
			if report.WordsKept.Total > 0 {
				require.GreaterOrEqual(t, report.WordsKept.Percent(), 99.0, "words kept")
			}
		})
	}
}

// BenchmarkLogs is what one core does through pdata. Cloning the input is outside the clock.
func BenchmarkLogs(b *testing.B) {
	rows := readCorpus(b, "ws-synth.jsonl.gz")
	for _, unknown := range []string{"drop", "scan"} {
		b.Run(unknown, func(b *testing.B) {
			cfg := createDefaultConfig().(*Config)
			cfg.UnknownKeys = unknown
			r := NewRedactor(cfg, make([]byte, 32))
			source := plog.NewLogs()
			records := source.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
			size := 0
			for i, row := range rows {
				row.Record(records.AppendEmpty())
				size += len(audit.Flat(records.At(i)))
			}
			benchmark(b, r, source, size)
		})
	}
}
