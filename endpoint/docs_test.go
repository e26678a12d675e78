package endpoint_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
)

var (
	inBackquotes = regexp.MustCompile("`([^`]+)`")
	testName     = regexp.MustCompile(`^[a-z0-9/]+\.(?:Test|Fuzz|Example)\w*$`)
)

// rows returns the cells of the tables of a page whose head begins with first.
func rows(t *testing.T, page, first string) (found [][]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", page))
	require.NoError(t, err)
	inside := false
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case cells[0] == first:
			inside = true
		case inside && !strings.HasPrefix(cells[0], "---"):
			found = append(found, cells)
		}
	}
	require.NotEmpty(t, found, page)
	return found
}

// requireTests fails unless every name in cell is a test, of which there is at least one where it must be.
func requireTests(t *testing.T, tests, row []string, cell string, some bool) {
	t.Helper()
	named := inBackquotes.FindAllStringSubmatch(cell, -1)
	require.Equal(t, some, len(named) > 0, "%s: %q", row[0], cell)
	for _, name := range named {
		require.Regexp(t, testName, name[1], row[0])
		require.Contains(t, tests, name[1], row[0])
	}
}

// A requirement that is met, or a part of it, has a test; what it makes known is an event or error type that there is.
func TestThePageOfTheASVSIsTrue(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, s := range event.Schemas() {
		known[string(s.Name)] = true
	}
	for _, d := range event.ErrorTypes() {
		known[d.Type] = true
	}
	tests, seen := testenv.Tests(t), map[string]bool{}
	for _, row := range rows(t, "asvs.md", "id") {
		require.Len(t, row, 6, row[0])
		id, met := row[0], row[2]
		require.Regexp(t, `^[0-9]+\.[0-9]+\.[0-9]+$`, id)
		require.False(t, seen[id], "%s is there twice", id)
		seen[id] = true
		require.Contains(t, []string{"yes", "part", "yours", "no"}, met, id)
		require.NotEmpty(t, row[3], id)
		requireTests(t, tests, row, row[4], met == "yes" || met == "part")
		for _, name := range inBackquotes.FindAllStringSubmatch(row[5], -1) {
			require.True(t, known[name[1]], "%s: there is no event or error type %s", id, name[1])
		}
	}
	for _, id := range []string{"4.4.1", "4.4.2", "4.4.3", "4.4.4"} {
		require.True(t, seen[id], id)
	}
}

func TestThePageOfThreatsIsTrue(t *testing.T) {
	t.Parallel()
	tests := testenv.Tests(t)
	for _, row := range rows(t, "threat-model.md", "attack") {
		require.Len(t, row, 3, row[0])
		requireTests(t, tests, row, row[2], true)
	}
}
