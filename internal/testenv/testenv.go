// Package testenv finds what tests need besides the code: the corpus, the engine's library, programs of the system.
// What is missing skips the test with its name on a developer's machine and fails it in CI, so that CI cannot pass by
// testing less.
package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// Root is the folder of the module.
func Root() string {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "."
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Missing skips t, or fails it in CI, saying what is missing and how to get it.
func Missing(t testing.TB, what, remedy string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing in CI; %s", what, remedy)
	}
	t.Skipf("%s is missing; %s", what, remedy)
}

// Corpus returns the path of a file or folder of the corpus.
func Corpus(t testing.TB, elem ...string) string {
	t.Helper()
	root := os.Getenv("SOCKEYE_CORPUS")
	if root == "" {
		root = filepath.Join(Root(), "..", "shared", "corpus")
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		Missing(t, "the corpus file "+filepath.Join(elem...), "set SOCKEYE_CORPUS to the corpus folder")
	}
	return path
}

// Program returns the path of a program of the system; pkg is the Debian package that brings it.
func Program(t testing.TB, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if alt := filepath.Join("/usr/sbin", name); isFile(alt) {
			return alt
		}
		Missing(t, name, "install it with `apt-get install "+pkg+"`")
	}
	return path
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

var testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)

// Tests returns what `go test` runs in this module, each as folder.Name: endpoint/auth.TestJWTRefuses. Pages name tests by it.
func Tests(t testing.TB) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(Root(), func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".")):
			if path == Root() {
				return nil
			}
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		folder, err := filepath.Rel(Root(), filepath.Dir(path))
		if err != nil {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range testFunction.FindAllSubmatch(source, -1) {
			names = append(names, filepath.ToSlash(folder)+"."+string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatalf("no tests below %s", Root())
	}
	return names
}

var keyInBackquotes = regexp.MustCompile("`([a-z0-9_.]+)`")

// AssertConfigDocumented fails t for every mapstructure key of cfg, walked by reflection through structs, that has no
// row of its own in the first column of a table in the README beside the test. Keys are dotted: "limits.max_bytes".
// Structs of other packages (confighttp and its like) are one key and documented by a link.
func AssertConfigDocumented(t testing.TB, cfg any, readme string) {
	t.Helper()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, m := range keyInBackquotes.FindAllStringSubmatch(cells[1], -1) {
				documented[m[1]] = true
			}
		}
	}
	for _, key := range configKeys(reflect.TypeOf(cfg), "") {
		if !documented[key] {
			t.Errorf("%s: no table row for the key `%s`", readme, key)
		}
	}
}

func configKeys(typ reflect.Type, prefix string) []string {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct {
		return nil
	}
	var keys []string
	for i := range typ.NumField() {
		field := typ.Field(i)
		tag, options, _ := strings.Cut(field.Tag.Get("mapstructure"), ",")
		if !field.IsExported() || tag == "-" {
			continue
		}
		inner := field.Type
		for inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if options == "squash" {
			keys = append(keys, configKeys(inner, prefix)...)
			continue
		}
		if tag == "" {
			continue
		}
		ours := inner.PkgPath() == typ.PkgPath()
		if nested := configKeys(inner, prefix+tag+"."); ours && len(nested) > 0 {
			keys = append(keys, nested...)
			continue
		}
		keys = append(keys, prefix+tag)
	}
	return keys
}
