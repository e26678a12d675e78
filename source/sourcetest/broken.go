package sourcetest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
)

// maxError is how long an error may be: longer ones may quote the line.
const maxError = 100

// long is the length of the long lines: readers cut lines, parsers do not count on it.
const long = 16 << 20

// Garbage feeds a parser what is no line of its format, and every line of good broken in many ways: it must neither
// panic, nor emit what is against the model, nor quote, nor take memory for lines that say nothing; and afterwards it
// must read the good lines as a new parser does. Call it from a test that is not parallel, since it measures memory.
func Garbage(t *testing.T, newParser func() source.Parser, good ...string) {
	t.Helper()
	p := newParser()
	for name, line := range map[string][]byte{
		"nothing":           {},
		"a space":           []byte(" "),
		"NULs":              make([]byte, 100),
		"binary":            random(4096),
		"broken UTF-8":      bytes.Repeat([]byte("\xff\xc0\xed\xa0\x80 "), 50),
		"digits":            bytes.Repeat([]byte("9"), 400),
		"quotes":            bytes.Repeat([]byte(`"`), 400),
		"backslashes":       bytes.Repeat([]byte(`\`), 401),
		"dashes":            bytes.Repeat([]byte("- "), 400),
		"long text":         bytes.Repeat([]byte("a"), long),
		"long words":        bytes.Repeat([]byte("ab "), long/3),
		"long NULs":         make([]byte, long),
		"long brackets":     bytes.Repeat([]byte("["), long),
		"long binary":       random(long),
		"deep JSON":         []byte(strings.Repeat(`{"a":[`, long/6)),
		"deep whole JSON":   []byte(strings.Repeat(`{"a":[`, long/9) + "1" + strings.Repeat(`]}`, long/9)),
		"many keys":         []byte("{" + strings.Repeat(`"k":1,`, long/6) + `"k":1}`),
		"a long string":     []byte(`{"k":"` + strings.Repeat("x", long) + `"}`),
		"a number too long": []byte(`{"status":` + strings.Repeat("9", 1<<16) + `}`),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := Try(t, p, line)
		runtime.ReadMemStats(&after)
		require.Error(t, err, name)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "%s: memory", name)
	}

	for _, line := range good {
		for i := range len(line) + 1 {
			head, tail := line[:i], line[i:]
			_ = Try(t, p, []byte(head))
			for _, insert := range inserts {
				_ = Try(t, p, []byte(head+insert+tail))
				if len(tail) > 0 {
					_ = Try(t, p, []byte(head+insert+tail[1:]))
				}
			}
		}
	}

	fresh := newParser()
	for _, line := range good {
		require.Equal(t, Parse(t, fresh, line), Parse(t, p, line), "after garbage a line is read otherwise")
	}
}

// inserts are what is put into good lines.
var inserts = []string{
	"\x00", "\xff", `"`, `\`, "{", "}", "[", "]", " ", "-", "|", "\u2028", "99999999999999999999",
}

func random(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	return data
}

// Fuzz is the body of a parser's fuzz target.
func Fuzz(f *testing.F, newParser func() source.Parser, seeds ...string) {
	f.Helper()
	require.NotEmpty(f, seeds)
	for _, line := range seeds {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) { _ = Try(t, newParser(), line) })
}

// Try parses line and fails t for what no line may do.
func Try(t *testing.T, p source.Parser, line []byte) error {
	t.Helper()
	var original []byte
	if len(line) < 1<<16 {
		original = slices.Clone(line)
	}
	n := 0
	err := p.Parse(line, func(e *event.Event) {
		n++
		if fault := e.Validate(); fault != nil {
			t.Fatalf("%s: %v", e.Name, fault)
		}
		if e.Time.After(e.Observed) {
			t.Fatalf("%s: an event after it was written down", e.Name)
		}
	})
	switch {
	case original != nil && !bytes.Equal(original, line):
		t.Fatal("the line was written to")
	case err == nil && n == 0:
		t.Fatal("neither an event nor an error")
	case err != nil && n > 0:
		t.Fatal("an error after an event")
	case err != nil && !errors.Is(err, source.ErrSkipped):
		if len(err.Error()) > maxError {
			t.Fatal("an error that may quote the line")
		}
		if !slices.Contains(source.Reasons(), source.ReasonOf(err)) {
			t.Fatalf("a reason outside the list: %s", source.ReasonOf(err))
		}
	}
	return err
}
