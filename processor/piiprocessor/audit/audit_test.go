package audit

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

// replacing is a redactor that replaces words in bodies and attributes.
func replacing(pairs ...string) func(plog.Logs) {
	r := strings.NewReplacer(pairs...)
	return func(ld plog.Logs) {
		lr := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		lr.Body().SetStr(r.Replace(lr.Body().Str()))
		for _, v := range lr.Attributes().All() {
			v.SetStr(r.Replace(v.AsString()))
		}
	}
}

func audited(t *testing.T, redact func(plog.Logs), lines ...string) *Report {
	t.Helper()
	a := New(redact)
	for row, err := range Rows(strings.NewReader(strings.Join(lines, "\n"))) {
		require.NoError(t, err)
		a.Add(row)
	}
	return a.Report()
}

func TestAudit(t *testing.T) {
	t.Parallel()
	r := audited(t, replacing("ann@example.com", "[email]", "4111", "", "north", ""),
		`{"text":"mail ann@example.com to the north","spans":[{"type":"EMAIL","start":5,"end":20}]}`,
		`{"text":"mail bob@example.com today","spans":[{"type":"EMAIL","start":5,"end":20}]}`,
		`{"text":"id 4111","neg_for":"CARD"}`, `{"text":"id 4222","neg_for":"CARD"}`,
		``,
		`{"attrs":{"a":"4111","n":7},"body":"seq 17","labels":[{"type":"CARD","value":"4111"}],"safe":["seq 17","7","gone"]}`)
	require.Equal(t, &Report{
		Rows: 5,
		Types: []Type{
			{Type: "CARD", Gone: Share{1, 1}, LookAlikes: Share{1, 2}},
			{Type: "EMAIL", Gone: Share{1, 2}},
		},
		SafeKept:  Share{2, 2},
		WordsKept: Share{5, 6},
	}, r)
	require.InDelta(t, 50, r.Type("CARD").Precision(), 0.01)
	require.InDelta(t, 100, r.Type("NONE").Gone.Percent(), 0)
	sum := Merge(r, r)
	require.Equal(t, Share{2, 4}, sum.Type("EMAIL").Gone)
	require.Equal(t, 10, sum.Rows)

	var table, doc strings.Builder
	require.NoError(t, r.WriteTable(&table))
	require.Regexp(t, `(?m)CARD +1 +100.00 +2 +50.00 +50.00 *$`, table.String())
	require.Contains(t, table.String(), "safe values kept: 2 of 2 (100.00 %)\nwords outside labels kept: 5 of 6 (83.33 %)\n")
	require.NoError(t, r.WriteJSON(&doc))
	require.Contains(t, doc.String(), `"look_alikes_kept": {`)
}

func TestSurvives(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text, value, typ string
		want             bool
	}{
		"the value as it is":             {"a 4111111111111111 b", "4111111111111111", "CARD", true},
		"its last four":                  {"a ************1111 b", "4111111111111111", "CARD", false},
		"60 % of it":                     {"a 411111 b", "4111115555", "CARD", false},
		"more than 60 % of it":           {"a 4111115 b", "4111115555", "CARD", true},
		"a network":                      {"a 203.0.113.0 b", "203.0.113.77", "IPV4", false},
		"an address":                     {"a 203.0.113.77 b", "203.0.113.77", "IPV4", true},
		"a short value":                  {"to Ann.", "Ann", "PERSON", true},
		"a short value in a word":        {"to Annex", "Ann", "PERSON", false},
		"a short value that is no word":  {"code +7- here", "+7-", "CODE", true},
		"a short value in other letters": {"à Åse!", "Åse", "PERSON", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, Survives(tt.text, tt.value, tt.typ))
		})
	}
}

func TestNobodysAddressesAreNotCounted(t *testing.T) {
	t.Parallel()
	nothing := replacing("x", "x")
	for address, counted := range map[string]int{
		"203.0.113.77": 1, "2001:db8:1:2::77": 1, "203.0.113.0": 0, "10.0.0.0/8": 0, "127.0.0.1": 0, "::1": 0,
		"2001:db8:1::": 0, "255.255.255.255": 0, "not an address": 1,
	} {
		r := audited(t, nothing, `{"body":"`+address+`","labels":[{"type":"IPV4","value":"`+address+`"}]}`)
		require.Equal(t, counted, r.Type("IPV4").Gone.Total, address)
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := io.WriteString(w, `{"text":"a"}`+"\n"+`{"text":"b"}`)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	n := 0
	for _, err := range Rows(&z) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 2, n)

	for name, tt := range map[string]struct{ in, want string }{
		"no JSON":            {"{}\n", "line 1: not a labelled row"},
		"another line":       {`{"text":"a"}` + "\n" + `canary`, "line 2: not a labelled row"},
		"a span too long":    {`{"text":"canary","spans":[{"type":"A","start":0,"end":9}]}`, "line 1: spans[0]: want byte offsets"},
		"a span without end": {`{"text":"canary","spans":[{"type":"A","start":3}]}`, "line 1: spans[0]: want byte offsets"},
		"an empty label":     {`{"body":"canary","labels":[{"type":"A"}]}`, "line 1: labels[0]: has no value"},
		"two values":         {`{"text":"canary"} {}`, "line 1: not a labelled row"},
		"broken gzip":        {"\x1f\x8bcanary", "not gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var last error
			for _, err := range Rows(strings.NewReader(tt.in)) {
				last = err
			}
			require.ErrorContains(t, last, tt.want)
			require.NotContains(t, last.Error(), "canary")
		})
	}
}

func FuzzRows(f *testing.F) {
	for _, seed := range []string{
		`{"text":"a b","spans":[{"type":"A","start":0,"end":1}]}`, `{"attrs":{"a":[1,{"b":null}]},"labels":[{"type":"A","value":"1"}]}`,
		`{"text":"","neg_for":"A"}`, "\x1f\x8b", `{"attrs":{"n":1e999}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		a := New(func(plog.Logs) {})
		for row, err := range Rows(bytes.NewReader(in)) {
			if err == nil {
				a.Add(row)
			}
		}
		for _, typ := range a.Report().Types {
			if typ.Gone.Count > typ.Gone.Total || typ.LookAlikes.Count > typ.LookAlikes.Total {
				t.Fatalf("more than all: %+v", typ)
			}
		}
	})
}
