package dashboards_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/dashboards"
	"github.com/sockeye-project/sockeye/internal/testenv"
)

// The JSON Schemas that the SDK is generated from are a module without a Go package, so go.mod cannot hold it: this is its version,
// which is the SDK's, and its sum.
const (
	schemaModule = "github.com/grafana/grafana-foundation-sdk"
	sdkModule    = schemaModule + "/go"
	schemaSum    = "h1:0GR40UyEndnlc2UEsd+tnruj6oDRw4t0HXwhNxeLbMk="
)

// schemas compiles definitions of the schemas.
type schemas struct {
	folder   string
	compiler *jsonschema.Compiler
}

func newSchemas(t *testing.T) *schemas {
	t.Helper()
	version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", sdkModule).Output()
	require.NoError(t, err)
	cmd := exec.Command("go", "mod", "download", "-json", schemaModule+"@"+string(version[:len(version)-1]))
	cmd.Dir = t.TempDir() // outside our module, whose go.sum cannot have it
	text, err := cmd.Output()
	if err != nil {
		testenv.Missing(t, schemaModule, "run `go mod download "+schemaModule+"@VERSION` where the module proxy can be reached: "+err.Error())
	}
	var module struct{ Dir, Sum string }
	require.NoError(t, json.Unmarshal(text, &module))
	require.Equal(t, schemaSum, module.Sum)
	s := &schemas{filepath.Join(module.Dir, "jsonschema"), jsonschema.NewCompiler()}
	s.relax(t)
	return s
}

// relax gives back what the generator of the schemas lost: a value of any kind, as Grafana's own definitions have it, became an
// object. What our overrides set is checked by property instead.
func (s *schemas) relax(t *testing.T) {
	path := filepath.Join(s.folder, "dashboard.jsonschema.json")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var document map[string]any
	require.NoError(t, json.Unmarshal(text, &document))
	for definition, key := range map[string]string{"MatcherConfig": "options", "DynamicConfigValue": "value"} {
		properties := sub(document, "definitions", definition, "properties")
		require.Equal(t, "object", sub(properties, key)["type"])
		properties[key] = map[string]any{}
	}
	require.NoError(t, s.compiler.AddResource(path, document))
}

// check holds a value against a definition.
func (s *schemas) check(file, definition string, value any) error {
	path := filepath.Join(s.folder, file+".jsonschema.json")
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("no schema of %s: %w", file, err)
	}
	schema, err := s.compiler.Compile(path + "#/definitions/" + definition)
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// schemaOf names the schema of a panel type where it is not the type itself.
var schemaOf = map[string]string{"state-timeline": "statetimeline"}

// withoutFields are the panel types whose schema has no FieldConfig.
var withoutFields = map[string]bool{"stat": true, "bargauge": true, "logs": true}

func (s *schemas) board(b map[string]any) error {
	if err := s.check("dashboard", "Dashboard", b); err != nil {
		return err
	}
	for _, one := range b["panels"].([]any) {
		p := one.(map[string]any)
		kind := p["type"].(string)
		if kind == "row" {
			continue
		}
		file := kind
		if renamed, ok := schemaOf[kind]; ok {
			file = renamed
		}
		if err := s.check(file, "Options", p["options"]); err != nil {
			return fmt.Errorf("%v: options: %w", p["title"], err)
		}
		config := p["fieldConfig"].(map[string]any)
		if custom, ok := config["defaults"].(map[string]any)["custom"]; ok {
			if withoutFields[kind] {
				return fmt.Errorf("%v: has custom fields, which %s does not know", p["title"], kind)
			}
			if err := s.check(file, "FieldConfig", custom); err != nil {
				return fmt.Errorf("%v: custom: %w", p["title"], err)
			}
		}
		for _, o := range config["overrides"].([]any) {
			for _, property := range o.(map[string]any)["properties"].([]any) {
				if err := s.property(property.(map[string]any)); err != nil {
					return fmt.Errorf("%v: override: %w", p["title"], err)
				}
			}
		}
		for _, target := range p["targets"].([]any) {
			of := target.(map[string]any)["datasource"].(map[string]any)
			if of["type"] == "prometheus" {
				if err := s.check("prometheus", "Dataquery", target); err != nil {
					return fmt.Errorf("%v: target: %w", p["title"], err)
				}
			}
		}
	}
	return nil
}

