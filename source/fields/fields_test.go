package fields_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/fields"
)

const (
	status fields.ID = iota
	upgrade
	headers
	dotted
)

var names = map[string]fields.ID{
	"status": status, "code": status, "request.headers.Upgrade": upgrade, "request.headers": headers, "request.tls.version": dotted,
}

func scan(t testing.TB, j *fields.JSON, line string) *fields.Line {
	t.Helper()
	l := fields.NewLine([]string{"status", "Upgrade", "headers", "version"})
	require.NoError(t, j.Scan([]byte(line), l))
	l.Keep()
	return l
}

func TestMembersAreFoundByTheirNames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line string
		want [4]string
	}{
		"at the top, under either name":             {`{"code":101}`, [4]string{"101"}},
		"the last of two":                           {`{"code":101,"status":"403"}`, [4]string{"403"}},
		"in inner objects":                          {`{"request":{"headers":{"Upgrade":"websocket"},"tls":{"version":"1.3"}}}`, [4]string{"", "websocket", "", "1.3"}},
		"a key that has the dots itself":            {`{"request.headers":{"Upgrade":"a"},"request.tls.version":"b"}`, [4]string{"", "a", "", "b"}},
		"a key that has some of the dots":           {`{"request":{"tls.version":"b"}}`, [4]string{"", "", "", "b"}},
		"of a list the first":                       {`{"request":{"headers":{"Upgrade":["a, \"b\"","c"]}}}`, [4]string{"", `a, "b"`}},
		"of a list that begins with other things":   {`{"status":[1,{"a":["b"]},[2,["c"]],"d"]}`, [4]string{"d"}},
		"a value where an object was expected":      {`{"request":"GET /"}`, [4]string{}},
		"an object is no value":                     {`{"status":{"code":101}}`, [4]string{}},
		"a value and the same name as an object":    {`{"request":{"headers":"none"}}`, [4]string{"", "", "none"}},
		"null, a dash and nothing":                  {`{"status":null,"request":{"headers":"-","tls":{"version":}}}`, [4]string{}},
		"the same name elsewhere is another":        {`{"a":{"status":1},"request":{"status":2}}`, [4]string{}},
		"objects that nobody wants, however deep":   {`{"x":` + strings.Repeat(`{"y":`, 50_000) + `1` + strings.Repeat(`}`, 50_000) + `,"status":5}`, [4]string{"5"}},
		"escapes, also in a list":                   {`{"status":"\u00e9\x41","request":{"headers":{"Upgrade":["\t"]}}}`, [4]string{"éA", "\t"}},
		"bytes that are no UTF-8 become replaced":   {"{\"status\":\"a\xff\"}", [4]string{"a\uFFFD"}},
		"an empty object and an empty inner object": {`{"request":{}}`, [4]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := scan(t, fields.NewJSON(names), c.line)
			for f, want := range c.want {
				require.Equal(t, want, l.Value(fields.ID(f)), "field %d", f)
			}
		})
	}
}

func TestAScannerReadsLinesInAnyOrderOfKeys(t *testing.T) {
	t.Parallel()
	j := fields.NewJSON(names)
	for range 3 {
		require.Equal(t, "1", scan(t, j, `{"status":1,"x":2}`).Value(status))
		require.Equal(t, "1", scan(t, j, `{"x":2,"status":1}`).Value(status))
		require.Equal(t, "w", scan(t, j, `{"request":{"x":1,"headers":{"Upgrade":"w"}},"status":1}`).Value(upgrade))
		require.Equal(t, "", scan(t, j, `{"status":{"x":1,"headers":{"Upgrade":"w"}},"request":1}`).Value(upgrade))
	}
}

func TestListsAreReadWhole(t *testing.T) {
	t.Parallel()
	l := scan(t, fields.NewJSON(names), `{"request":{"headers":["a",1,null,["x"],"b"]},"status":"c"}`)
	require.Equal(t, []string{"a", "b"}, l.Strings(headers))
	require.Equal(t, []string{"c"}, l.Strings(status))
	require.Nil(t, l.Strings(upgrade))
}

func TestNumbersAndTimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0": 0, "1.518": 1518 * time.Millisecond, "0.0000000019": 1, "86400": 24 * time.Hour,
		"4.2e-05": 42 * time.Microsecond, "1E3": 1000 * time.Second, "5e-324": 0,
	} {
		d, ok := fields.ParseDuration(text, time.Second)
		require.True(t, ok, text)
		require.Equal(t, want, d, text)
	}
	d, ok := fields.ParseDuration("38786475932", time.Nanosecond)
	require.True(t, ok)
	require.Equal(t, 38786475932*time.Nanosecond, d)
	d, ok = fields.ParseDuration("1.5", time.Millisecond)
	require.True(t, ok)
	require.Equal(t, 1500*time.Microsecond, d)
	for _, text := range []string{"", ".5", "5.", "-1", "+1", "0x1", "e", "1e", "-1e-3", "+1e3", ".5e1", "0xep1", "1e10", "1e999", "99999999999999999999", "9223372036854775807", "1.5.1"} {
		_, ok := fields.ParseDuration(text, time.Second)
		require.False(t, ok, text)
	}
	l := scan(t, fields.NewJSON(names), `{"status":1795330811.356}`)
	at, err := l.Unix(status, time.Second)
	require.NoError(t, err)
	require.Equal(t, time.Date(2026, 11, 22, 7, 0, 11, 356_000_000, time.UTC), at)
}

func FuzzJSON(f *testing.F) {
	for _, line := range []string{
		`{"status":101,"request":{"headers":{"Upgrade":["websocket","\u00e9"]},"tls":{"version":null}},"x":[{"a":"]"}]}`,
		`{"request.headers":{"Upgrade":"\x41"},"status":-}`, `{}`, `{"a":{"b":[}`,
	} {
		f.Add([]byte(line), []byte(`{"status":1}`))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		// What a line holds must not depend on the lines before it.
		used, fresh := fields.NewJSON(names), fields.NewJSON(names)
		a, b := fields.NewLine(make([]string, 4)), fields.NewLine(make([]string, 4))
		_ = used.Scan(first, a)
		used2 := used.Scan(second, a)
		fresh2 := fresh.Scan(second, b)
		require.Equal(t, fresh2, used2)
		var fault *source.Error
		if fresh2 != nil {
			require.True(t, errors.As(fresh2, &fault))
			return
		}
		a.Keep()
		b.Keep()
		for f := range fields.ID(4) {
			require.Equal(t, b.Value(f), a.Value(f))
			require.Equal(t, b.Strings(f), a.Strings(f))
		}
	})
}

func TestBrokenBytesOfTwoValuesAreNotTakenForOneCharacter(t *testing.T) {
	t.Parallel()
	l := fields.NewLine([]string{"a", "b", "c"})
	require.NoError(t, fields.NewJSON(map[string]fields.ID{"a": 0, "b": 1, "c": 2}).Scan([]byte("{\"a\":\"x\xc3\",\"b\":\"\xa9y\"}"), l))
	l.Keep()
	require.Equal(t, "x\uFFFD", l.Value(0))
	require.Equal(t, "\uFFFDy", l.Value(1))
	require.Empty(t, l.Value(2))
	require.False(t, l.Has(2))
}

func TestAnObjectCanBeAField(t *testing.T) {
	t.Parallel()
	l := fields.NewLine([]string{"a", "b", "c"})
	scanner := fields.NewJSON(map[string]fields.ID{"r.h{}": 0, "r.s": 1, "r": 2})
	require.NoError(t, scanner.Scan([]byte(`{"r":{"s":7,"h":{"Host":"}\"{","x":[1,{}]}}}`), l))
	raw, ok := l.Raw(0)
	require.True(t, ok)
	require.Equal(t, `{"Host":"}\"{","x":[1,{}]}`, string(raw))
	require.True(t, l.Has(1))
	require.False(t, l.Has(2), "an object is no value unless asked for as one")
}

func TestAByteThatEventsCannotCarryIsSeenWhereverItStands(t *testing.T) {
	t.Parallel()
	const text = "0123456789abcdef-"
	for i := range len(text) {
		for bad, want := range map[string]string{"\x7f": "\x7f", "é": "é", "\x80": "\uFFFD", "\xff": "\uFFFD", `\u0000`: "\uFFFD"} {
			l := scan(t, fields.NewJSON(names), `{"status":"`+text[:i]+bad+text[i:]+`"}`)
			require.Equal(t, text[:i]+want+text[i:], l.Value(status))
		}
	}
}
