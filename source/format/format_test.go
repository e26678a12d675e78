package format_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/format"
)

func TestEveryFormatHasAParserAndADescription(t *testing.T) {
	t.Parallel()
	for _, f := range format.All() {
		got, err := format.Of(f.Name)
		require.NoError(t, err)
		require.NotEmpty(t, got.Brief)
		require.NotNil(t, got.New(source.Settings{}))
	}
	require.Equal(t, "ndjson, nginx", format.Names())
	_, err := format.Of("apache")
	require.EqualError(t, err, `must be one of ndjson, nginx, got "apache"`)
}
