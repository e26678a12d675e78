package piiprocessor

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// synthetic is a row of ws-synth: an event with labels on what must go and what must stay.
type synthetic struct {
	ID     string         `json:"id"`
	Attrs  map[string]any `json:"attrs"`
	Body   string         `json:"body"`
	Labels []struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	} `json:"labels"`
	Safe []string `json:"safe"`
}

func readCorpus[T any](t testing.TB, name string) (rows []T) {
	t.Helper()
	f, err := os.Open(testenv.Corpus(t, "pii", name))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		var row T
		// UseNumber: network.bytes must not become a float.
		d := json.NewDecoder(strings.NewReader(lines.Text()))
		d.UseNumber()
		require.NoError(t, d.Decode(&row))
		rows = append(rows, row)
	}
	require.NoError(t, lines.Err())
	require.NotEmpty(t, rows)
	return rows
}

func (row *synthetic) record(lr plog.LogRecord) {
	lr.SetEventName("websocket.open")
	keys := make([]string, 0, len(row.Attrs))
	for k := range row.Attrs {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	lr.Attributes().EnsureCapacity(len(keys) + 1)
	for _, k := range keys {
		switch v := row.Attrs[k].(type) {
		case string:
			lr.Attributes().PutStr(k, v)
		case json.Number:
			n, err := v.Int64()
			if err != nil {
				panic(err)
			}
			lr.Attributes().PutInt(k, n)
		default:
			panic(fmt.Sprintf("attribute of type %T", v))
		}
	}
	lr.Body().SetStr(row.Body)
}

// flat is all that the record carries, as one text.
func flat(lr plog.LogRecord) string {
	var b strings.Builder
	for k, v := range lr.Attributes().All() {
		fmt.Fprintf(&b, "%s=%s\n", k, v.AsString())
	}
	b.WriteString(lr.Body().AsString())
	return b.String()
}

// survives reports whether more than 60 % of value stands in text in one piece. An address that lost its last octet or
// its host part does not survive, although its network is longer than that.
func survives(text, value, typ string) bool {
	if typ == "IPV4" || typ == "IPV6" {
		return strings.Contains(text, value)
	}
	if len(value) < 8 {
		// Three letters of a first name stand in many words.
		return regexp.MustCompile(`\b` + regexp.QuoteMeta(value) + `\b`).MatchString(text)
	}
	n := len(value)*6/10 + 1
	for i := 0; i+n <= len(value); i++ {
		if strings.Contains(text, value[i:i+n]) {
			return true
		}
	}
	return false
}

type tally struct{ hit, total int }

func (t tally) share() float64 { return 100 * float64(t.hit) / float64(max(t.total, 1)) }

func TestSyntheticCorpus(t *testing.T) {
	rows := readCorpus[synthetic](t, "ws-synth.jsonl.gz")
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
			r := NewRedactor(cfg, make([]byte, 32))
			gone := map[string]*tally{}
			kept := &tally{}
			missing := map[string]int{}
			for i := range rows {
				ld := plog.NewLogs()
				lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
				rows[i].record(lr)
				r.Logs(ld)
				text := flat(lr)
				for _, l := range rows[i].Labels {
					if gone[l.Type] == nil {
						gone[l.Type] = &tally{}
					}
					gone[l.Type].total++
					if !survives(text, l.Value, l.Type) {
						gone[l.Type].hit++
					}
				}
				before := fmt.Sprint(rows[i].Attrs) + rows[i].Body
				for _, s := range rows[i].Safe {
					if !strings.Contains(before, s) {
						continue
					}
					kept.total++
					if strings.Contains(text, s) {
						kept.hit++
					} else {
						missing[fmt.Sprintf("%.12s", s)]++
					}
				}
			}
			types := make([]string, 0, len(gone))
			for typ := range gone {
				types = append(types, typ)
			}
			slices.Sort(types)
			for _, typ := range types {
				t.Logf("%-10s %4d of %4d gone: %6.2f %%", typ, gone[typ].hit, gone[typ].total, gone[typ].share())
				want, ok := tt.recall[typ]
				if !ok {
					want = tt.recall[""]
				}
				if gone[typ].share() < want {
					t.Errorf("%s: %.2f %% gone, want %.2f", typ, gone[typ].share(), want)
				}
			}
			t.Logf("safe values kept: %d of %d: %.2f %%", kept.hit, kept.total, kept.share())
			if kept.share() < tt.safeKept {
				t.Errorf("safe values kept: %.2f %%, want %.2f", kept.share(), tt.safeKept)
			}
		})
	}
}

// BenchmarkLogs is what one core does through pdata. Cloning the input is outside the clock.
func BenchmarkLogs(b *testing.B) {
	rows := readCorpus[synthetic](b, "ws-synth.jsonl.gz")
	for _, unknown := range []string{"drop", "scan"} {
		b.Run(unknown, func(b *testing.B) {
			cfg := createDefaultConfig().(*Config)
			cfg.UnknownKeys = unknown
			r := NewRedactor(cfg, make([]byte, 32))
			source := plog.NewLogs()
			records := source.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
			size := 0
			for i := range rows {
				rows[i].record(records.AppendEmpty())
				size += len(flat(records.At(i)))
			}
			benchmark(b, r, source, size)
		})
	}
}
