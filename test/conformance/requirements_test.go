package conformance

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryRequirementIsCheckedByWhatExists(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range Cases() {
		names = append(names, c.ID)
	}
	for _, h := range Handshakes() {
		names = append(names, h.ID)
	}
	for _, a := range Answers() {
		names = append(names, a.ID)
	}
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(names))), len(names), "an id is there twice")
	tests := append(testsIn(t, ".", ""), testsIn(t, filepath.Join("..", "..", "wire"), "wire.")...)

	seen, used := map[string]bool{}, map[string]bool{}
	for _, r := range Requirements() {
		require.False(t, seen[r.ID], r.ID)
		seen[r.ID] = true
		require.Regexp(t, `^(6455|7692|8441|9220)-[0-9.]+-[0-9]+$`, r.ID)
		require.NotEmpty(t, r.Text, r.ID)
		require.True(t, (r.Checks == "") != (r.NotOurs == ""), "%s: checked, or not ours", r.ID)
		for _, check := range strings.Fields(r.Checks) {
			found := slices.Contains(tests, check)
			for _, name := range names {
				group, isGroup := strings.CutSuffix(check, "*")
				if name == check || isGroup && strings.HasPrefix(name, group) {
					found, used[name] = true, true
				}
			}
			require.True(t, found, "%s: there is no %s", r.ID, check)
		}
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "request/") && !strings.HasPrefix(name, "response/") {
			require.True(t, used[name], "no requirement names %s", name)
		}
	}
}

var testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w+)\(`)

func testsIn(t *testing.T, dir, prefix string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var tests []string
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range testFunction.FindAllStringSubmatch(string(source), -1) {
			tests = append(tests, prefix+match[1])
		}
	}
	return tests
}

func TestTheDocumentIsWhatTheTablesSay(t *testing.T) {
	t.Parallel()
	have, err := os.ReadFile(filepath.Join("..", "..", "docs", "conformance.md"))
	require.NoError(t, err)
	require.True(t, string(have) == string(Document()), "docs/conformance.md is old: run `make generate`")
}
