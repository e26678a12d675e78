package nginx_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/source/nginx"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

// logs are the ways to read testdata: two lines in three are connections, the rest rejections and other requests. The
// same JSON is read by its keys and by its log_format, so that the two can be compared.
func logs(t testing.TB) map[string]struct {
	options nginx.Options
	lines   []string
} {
	t.Helper()
	conf, err := nginx.ReadConf(os.DirFS("testdata"), "nginx.conf")
	require.NoError(t, err)
	own, err := conf.Format("ws_json")
	require.NoError(t, err)
	read := func(name string) []string { return sourcetest.ReadLines(t, filepath.Join("testdata", name)) }
	return map[string]struct {
		options nginx.Options
		lines   []string
	}{
		"json":       {nginx.Options{}, read("access.json.log")},
		"log_format": {nginx.Options{Template: own}, read("access.json.log")},
		"combined":   {nginx.Options{Template: nginx.Combined, Paths: []string{"/*"}}, read("access.combined.log")},
	}
}

func BenchmarkParse(b *testing.B) {
	for name, c := range logs(b) {
		b.Run(name, func(b *testing.B) {
			sourcetest.Benchmark(b, parser(sourcetest.Settings(), c.options), c.lines)
		})
	}
}

func TestALineCostsAtMostTwoAllocations(t *testing.T) {
	for _, c := range logs(t) {
		sourcetest.AssertAllocations(t, parser(sourcetest.Settings(), c.options), c.lines, 2)
	}
}
