package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the folder of the module.
var root = filepath.Join("..", "..")

func TestImports(t *testing.T) {
	var edges []edge
	for _, pkg := range packages(t) {
		for _, to := range pkg.Imports {
			edges = append(edges, edge{pkg.ImportPath, to})
		}
	}
	require.NotEmpty(t, edges)
	for _, text := range violations(edges) {
		t.Error(text)
	}
}

// listed is what `go list -json` says of a package. Imports has no imports of tests, which may import anything.
type listed struct {
	ImportPath, Dir           string
	Imports                   []string
	TestGoFiles, XTestGoFiles []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Imports,TestGoFiles,XTestGoFiles", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	var all []listed
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg listed
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, pkg)
	}
}

func TestTheCheckerCatchesAForbiddenEdge(t *testing.T) {
	t.Parallel()
	const (
		collector = "go.opentelemetry.io/collector/receiver"
		pdata     = "go.opentelemetry.io/collector/pdata/plog"
	)
	for name, c := range map[string]struct{ from, to, want string }{
		"the model uses the standard library": {from: "event", to: "encoding/json"},
		"the model uses no other module": {from: "event", to: "github.com/klauspost/compress/zstd",
			want: "event → github.com/klauspost/compress/zstd: event may import only the standard library"},
		"the model knows no pdata": {from: "event", to: pdata,
			want: "event → " + pdata + ": event may import only the standard library"},
		"a source makes events":         {from: "source/nginx", to: Module + "/event"},
		"a source uses what they share": {from: "source/nginx", to: Module + "/source"},
		"a source is no collector component": {from: "source/nginx", to: collector,
			want: "source/nginx → " + collector + ": source may import only the standard library, event, other modules, " +
				"not go.opentelemetry.io/collector, not github.com/open-telemetry/opentelemetry-collector-contrib"},
		"eventlog knows pdata":       {from: "internal/eventlog", to: pdata},
		"a receiver uses its folder": {from: "receiver/websocketlogreceiver", to: Module + "/receiver/websocketlogreceiver/tail"},
		"a receiver does not use its neighbour": {from: "receiver/a", to: Module + "/receiver/b",
			want: "receiver/a → receiver/b: receiver may import only"},
		"no receiver imports an exporter": {from: "receiver/a", to: Module + "/exporter/websocketclickhouseexporter",
			want: "receiver/a → exporter/websocketclickhouseexporter: receiver may import only"},
		"no receiver writes to the store": {from: "receiver/a", to: Module + "/store",
			want: "receiver/a → store: receiver may import only"},
		"the exporter writes to the store":   {from: "exporter/websocketclickhouseexporter", to: Module + "/store"},
		"an extension evaluates SLOs":        {from: "extension/sloextension", to: Module + "/slo"},
		"the client is not the engine":       {from: "store", to: Module + "/store/embedded", want: "store → store/embedded:"},
		"the engine knows nothing of ours":   {from: "store/embedded", to: Module + "/event", want: "store/embedded → event:"},
		"the SLO compiler opens no database": {from: "slo", to: Module + "/store", want: "slo → store: slo may import only"},
		"the command imports anything":       {from: "cmd/sockeye", to: Module + "/exporter/websocketclickhouseexporter"},
		"nothing imports the command": {from: "extension/sloextension", to: Module + "/cmd/sockeye/demo",
			want: "extension/sloextension → cmd/sockeye/demo:"},
		"a new folder needs a row": {from: "util", to: "fmt", want: "util: no row in the import table"},
		"a name that only begins the same is another folder": {from: "eventful", to: "fmt",
			want: "eventful: no row in the import table"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := violations([]edge{{Module + "/" + c.from, c.to}})
			if c.want == "" {
				require.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			require.Contains(t, got[0], c.want)
		})
	}
}

// TestFormatted leaves out what other programs write: their output stays as it is, so that it can be compared.
func TestFormatted(t *testing.T) {
	t.Parallel()
	files, err := exec.Command("git", "-C", root, "ls-files", "*.go", ":!cmd/sockeye/components.go").Output()
	if err != nil {
		t.Skip("not a git checkout: ", err)
	}
	gofmt := exec.Command("gofmt", append([]string{"-l"}, strings.Fields(string(files))...)...)
	gofmt.Dir = root
	out, err := gofmt.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Empty(t, string(out), "run `make fmt`")
}
