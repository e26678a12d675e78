// Package archtest holds the rules about the repository as a whole: who may import whom, which components the binary
// has, that every dependency is explained. Its tests read the tree; nothing imports it, and it imports nothing of ours.
//
// The import table below is the architecture. A change that needs a new edge changes the table in the same commit, so
// that the edge is seen in review.
package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// Module is the path that our own packages begin with.
const Module = "github.com/sockeye-project/sockeye"

// rule says what one part of the tree may import. The rule whose pattern is longest applies. Packages of the standard
// library and of the part itself are always allowed.
type rule struct {
	// part is a folder: the rule is for its package and those below.
	part string
	// each makes the rule one for every folder in part, which may not import its neighbours.
	each bool
	// ours are the folders it may import, each with what is below it.
	ours []string
	// outside are prefixes of the import paths of other modules; a leading "!" forbids.
	outside []string
}

const (
	anything         = ""
	clickhouseDriver = "github.com/ClickHouse/clickhouse-go/v2"
	clickhouseProto  = "github.com/ClickHouse/ch-go"
	pdata            = "go.opentelemetry.io/collector/pdata"
)

// withoutCollector is for libraries: whoever imports them shall not get a collector with them.
var withoutCollector = []string{
	anything, "!go.opentelemetry.io/collector", "!github.com/open-telemetry/opentelemetry-collector-contrib",
}

var rules = []rule{
	{part: "event"},
	{part: "wire"},
	{part: "endpoint", ours: []string{"event", "wire"}, outside: withoutCollector},
	{part: "source", ours: []string{"event"}, outside: withoutCollector},
	{part: "source/sourcetest", ours: []string{"event", "source", "internal/testenv"}, outside: withoutCollector},

	{part: "store/schema", ours: []string{"event"}},
	{part: "store", ours: []string{"event", "store/schema"}, outside: []string{clickhouseDriver, clickhouseProto}},
	{part: "store/embedded", outside: []string{
		"github.com/ebitengine/purego", clickhouseProto, clickhouseDriver + "/lib", "github.com/klauspost/compress",
		"golang.org/x/sys",
	}},
	{part: "store/embedded/embeddedtest", ours: []string{"store/embedded", "internal/testenv"}},

	{part: "slo", ours: []string{"event", "store/schema"}, outside: withoutCollector},
	{part: "alerts", ours: []string{"slo", "event", "store/schema"}, outside: withoutCollector},
	{part: "dashboards", ours: []string{"alerts", "slo", "event", "store/schema"}, outside: withoutCollector},

	{part: "receiver", each: true, outside: []string{anything},
		ours: []string{"event", "internal/eventlog", "internal/follow", "internal/keyfile", "source", "endpoint", "wire"}},
	{part: "processor", each: true, outside: []string{anything},
		ours: []string{"event", "internal/eventlog", "internal/keyfile"}},
	{part: "processor/websocketeventprocessor", outside: []string{anything},
		ours: []string{"event", "internal/eventlog", "internal/keyfile", "source"}},
	{part: "connector", each: true, ours: []string{"event", "internal/eventlog"}, outside: []string{anything}},
	{part: "exporter", each: true, ours: []string{"event", "internal/eventlog", "store"}, outside: []string{anything}},
	{part: "extension", each: true, ours: []string{"slo", "store"}, outside: []string{anything}},

	{part: "internal/eventlog", ours: []string{"event"}, outside: []string{pdata}},
	{part: "internal/eventdoc", ours: []string{"event"}},
	{part: "internal/keyfile", outside: []string{"golang.org/x/crypto", "golang.org/x/sys"}},
	{part: "internal/follow"},
	{part: "internal/golden", outside: []string{"github.com/google/go-cmp"}},
	{part: "internal/testenv", outside: []string{"go.yaml.in/yaml/v3"}},
	{part: "internal/browser", ours: []string{"internal/testenv"}},
	{part: "internal/archtest"},

	// Nothing above names cmd or test, so nothing imports them.
	{part: "cmd", ours: []string{anything}, outside: []string{anything}},
	{part: "test", ours: []string{anything}, outside: []string{anything}},
	{part: "examples", ours: []string{anything}, outside: []string{anything}},
	{part: "docs", ours: []string{anything}, outside: []string{anything}},
}

// edge is one import, by import paths.
type edge struct{ from, to string }

// violations returns a sentence for every edge that the table does not allow.
func violations(edges []edge) []string {
	var found []string
	for _, e := range edges {
		if text := check(e); text != "" && !slices.Contains(found, text) {
			found = append(found, text)
		}
	}
	slices.Sort(found)
	return found
}

func check(e edge) string {
	from, _ := local(e.from)
	r, ok := ruleFor(from)
	if !ok {
		return fmt.Sprintf("%s: no row in the import table of internal/archtest; add one that says what it may import", from)
	}
	to, ours := local(e.to)
	allowed := standard(e.to) || outsideAllowed(e.to, r.outside)
	if ours {
		reaches := func(folder string) bool { return below(to, folder) }
		allowed = r.owns(from, to) || slices.ContainsFunc(r.ours, reaches)
	}
	if allowed {
		return ""
	}
	return fmt.Sprintf("%s → %s: %s may import only %s", from, to, r.part, r.describe())
}

// owns reports whether from and to are one part. "store" does not own "store/embedded", which has a rule itself.
func (r rule) owns(from, to string) bool {
	part := r.part
	if r.each {
		name, _, _ := strings.Cut(strings.TrimPrefix(from, part+"/"), "/")
		part += "/" + name
	}
	owner, _ := ruleFor(to)
	return below(to, part) && owner.part == r.part
}

func ruleFor(pkg string) (rule, bool) {
	best, ok := rule{}, false
	for _, r := range rules {
		if below(pkg, r.part) && (!ok || len(r.part) > len(best.part)) {
			best, ok = r, true
		}
	}
	return best, ok
}

func (r rule) describe() string {
	list := []string{"the standard library"}
	for _, name := range slices.Concat(r.ours, r.outside) {
		if name == anything {
			name = "other modules"
		}
		if forbidden, ok := strings.CutPrefix(name, "!"); ok {
			name = "not " + forbidden
		}
		list = append(list, name)
	}
	return strings.Join(list, ", ")
}

func outsideAllowed(path string, allowed []string) bool {
	ok := false
	for _, prefix := range allowed {
		if forbidden, is := strings.CutPrefix(prefix, "!"); is {
			if below(path, forbidden) {
				return false
			}
		} else if below(path, prefix) {
			ok = true
		}
	}
	return ok
}

// local cuts the module from the path of one of our packages.
func local(path string) (string, bool) {
	if path == Module {
		return ".", true
	}
	rest, ok := strings.CutPrefix(path, Module+"/")
	return rest, ok
}

// standard: the first element of every other path has a dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// below reports whether path is folder or lies in it.
func below(path, folder string) bool {
	return folder == anything || path == folder || strings.HasPrefix(path, folder+"/")
}
