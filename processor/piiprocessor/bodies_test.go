package piiprocessor

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/processor/piiprocessor/audit"
)

// TestLabelledBodies holds the policy to testdata/bodies.jsonl as `sockeye redact --audit` would.
func TestLabelledBodies(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/bodies.jsonl")
	require.NoError(t, err)
	defer f.Close()
	r := redactor()
	a := audit.New(func(ld plog.Logs) { r.Logs(ld) })
	rows := 0
	for row, err := range audit.Rows(f) {
		require.NoError(t, err)
		a.Add(row)
		rows++
	}
	require.GreaterOrEqual(t, rows, 20)
	report := a.Report()
	require.Len(t, report.Types, 6)
	for _, typ := range report.Types {
		require.Equal(t, typ.Gone.Total, typ.Gone.Count, "%s gone", typ.Type)
	}
	require.Positive(t, report.SafeKept.Total)
	require.Equal(t, report.SafeKept.Total, report.SafeKept.Count, "safe values kept")
}

func TestBytesThatEndWithNULAreAFrame(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ in, want string }{
		"a frame":              {"SEND\nlogin:ann lee\n\nhi\x00\n", "SEND\nlogin:[person]\n\nhi\x00\n"},
		"two frames":           {"SEND\n\na\x00SEND\n\nb\x00", "SEND\n\na\x00SEND\n\nb\x00"},
		"a NUL that ends none": {"hello\x00", ""},
		"a NUL after a frame":  {"SEND\n\na\x00b\x00", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := createDefaultConfig().(*Config)
			cfg.UnknownKeys = unknownScan
			ld := plog.NewLogs()
			body := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body()
			body.SetEmptyBytes().FromRaw([]byte(tt.in))
			NewRedactor(cfg, nil).Logs(ld)
			body = ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body()
			got, _ := body.AsRaw().([]byte)
			require.Equal(t, tt.want, string(got))
		})
	}
}
