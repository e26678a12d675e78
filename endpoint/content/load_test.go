package content

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/wire"
)

func loadMap(files map[string]string) (*Policy, error) {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	var faults Faults
	p := load(fsys, "dir", &faults)
	return p, faults.err()
}

const shortest = "version: 1\nprotocols: [{subprotocol: \"\", type: /type, messages: [{type: a, schema: a.json}]}]\n"

// The script of `sockeye policy check` has the faults that people make; these are about bounds and files.
func TestWhatIsNotLoaded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no manifest":            {map[string]string{"a.json": "{}"}, "dir: there is no manifest; write content.yaml or content.json"},
		"two manifests":          {map[string]string{"content.yaml": "", "content.json": ""}, "dir: there are several manifests: content.yaml and content.json; keep one"},
		"an empty manifest":      {map[string]string{"content.yaml": "# nothing\n"}, "dir/content.yaml:1:1: is empty"},
		"broken YAML":            {map[string]string{"content.yaml": "version: 1\nmode: [\n"}, "dir/content.yaml:2:1: not valid YAML: did not find expected node content"},
		"two documents":          {map[string]string{"content.yaml": "version: 1\n---\nversion: 1\n"}, "dir/content.yaml: there must be one document"},
		"a large manifest":       {map[string]string{"content.yaml": fmt.Sprintf("# %01048576d", 1)}, "dir/content.yaml: cannot be read: larger than 1048576 bytes"},
		"a large schema":         {map[string]string{"content.yaml": shortest, "a.json": fmt.Sprintf("%01048577d", 1)}, "dir/a.json: cannot be read: larger than 1048576 bytes"},
		"a schema outside":       {map[string]string{"content.yaml": "version: 1\nprotocols: [{subprotocol: \"\", type: /t, messages: [{type: a, schema: ../a.json}]}]\n"}, `dir/content.yaml:2:70: protocols[0].messages[0].schema: "../a.json" is no *.json file below this directory`},
		"a schema that is text":  {map[string]string{"content.yaml": shortest, "a.json": `"x"`}, "dir/a.json:1:1: a schema must be an object, true or false"},
		"one identifier twice":   {map[string]string{"content.yaml": shortest, "a.json": `{"$id":"https://x.example/a"}`, "b.json": `{"$id":"https://x.example/a"}`}, "dir/b.json:1:8: /$id: a.json has the same"},
		"a reference to nothing": {map[string]string{"content.yaml": shortest, "a.json": `{"properties":{"b":{"$ref":"#/$defs/b"}}}`}, "dir/a.json:1:28: /properties/b/$ref: refers to what is not there"},
		"stars without end":      {map[string]string{"content.yaml": "version: 1\nprotocols: [{subprotocol: \"\", type: /t}]\naccess: [{allow: [\"*a*b*c*d*\"]}]\n"}, `dir/content.yaml:3:10: access[0]: "*a*b*c*d*" has more than 4 stars`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := loadMap(c.files)
			require.EqualError(t, err, c.want)
		})
	}
}

func TestSchemasReferToOneAnother(t *testing.T) {
	t.Parallel()
	p, err := loadMap(map[string]string{
		"content.json":     `{"version":1,"mode":"enforce","protocols":[{"subprotocol":"*","type":"/0","messages":[{"type":"a","schema":"in/a.json"}]}]}`,
		"in/a.json":        `{"$id":"https://x.example/a.json","prefixItems":[true,{"$ref":"b.json"},{"$ref":"b.json#/$defs/c"}]}`,
		"in/b.json":        `{"$id":"https://x.example/b.json","type":"integer","$defs":{"c":{"$ref":"c.json"}}}`,
		"c.json":           `{"$id":"https://x.example/c.json","type":"string"}`,
		".git/broken.json": `{`,
	})
	require.NoError(t, err)
	require.Equal(t, "1 protocol, 1 message, 1 schema, no access rules; enforce on 100 %", p.String())
	for text, want := range map[string]string{`["a",1,"x"]`: "", `["a","x","x"]`: "schema_invalid", `["a",1,1]`: "schema_invalid"} {
		require.Equal(t, want, p.Check(&Sender{}, wire.Message{Opcode: wire.OpText, Payload: []byte(text)}, today).Refused, text)
	}
}

func TestTheProofThatRulesOnlyWidenIsOne(t *testing.T) {
	t.Parallel()
	proved := 0
	rapid.Check(t, func(t *rapid.T) {
		some := func(label string, from ...string) []string {
			list := rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, 2, rapid.ID).Draw(t, label)
			if len(list) == 0 {
				return nil
			}
			return list
		}
		draw := func() *rule {
			types := some("types", "a", "b", "*")
			if types == nil {
				types = []string{"a"}
			}
			return &rule{allow: rapid.Bool().Draw(t, "allow"), types: types, scopes: some("scopes", "r", "w"), tiers: some("tiers", "free", "pro"), subjects: some("subjects", "s*", "sam")}
		}
		var before, after Policy
		before.hasAccess, after.hasAccess = true, true
		for range rapid.IntRange(0, 4).Draw(t, "rules") {
			before.rules = append(before.rules, draw())
		}
		after.rules = slices.Clone(before.rules)
		for range rapid.IntRange(0, 2).Draw(t, "edits") {
			i := rapid.IntRange(0, len(after.rules)).Draw(t, "at")
			if i < len(after.rules) && rapid.Bool().Draw(t, "drop") {
				after.rules = slices.Delete(after.rules, i, i+1)
			} else {
				after.rules = slices.Insert(after.rules, i, draw())
			}
		}
		if !widens(before.rules, after.rules) {
			return
		}
		proved++
		for _, kind := range []string{"a", "b", "c"} {
			for _, scopes := range []auth.Set{"", "r", "w", auth.NewSet("r", "w")} {
				for _, tier := range []string{"", "free", "pro"} {
					for _, subject := range []string{"sam", "sue", "bob"} {
						from := Sender{Identity: auth.Identity{Subject: subject, Tier: tier, Scopes: scopes}}
						if before.allowed(before.rules, &from, []byte(kind), false) {
							require.True(t, after.allowed(after.rules, &from, []byte(kind), false), "%q to %s", kind, witness{from: from}.who())
						}
					}
				}
			}
		}
	})
	require.NotZero(t, proved)
}

// FuzzLoad takes any manifest and any schema: they give a policy or faults, and the policy takes any message.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"post.v1.json", "typing.json", "kick.json"} {
		manifest, err := os.ReadFile("testdata/chat/content.yaml")
		require.NoError(f, err)
		schema, err := os.ReadFile(filepath.Join("testdata/chat", name))
		require.NoError(f, err)
		f.Add(string(manifest), string(schema), messageSeeds[0])
		f.Add(shortest, string(schema), messageSeeds[1])
	}
	f.Add(shortest, `{"$ref":"a.json#/x"}`, `{}`)
	f.Add(shortest, `{"$schema":"a.json"}`, `{}`)
	f.Add(shortest, `{"$dynamicRef":"#a","$dynamicAnchor":"a"}`, `{}`)
	f.Fuzz(func(t *testing.T, manifest, schema, message string) {
		p, err := loadMap(map[string]string{"content.yaml": manifest, "a.json": schema})
		if err != nil {
			return
		}
		for _, subprotocol := range []string{"", "chat.v1", "events.v1"} {
			for _, op := range []wire.Opcode{wire.OpText, wire.OpBinary} {
				p.Check(&Sender{Subprotocol: subprotocol}, wire.Message{Opcode: op, Payload: []byte(message)}, today)
			}
		}
		Compare(p, p, today)
	})
}
