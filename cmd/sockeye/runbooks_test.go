package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/alerts"
	"github.com/sockeye-project/sockeye/extension/sloextension"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/store/query"
)

// runbookPages are the texts of docs/runbooks by their names.
func runbookPages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testenv.Root(), "docs", "runbooks", "*.md"))
	require.NoError(t, err)
	pages := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		pages[strings.TrimSuffix(filepath.Base(file), ".md")] = string(text)
	}
	return pages
}

func TestEveryAlertHasItsRunbookAndEveryRunbookItsSections(t *testing.T) {
	t.Parallel()
	pages := runbookPages(t)
	names := append(alerts.Names(), sloextension.AlertNames()...)
	for _, name := range names {
		require.Contains(t, pages, name)
	}
	for name, text := range pages {
		if name == "README" {
			for _, alert := range names {
				require.Contains(t, text, "("+alert+".md)")
			}
			continue
		}
		require.Contains(t, names, name, "a page of no alert")
		require.True(t, strings.HasPrefix(text, "# "+name+"\n"), name)
		at := 0
		for _, section := range []string{"Symptom", "Confirm", "Mitigate", "Roll back", "Follow up"} {
			next := strings.Index(text[at:], "\n## "+section+"\n\n")
			require.NotEqual(t, -1, next, "%s: no section %q after the one before", name, section)
			at += next + 1
		}
	}
}

var (
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	header = regexp.MustCompile(`(?m)^#+ (.+)$`)
	inline = regexp.MustCompile("`(sockeye [^`]+)`")
	indent = regexp.MustCompile(`(?m)^    (sockeye .+)$`)
	panels = regexp.MustCompile(`(?s)(?:dashboard|overview): ("[^"]+"(?:,\s*"[^"]+")*)`)
)

func TestLinksOfRunbooksResolve(t *testing.T) {
	t.Parallel()
	for name, text := range runbookPages(t) {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(found[1], "#")
			path := filepath.Join(testenv.Root(), "docs", "runbooks", file)
			if filepath.Ext(path) == "" {
				path += ".md"
			}
			target, err := os.ReadFile(path)
			require.NoError(t, err, name)
			if anchor != "" {
				var anchors []string
				for _, h := range header.FindAllStringSubmatch(string(target), -1) {
					anchors = append(anchors, strings.ReplaceAll(strings.ToLower(h[1]), " ", "-"))
				}
				require.Contains(t, anchors, anchor, name)
			}
		}
	}
}

// commandFault says what is wrong with a command that a page names; "" if it exists with its flags and arguments.
func commandFault(line string) string {
	line, _, _ = strings.Cut(line, " #")
	words := strings.Fields(line)[1:]
	root := newRootCommand()
	cmd, rest, err := root.Find(words)
	if err != nil {
		return err.Error()
	}
	var args []string
	for i := 0; i < len(rest); i++ {
		if !strings.HasPrefix(rest[i], "-") {
			args = append(args, rest[i])
			continue
		}
		name, _, valued := strings.Cut(strings.TrimLeft(rest[i], "-"), "=")
		var f *pflag.Flag
		if strings.HasPrefix(rest[i], "--") {
			f = cmd.Flag(name)
		} else {
			f = cmd.Flags().ShorthandLookup(name)
		}
		if f == nil {
			return cmd.CommandPath() + " has no flag " + rest[i]
		}
		if f.Value.Type() != "bool" && !valued {
			if i++; i == len(rest) {
				return rest[i-1] + " has no value"
			}
		}
	}
	if cmd.HasSubCommands() && len(args) > 0 {
		return cmd.CommandPath() + " has no command " + args[0]
	}
	if cmd.Args != nil && cmd.Runnable() {
		if err := cmd.Args(cmd, args); err != nil {
			return err.Error()
		}
	}
	if cmd.CommandPath() == "sockeye query" {
		if len(args) != 1 || !slices.ContainsFunc(query.All(), func(q query.Query) bool { return q.Name == args[0] }) {
			return "there is no such query"
		}
	}
	return ""
}

func TestCommandsOfRunbooksExist(t *testing.T) {
	t.Parallel()
	count := 0
	for name, text := range runbookPages(t) {
		for _, found := range append(inline.FindAllStringSubmatch(text, -1), indent.FindAllStringSubmatch(text, -1)...) {
			if found[1] == "sockeye query" || found[1] == "sockeye endpoint" || found[1] == "sockeye generate dashboards" {
				continue // the tool, not a command to type
			}
			count++
			require.Empty(t, commandFault(found[1]), "%s: %s", name, found[1])
		}
	}
	require.Greater(t, count, 40)

	for line, want := range map[string]string{
		"sockeye query nothing":                     "no such query",
		"sockeye query":                             "",
		"sockeye endpoint blok":                     "has no command",
		"sockeye endpoint block --user HASH":        "has no flag",
		"sockeye endpoint block --reason":           "has no value",
		"sockeye slo statsu":                        "has no command",
		"sockeye store check now":                   "unknown command",
		"sockeye unknown":                           "unknown command",
		"sockeye query active --since 15m --limits": "has no flag",
	} {
		require.Contains(t, commandFault(line), want, line)
		require.NotEmpty(t, commandFault(line), line)
	}
}

// TestPanelsOfRunbooksExist looks for the panels among the dashboards that are written.
func TestPanelsOfRunbooksExist(t *testing.T) {
	t.Parallel()
	out := filepath.Join(testenv.Root(), "dashboards", "out")
	var boards strings.Builder
	require.NoError(t, filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		boards.Write(text)
		return err
	}))
	count := 0
	for name, text := range runbookPages(t) {
		for _, found := range panels.FindAllStringSubmatch(text, -1) {
			for _, title := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(found[1], -1) {
				count++
				require.Contains(t, boards.String(), `"title": "`+strings.Join(strings.Fields(title[1]), " ")+`"`, name)
			}
		}
	}
	require.NotZero(t, count)
}
