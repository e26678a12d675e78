package websocketlogreceiver

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
)

func TestLinesAreWhatStandsBetweenBreaks(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3000)
	for name, c := range map[string]struct {
		text string
		want []string
		rest string
	}{
		"nothing":                           {"", nil, ""},
		"one line":                          {"a\n", []string{"a"}, ""},
		"an empty line":                     {"\na\n", []string{"", "a"}, ""},
		"a carriage return belongs to it":   {"a\r\nb\n", []string{"a", "b"}, ""},
		"a line that is not complete":       {"a\nb", []string{"a"}, "b"},
		"a line as long as is allowed":      {long[:1024] + "\n", []string{long[:1024]}, ""},
		"a line that is a byte too long":    {long[:1025] + "\nb\n", []string{"TOO LONG", "b"}, ""},
		"a line that is much too long":      {"a\n" + long + "\nb\n", []string{"a", "TOO LONG", "b"}, ""},
		"a long line that is not complete":  {"a\n" + long, []string{"a"}, "TOO LONG"},
		"NULs are bytes like any other":     {"\x00\x00\n\x00", []string{"\x00\x00"}, "\x00"},
		"bytes that are not UTF-8 likewise": {"\xff\xfe\n", []string{"\xff\xfe"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, rest := allLines(t, []byte(c.text), 1024)
			require.Equal(t, c.want, got)
			require.Equal(t, c.rest, rest)
		})
	}
}

// allLines reads data wholly and checks that the bounds of the lines cover it without a gap.
func allLines(t testing.TB, data []byte, longest int) (list []string, rest string) {
	t.Helper()
	l := newLineReader(bytes.NewReader(data), 0, longest)
	text := func(line rawLine) string {
		if line.tooLong {
			return "TOO LONG"
		}
		require.LessOrEqual(t, len(line.text), longest)
		return string(line.text)
	}
	pos := int64(0)
	for {
		line, ok, err := l.next(math.MaxInt64)
		require.NoError(t, err)
		if !ok {
			break
		}
		require.Equal(t, pos, line.start)
		require.Greater(t, line.end, line.start)
		pos = line.end
		list = append(list, text(line))
	}
	require.LessOrEqual(t, len(l.buf), max(longest+2, 1))
	require.Equal(t, int64(len(data))-pos, l.partial())
	if line, ok := l.take(math.MaxInt64); ok {
		require.Equal(t, pos, line.start)
		require.Equal(t, int64(len(data)), line.end)
		rest = text(line)
	}
	return list, rest
}

func TestALimitIsNeverReadBeyond(t *testing.T) {
	t.Parallel()
	data := []byte("aa\nbb\ncc\n")
	for limit, want := range []int{0, 0, 0, 1, 1, 1, 2, 2, 2, 3} {
		l := newLineReader(bytes.NewReader(data), 0, 1024)
		n := 0
		for {
			_, ok, err := l.next(int64(limit))
			require.NoError(t, err)
			if !ok {
				break
			}
			n++
		}
		require.Equal(t, want, n, limit)
	}
}

func TestALineOfAGigabyteCostsNoMemory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("reads a gigabyte")
	}
	l := newLineReader(endless{size: 1 << 30}, 0, 1<<20)
	line, ok, err := l.next(math.MaxInt64)
	require.NoError(t, err)
	require.True(t, ok)
	require.True(t, line.tooLong)
	require.Equal(t, int64(1<<30), line.end)
	require.LessOrEqual(t, len(l.buf), 1<<20+2)
}

var manyX = bytes.Repeat([]byte{'x'}, 64<<10)

// endless is a file of one line that ends with a break.
type endless struct{ size int64 }

func (e endless) ReadAt(p []byte, off int64) (int, error) {
	n := min(int64(len(p)), e.size-off)
	for filled := 0; filled < int(n); {
		filled += copy(p[filled:n], manyX)
	}
	if off+n == e.size && n > 0 {
		p[n-1] = '\n'
	}
	return int(n), nil
}

