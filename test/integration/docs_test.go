package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

func TestThePageOfFaultsNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", "exactly-once.md"))
	require.NoError(t, err)
	named := regexp.MustCompile("`([A-Z][A-Za-z]{15,})`").FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, named)
	tests := testenv.Tests(t)
	for _, name := range named {
		is := func(test string) bool { return strings.HasSuffix(test, ".Test"+name[1]) }
		require.True(t, slices.ContainsFunc(tests, is), name[1])
	}
}