// property checks what an override sets. The dashboard's schema leaves it open.
func (s *schemas) property(p map[string]any) error {
	id, value := p["id"].(string), p["value"]
	switch id {
	case "unit", "decimals", "thresholds", "mappings", "links", "color":
		return s.check("dashboard", "FieldConfig", map[string]any{id: value})
	case "custom.cellOptions":
		// The schema's union does not tell its members apart by their type.
		definition, ok := map[any]string{
			"color-background": "TableColoredBackgroundCellOptions", "color-text": "TableColorTextCellOptions",
		}[value.(map[string]any)["type"]]
		if !ok {
			return fmt.Errorf("%s: no such type: %v", id, value)
		}
		return s.check("table", definition, value)
	case "custom.lineStyle", "custom.fillOpacity":
		return s.check("timeseries", "FieldConfig", map[string]any{strings.TrimPrefix(id, "custom."): value})
	case "custom.width":
		return s.check("table", "TableFieldOptions", map[string]any{"width": value, "align": "auto", "inspect": false})
	}
	return fmt.Errorf("%s: nobody says what it may be", id)
}

// asJSON is what a reader of the file sees.
func asJSON(t testing.TB, v any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(text, &m))
	return m
}

func TestBoardsKeepGrafanasSchemas(t *testing.T) {
	t.Parallel()
	s := newSchemas(t)
	for _, d := range dashboards.Datasources() {
		for _, b := range boards(t, d) {
			require.NoError(t, s.board(asJSON(t, b)), *b.Uid)
		}
	}
	for name, mutate := range schemaMutants {
		t.Run(name, func(t *testing.T) {
			b := asJSON(t, onCall(t))
			mutate(b)
			require.Error(t, s.board(b))
		})
	}
}

// ofType is the first panel of a type.
func ofType(b map[string]any, kind string) map[string]any {
	for _, p := range b["panels"].([]any) {
		if p := p.(map[string]any); p["type"] == kind {
			return p
		}
	}
	return nil
}

func defaults(p map[string]any) map[string]any {
	return p["fieldConfig"].(map[string]any)["defaults"].(map[string]any)
}

// schemaMutants are files that the schemas must refuse.
var schemaMutants = map[string]func(b map[string]any){
	"a key that nobody knows":    func(b map[string]any) { b["pannels"] = []any{} },
	"a title that is a number":   func(b map[string]any) { b["title"] = 1 },
	"no version of the schema":   func(b map[string]any) { delete(b, "schemaVersion") },
	"a panel without a grid":     func(b map[string]any) { ofType(b, "stat")["gridPos"] = "left" },
	"an option of another panel": func(b map[string]any) { ofType(b, "stat")["options"].(map[string]any)["showHeader"] = true },
	"a mode that does not exist": func(b map[string]any) { ofType(b, "stat")["options"].(map[string]any)["graphMode"] = "pie" },
	"a style that does not exist": func(b map[string]any) {
		defaults(ofType(b, "timeseries"))["custom"].(map[string]any)["drawStyle"] = "dots"
	},
	"a threshold that is a word": func(b map[string]any) {
		defaults(ofType(b, "stat"))["thresholds"].(map[string]any)["steps"].([]any)[0] = "red"
	},
	"a unit that is a number": func(b map[string]any) { defaults(ofType(b, "stat"))["unit"] = 5 },
	"a link without a type": func(b map[string]any) {
		delete(list(b, "links")[0], "type")
	},
	"a variable of no type": func(b map[string]any) {
		b["templating"].(map[string]any)["list"].([]any)[1].(map[string]any)["type"] = "sql"
	},
	"an annotation without a color": func(b map[string]any) {
		delete(b["annotations"].(map[string]any)["list"].([]any)[0].(map[string]any), "iconColor")
	},
}