func FuzzLines(f *testing.F) {
	seeds := 0
	for _, s := range []string{"", "a\nb", lines(1, 3), strings.Repeat("x", 100) + "\n", "\r\n\r\n", "\x00\xff\n"} {
		f.Add([]byte(s), uint8(16))
		seeds++
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, data []byte, longest uint8) {
		got, rest := allLines(t, data, int(longest)+1)
		want := strings.Split(string(data), "\n")
		require.Len(t, got, len(want)-1)
		for i, line := range append(got, rest) {
			w := strings.TrimSuffix(want[i], "\r")
			if len(w) > int(longest)+1 {
				// The last one may have lost a carriage return that would have made it fit.
				require.Equal(t, "TOO LONG", line)
			} else if line != "TOO LONG" {
				require.Equal(t, w, line)
			} else {
				require.NotEqual(t, w, want[i])
			}
		}
	})
}

// Whatever the pieces in which a file grows, the lines are the same.
func TestLinesDoNotDependOnHowTheFileGrows(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	data := []byte(lines(1, 300))
	for range 20 {
		file := &growing{}
		l := newLineReader(file, 0, 1024)
		var got []byte
		for len(file.data) < len(data) {
			file.data = data[:min(len(data), len(file.data)+1+random.IntN(2000))]
			for {
				line, ok, err := l.next(math.MaxInt64)
				require.NoError(t, err)
				if !ok {
					break
				}
				got = append(append(got, line.text...), '\n')
			}
		}
		require.Equal(t, data, got)
	}
}

type growing struct{ data []byte }

func (g *growing) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(g.data).ReadAt(p, off)
}

func TestLinesThatCannotBeReadAreCountedAndReportedByPlace(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.MaxLineBytes = 1024 })
	secret := `{"token":"eyJhbGciOi"`
	g.write("access.log", line(1)+secret+"\n"+line(2)+strings.Repeat("x", 5000)+"\n"+"\xff\x00\n\n"+line(3))
	g.start()
	g.sink.eventually(t, ids(1, 3))
	reports := g.logs.FilterMessage("line could not be read").All()
	require.Len(t, reports, 3)
	for i, want := range []struct {
		line   int64
		offset int
		reason string
	}{
		{2, len(line(1)), source.MalformedJSON},
		{4, len(lines(1, 2)) + len(secret) + 1, source.TooLong},
		{5, len(lines(1, 2)) + len(secret) + 1 + 5001, ""},
	} {
		fields := reports[i].ContextMap()
		require.Equal(t, g.path("access.log"), fields["log.file.path"])
		require.Equal(t, want.line, fields["line"])
		require.Equal(t, int64(want.offset), fields["offset"])
		if want.reason != "" {
			require.Equal(t, want.reason, fields["reason"])
		}
		require.NotContains(t, fields["error"], "eyJ")
	}
	require.Eventually(t, func() bool {
		return g.metric("otelcol_receiver_websocketlog_malformed_lines") == 3 &&
			g.metric("otelcol_receiver_websocketlog_lines") == 7 &&
			g.metric("otelcol_receiver_websocketlog_skipped_lines") == 1 &&
			g.metric("otelcol_receiver_websocketlog_events") == 3
	}, soon, often)
}

func TestAFloodOfBrokenLinesDoesNotFloodTheLog(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	g.write("access.log", strings.Repeat("broken\n", 5000)+line(1))
	g.start()
	g.sink.eventually(t, ids(1, 1))
	require.Equal(t, maxReports, g.logs.FilterMessage("line could not be read").Len())
}

func TestTimesFarInTheFutureAreSetToTheReceipt(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	now := base.Add(3 * event.MaxFuture)
	g.tune = func(r *logReceiver) { r.now = steady(now) }
	// line(n) happens n seconds after base.
	g.number("access.log", 239, 242)
	g.start()
	g.sink.eventually(t, ids(239, 242))
	for i, got := range g.sink.times {
		want := base.Add(timeOf(239 + i))
		if want.After(now.Add(event.MaxFuture)) {
			require.WithinDuration(t, now, got, event.MaxFuture)
			require.NotEqual(t, want, got)
		} else {
			require.Equal(t, want, got)
		}
	}
	require.EqualValues(t, 2, g.metric("otelcol_receiver_websocketlog_future_times"))
}
