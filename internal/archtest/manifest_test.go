package archtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// manifest is builder-config.yaml.
type manifest struct {
	Receivers, Processors, Exporters, Connectors, Extensions, Providers []struct{ Gomod, Import string }
}

func readManifest(t *testing.T) manifest {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "builder-config.yaml"))
	require.NoError(t, err)
	var m manifest
	require.NoError(t, yaml.Unmarshal(text, &m))
	require.NotEmpty(t, m.Receivers)
	require.NotEmpty(t, m.Providers)
	return m
}

// requirement is a line of go.mod.
type requirement struct {
	Path, Version string
	Indirect      bool
}

func requirements(t *testing.T) map[string]requirement {
	t.Helper()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	var mod struct{ Require []requirement }
	require.NoError(t, json.Unmarshal(out, &mod))
	all := map[string]requirement{}
	for _, r := range mod.Require {
		all[r.Path] = r
	}
	require.NotEmpty(t, all)
	return all
}

func TestManifestAndGoModNameTheSameVersions(t *testing.T) {
	mods := requirements(t)
	m := readManifest(t)
	for kind, list := range map[string][]struct{ Gomod, Import string }{
		"receivers": m.Receivers, "processors": m.Processors, "exporters": m.Exporters, "connectors": m.Connectors,
		"extensions": m.Extensions, "providers": m.Providers,
	} {
		for _, c := range list {
			path, version, ok := strings.Cut(c.Gomod, " ")
			require.True(t, ok, "%s: %q has no version", kind, c.Gomod)
			if path == Module {
				require.Equal(t, "v0.0.0", version, "%s: ours are built from the tree", c.Import)
				require.True(t, strings.HasPrefix(c.Import, Module+"/"), "%s: import: must name the package", kind)
				continue
			}
			require.Equal(t, mods[path].Version, version, "builder-config.yaml and go.mod disagree about %s", path)
		}
	}
}

// TestComponentsAreGenerated builds components.go anew and compares.
func TestComponentsAreGenerated(t *testing.T) {
	out := t.TempDir()
	text, err := os.ReadFile(filepath.Join(root, "builder-config.yaml"))
	require.NoError(t, err)
	text = regexp.MustCompile(`(?m)^  output_path: .*$`).ReplaceAll(text, []byte("  output_path: "+out))
	config := filepath.Join(t.TempDir(), "builder-config.yaml")
	require.NoError(t, os.WriteFile(config, text, 0o600))

	cmd := exec.Command("go", "tool", "builder", "--config", config, "--skip-get-modules", "--skip-compilation")
	cmd.Dir = root
	log, err := cmd.CombinedOutput()
	require.NoError(t, err, string(log))
	want, err := os.ReadFile(filepath.Join(out, "components.go"))
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join(root, "cmd", "sockeye", "components.go"))
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "run `make generate`")
}

func TestMainHasTheProvidersOfTheManifest(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "cmd", "sockeye", "main.go"))
	require.NoError(t, err)
	var want, got []string
	for _, p := range readManifest(t).Providers {
		path, _, _ := strings.Cut(p.Gomod, " ")
		want = append(want, path)
	}
	for _, m := range regexp.MustCompile(`"(go\.opentelemetry\.io/collector/confmap/provider/\w+)"`).
		FindAllStringSubmatch(string(text), -1) {
		got = append(got, m[1])
	}
	require.ElementsMatch(t, want, got)
}

// TestEveryDependencyIsExplained reads the first column of the tables in docs/dependencies.md. A row that ends in … is
// for every module that begins so.
func TestEveryDependencyIsExplained(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "dependencies.md"))
	require.NoError(t, err)
	rows := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| \\S").FindAllStringSubmatch(string(text), -1) {
		rows[m[1]] = false
	}
	require.NotEmpty(t, rows)
	for path, r := range requirements(t) {
		if r.Indirect {
			continue
		}
		found := false
		for row := range rows {
			prefix, open := strings.CutSuffix(row, "…")
			if row == path || open && strings.HasPrefix(path, prefix) {
				rows[row], found = true, true
			}
		}
		if !found {
			t.Errorf("docs/dependencies.md: no row says why %s is needed", path)
		}
	}
	for row, used := range rows {
		if !used {
			t.Errorf("docs/dependencies.md: %s is not required by go.mod; drop its row", row)
		}
	}
}

// TestEveryFuzzTargetHasSeeds: a fuzz target that starts from nothing finds nothing in the seconds a test run gives it.
// sourcetest.Fuzz demands seeds itself.
func TestEveryFuzzTargetHasSeeds(t *testing.T) {
	target := regexp.MustCompile(`(?s)func (Fuzz\w+)\(\w+ \*testing\.F\) \{(.*?)\n\}`)
	for _, pkg := range packages(t) {
		for _, file := range append(pkg.TestGoFiles, pkg.XTestGoFiles...) {
			text, err := os.ReadFile(filepath.Join(pkg.Dir, file))
			require.NoError(t, err)
			for _, m := range target.FindAllStringSubmatch(string(text), -1) {
				if !strings.Contains(m[2], "f.Add(") && !strings.Contains(m[2], "sourcetest.Fuzz(") &&
					!strings.Contains(strings.ToLower(m[2]), "seed") {
					t.Errorf("%s: %s adds no seeds", filepath.Join(pkg.ImportPath, file), m[1])
				}
			}
		}
	}
}

// TestLinksBetweenPagesHold follows the relative links of every Markdown file.
func TestLinksBetweenPagesHold(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(#[^)]*)?\)`)
	pages := 0
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == "node_modules" || path != root && strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		pages++
		text, err := os.ReadFile(path)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, missing := os.Stat(filepath.Join(filepath.Dir(path), m[1])); missing != nil {
				t.Errorf("%s: the link to %s leads nowhere", path, m[1])
			}
		}
		return err
	})
	require.NoError(t, err)
	require.NotZero(t, pages)
}
