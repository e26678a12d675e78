package access_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/source/access"
)

const docker = `{"log":"a \"b\" \u003cc\u003e\n","stream":"stderr","time":"2026-11-22T07:00:11Z"}`

func TestUnwrapTakesALineOutOfWhatIsAroundIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string][2]string{
		"nothing around it":              {`{"status":101}`, `{"status":101}`},
		"an empty line":                  {"", ""},
		"a byte order mark":              {"\uFEFFGET /", "GET /"},
		"a byte order mark alone":        {"\uFEFF", ""},
		"half a byte order mark":         {"\xef\xbbGET /", "\xef\xbbGET /"},
		"Docker's object":                {docker, `a "b" <c>`},
		"the same with attributes":       {`{"log":"a","stream":"stdout","attrs":{"k":"v"},"time":"x"}`, "a"},
		"the last line has no break":     {`{"log":"a\\n","stream":"stdout","time":"x"}`, `a\n`},
		"an empty line within":           {`{"log":"\n","stream":"stdout","time":"x"}`, ""},
		"an object of another kind":      {`{"log":"a","level":"info","time":"x"}`, `{"log":"a","level":"info","time":"x"}`},
		"another stream":                 {`{"log":"a","stream":"std","time":"x"}`, `{"log":"a","stream":"std","time":"x"}`},
		"no time":                        {`{"log":"a","stream":"stdout","x":"y"}`, `{"log":"a","stream":"stdout","x":"y"}`},
		"an object that has been cut":    {docker[:len(docker)-1], docker[:len(docker)-1]},
		"a string that has been cut":     {docker[:12], docker[:12]},
		"no more than the beginning":     {`{"log":"`, `{"log":"`},
		"an object within is left alone": {`{"log":{"log":"a"},"stream":"stdout","time":"x"}`, `{"log":{"log":"a"},"stream":"stdout","time":"x"}`},
	} {
		require.Equal(t, c[1], string(access.Unwrap([]byte(c[0]))), name)
	}
}

func FuzzUnwrap(f *testing.F) {
	for _, seed := range []string{docker, "\uFEFF" + docker, docker[:20], `{"log":"\u0000\ud83d\ude00","stream":"stdout","time":""}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		before := string(line)
		got := access.Unwrap(line)
		require.LessOrEqual(t, len(got), len(line))
		require.Equal(t, before, string(line))
	})
}
