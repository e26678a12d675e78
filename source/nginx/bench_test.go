package nginx_test

import (
	"path/filepath"
	"testing"

	"github.com/sockeye-project/sockeye/source/nginx"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

// BenchmarkParse reads the lines of testdata: two in three are connections, the rest rejections and other requests.
func BenchmarkParse(b *testing.B) {
	sourcetest.Benchmark(b, parser(sourcetest.Settings(), nginx.Options{}),
		sourcetest.ReadLines(b, filepath.Join("testdata", "access.json.log")))
}

func TestALineCostsAtMostTwoAllocations(t *testing.T) {
	sourcetest.AssertAllocations(t, parser(sourcetest.Settings(), nginx.Options{}),
		sourcetest.ReadLines(t, filepath.Join("testdata", "access.json.log")), 2)
}
