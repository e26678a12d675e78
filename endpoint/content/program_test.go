package content

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// compileText compiles one schema, as the files of a directory are.
func compileText(t require.TestingT, text string) (*schema, error) {
	var faults Faults
	s := newSchemas(fstest.MapFS{"schema.json": {Data: []byte(text)}}, "dir", &faults)
	s.readAll("")
	done := s.compile("schema.json")
	if err := faults.err(); err != nil {
		return nil, err
	}
	require.NotNil(t, done)
	return done, nil
}

// oracle is what the library says of a message.
func oracle(t require.TestingT, s *schema, message []byte) bool {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(message))
	require.NoError(t, err, "the library cannot read what parse accepts")
	return s.full.Validate(v) == nil
}

func TestAProgramSaysWhatTheLibrarySays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		schema        string
		good, bad     []string
		notAsAProgram bool
	}{
		"a type": {schema: `{"type":"string"}`, good: []string{`"a"`}, bad: []string{`1`, `null`, `[]`}},
		"an integer may have a fraction of zero": {schema: `{"type":"integer"}`, good: []string{`1`, `-0`, `1.0`, `1e3`, `150e-1`, `123456789012345678901234567890`},
			bad: []string{`1.5`, `15e-1`, `1e-3`, `"1"`}},
		"several types":     {schema: `{"type":["integer","null"]}`, good: []string{`1`, `null`, `2.0`}, bad: []string{`1.5`, `true`}},
		"number or integer": {schema: `{"type":["number","integer"]}`, good: []string{`1.5`}, bad: []string{`"x"`}},
		"bounds": {schema: `{"minimum":-2,"exclusiveMaximum":10.5}`, good: []string{`-2`, `-2.0`, `10.4`, `10`, `"x"`},
			bad: []string{`-3`, `10.5`, `105e-1`, `11`, `1e300`}},
		"multiples":          {schema: `{"multipleOf":0.01}`, good: []string{`1.23`, `5`, `0`}, bad: []string{`1.234`}},
		"multiples of whole": {schema: `{"multipleOf":3}`, good: []string{`9`, `-3`, `0`, `9.0`}, bad: []string{`10`, `9.5`}},
		"length in characters": {schema: `{"minLength":2,"maxLength":3}`, good: []string{`"äö"`, `"\u00e4😀a"`, `"\ud83d\ude00x"`, `5`},
			bad: []string{`"ä"`, `"\u00e4"`, `"abcd"`, `"\ud83d\ude00"`}},
		"a pattern sees no escapes": {schema: `{"pattern":"^a\"\\n$"}`, good: []string{`"a\"\n"`, `"\u0061\u0022\u000a"`}, bad: []string{`"a"`}},
		"required and properties": {schema: `{"type":"object","required":["a","b"],"properties":{"a":{"type":"string"}}}`,
			good: []string{`{"a":"x","b":1}`, `{"\u0061":"x","b":null,"c":1}`}, bad: []string{`{"a":"x"}`, `{"a":1,"b":1}`, `[]`}},
		"nothing additional": {schema: `{"properties":{"a":true},"required":["r"],"patternProperties":{"^x-":{"type":"number"}},"additionalProperties":false}`,
			good: []string{}, bad: []string{`{"r":1}`, `{"a":1,"r":1}`, `{"x-a":"s"}`}},
		"additional of a kind": {schema: `{"properties":{"a":true},"additionalProperties":{"type":"number"}}`, good: []string{`{"a":"s","b":1}`}, bad: []string{`{"b":"s"}`}},
		"many properties": {schema: `{"properties":{"a":{"const":1},"b":{},"c":{},"d":{},"e":{},"f":{},"g":{},"h":{},"i":{},"j":{"const":"j"}},"additionalProperties":false}`,
			good: []string{`{"a":1.0,"j":"j"}`}, bad: []string{`{"j":1}`, `{"k":1}`}},
		"constants of every kind": {schema: `{"enum":[1,"a<\n",null,{"x":[1,{"y":2}]},[],false]}`,
			good: []string{`1`, `1.0`, `10e-1`, `"a<\n"`, `"a\u003c\u000a"`, `null`, `{"x":[1.0,{"y":2}]}`, `[]`, `false`},
			bad:  []string{`true`, `"a"`, `{"x":[1,{"z":2}]}`, `{"x":[1]}`, `[1]`, `{}`}},
		"const and enum together":  {schema: `{"const":1,"enum":[1,2]}`, good: []string{`1`}, bad: []string{`2`}},
		"items, few and distinct":  {schema: `{"items":{"type":"integer"},"minItems":1,"maxItems":3,"uniqueItems":true}`, good: []string{`[1,2,3]`, `{}`}, bad: []string{`[]`, `[1,1.0]`, `["a"]`, `[1,2,3,4]`}},
		"distinct deep values":     {schema: `{"uniqueItems":true}`, good: []string{`[{"a":1},{"a":2}]`, `[[1],[2],1,"1"]`}, bad: []string{`[{"a":1,"b":2},{"b":2,"a":1.0}]`}},
		"a tuple":                  {schema: `{"prefixItems":[{"const":"post"},{"type":"object"}],"items":false}`, good: []string{`["post",{}]`, `["post"]`, `[]`}, bad: []string{`["get"]`, `["post",1]`, `["post",{},1]`}},
		"contains":                 {schema: `{"contains":{"const":1},"minContains":2,"maxContains":3}`, good: []string{`[1,1]`, `[1,2,1,1]`}, bad: []string{`[1]`, `[1,1,1,1]`}},
		"contains none":            {schema: `{"contains":{"const":1},"minContains":0}`, good: []string{`[]`, `[2]`}},
		"one of":                   {schema: `{"oneOf":[{"type":"integer"},{"minimum":3}]}`, good: []string{`1`, `3.5`, `"x"`}, bad: []string{`3`, `2.5`}},
		"any of and not":           {schema: `{"anyOf":[{"type":"integer"},{"type":"string"}],"not":{"const":1}}`, good: []string{`2`, `"1"`}, bad: []string{`1`, `null`}},
		"a condition":              {schema: `{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]}}`, good: []string{`{"a":1,"b":1}`, `{"c":1}`}, bad: []string{`{"a":1}`, `{}`}},
		"dependents":               {schema: `{"dependentRequired":{"a":["b"]},"dependentSchemas":{"c":{"minProperties":2}}}`, good: []string{`{"a":1,"b":1}`, `{"c":1,"d":1}`, `{}`}, bad: []string{`{"a":1}`, `{"c":1}`}},
		"names":                    {schema: `{"propertyNames":{"maxLength":2}}`, good: []string{`{"ab":1}`}, bad: []string{`{"abc":1}`}},
		"a tree":                   {schema: `{"$defs":{"t":{"properties":{"l":{"$ref":"#/$defs/t"},"v":{"type":"integer"}},"additionalProperties":false}},"$ref":"#/$defs/t"}`, good: []string{`{"l":{"l":{"v":1}}}`}, bad: []string{`{"l":{"l":{"v":"1"}}}`, `{"x":1}`}},
		"a reference with company": {schema: `{"$defs":{"s":{"minimum":1}},"$ref":"#/$defs/s","maximum":3}`, good: []string{`2`}, bad: []string{`0`, `4`}},
		"draft 7, where a reference stands alone": {schema: `{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"s":{"minimum":1}},"properties":{"a":{"$ref":"#/definitions/s","maximum":3}},"items":{"type":"string"}}`,
			good: []string{`{"a":4}`, `["x"]`}, bad: []string{`{"a":0}`, `[1]`}},
		"a format of draft 7 is for the library":    {schema: `{"$schema":"http://json-schema.org/draft-07/schema#","format":"ipv4"}`, good: []string{`"1.2.3.4"`}, bad: []string{`"x"`}, notAsAProgram: true},
		"what was not evaluated is for the library": {schema: `{"properties":{"a":true},"unevaluatedProperties":false}`, good: []string{`{"a":1}`}, bad: []string{`{"b":1}`}, notAsAProgram: true},
		"a format of 2020-12 is a comment":          {schema: `{"format":"ipv4"}`, good: []string{`"x"`}},
		"never":                                     {schema: `false`, bad: []string{`1`}},
		"always":                                    {schema: `{}`, good: []string{`1`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := compileText(t, c.schema)
			require.NoError(t, err)
			require.Equal(t, c.notAsAProgram, s.program == nil)
			for want, messages := range map[bool][]string{true: c.good, false: c.bad} {
				for _, m := range messages {
					var d document
					require.True(t, d.parse([]byte(m), 32), m)
					require.Equal(t, want, oracle(t, s, []byte(m)), "the library about %s", m)
					require.Equal(t, want, s.valid(&d, 100_000), m)
				}
			}
		})
	}
}

// names are few, so that schemas and messages meet.
var names = rapid.SampledFrom([]string{"a", "b", "c", "ab"})

func drawSchema(t *rapid.T, depth int) any {
	if depth == 0 || rapid.IntRange(0, 9).Draw(t, "leaf") == 0 {
		return rapid.Bool().Draw(t, "bool")
	}
	sub := func() any { return drawSchema(t, depth-1) }
	s := map[string]any{}
	for range rapid.IntRange(1, 3).Draw(t, "keywords") {
		key := rapid.SampledFrom([]string{
			"type", "properties", "required", "additionalProperties", "enum", "const", "minLength", "maxLength", "pattern",
			"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "items", "prefixItems", "contains",
			"minContains", "maxContains", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties",
			"patternProperties", "propertyNames", "dependentRequired", "dependentSchemas", "allOf", "anyOf", "oneOf", "not",
			"if", "then", "else", "$ref",
		}).Draw(t, "keyword")
		switch key {
		case "type":
			s[key] = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"null", "boolean", "number", "integer", "string", "array", "object"}), 1, 4, rapid.ID).Draw(t, key)
		case "properties", "dependentSchemas":
			m := map[string]any{}
			for range rapid.IntRange(1, 3).Draw(t, "n") {
				m[names.Draw(t, "name")] = sub()
			}
			s[key] = m
		case "patternProperties":
			s[key] = map[string]any{rapid.SampledFrom([]string{"^a", "b$", "."}).Draw(t, "pattern"): sub()}
		case "dependentRequired":
			s[key] = map[string]any{names.Draw(t, "name"): []string{names.Draw(t, "name")}}
		case "required":
			s[key] = rapid.SliceOfNDistinct(names, 1, 3, rapid.ID).Draw(t, key)
		case "enum":
			s[key] = []any{drawValue(t, 2), drawValue(t, 1)}
		case "const":
			s[key] = drawValue(t, 2)
		case "pattern":
			s[key] = rapid.SampledFrom([]string{"^a", "b$", "^$", "ä"}).Draw(t, key)
		case "multipleOf":
			s[key] = rapid.SampledFrom([]json.Number{"1", "2", "0.5"}).Draw(t, key)
		case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
			s[key] = drawNumber(t)
		case "minLength", "maxLength", "minContains", "maxContains", "minItems", "maxItems", "minProperties", "maxProperties":
			s[key] = rapid.IntRange(0, 3).Draw(t, key)
		case "uniqueItems":
			s[key] = true
		case "prefixItems", "allOf", "anyOf", "oneOf":
			s[key] = []any{sub(), sub()}
		case "$ref":
			s["properties"] = map[string]any{names.Draw(t, "name"): map[string]any{"$ref": "#"}}
		default:
			s[key] = sub()
		}
	}
	return s
}

func drawNumber(t *rapid.T) json.Number {
	return rapid.SampledFrom([]json.Number{"0", "1", "2", "3", "-1", "1.0", "2.5", "1e1", "0.10", "25e-1", "9007199254740993"}).Draw(t, "number")
}

func drawValue(t *rapid.T, depth int) any {
	switch rapid.IntRange(0, 6).Draw(t, "value") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return drawNumber(t)
	case 3, 4:
		if depth > 0 {
			m := map[string]any{}
			for range rapid.IntRange(0, 3).Draw(t, "members") {
				m[names.Draw(t, "name")] = drawValue(t, depth-1)
			}
			return m
		}
	case 5:
		if depth > 0 {
			list := []any{}
			for range rapid.IntRange(0, 3).Draw(t, "items") {
				list = append(list, drawValue(t, depth-1))
			}
			return list
		}
	}
	return rapid.SampledFrom([]string{"", "a", "b", "ab", "ä", "<a>", "\n"}).Draw(t, "string")
}

func TestAnyProgramSaysWhatTheLibrarySays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.Marshal(drawSchema(t, 3))
		require.NoError(t, err)
		s, err := compileText(t, string(text))
		if err != nil {
			t.Skip("not a schema that is loaded: ", err)
		}
		require.NotNil(t, s.program)
		for range 8 {
			message, err := json.Marshal(drawValue(t, 3))
			require.NoError(t, err)
			var d document
			require.True(t, d.parse(message, 32))
			require.Equal(t, oracle(t, s, message), s.valid(&d, 100_000), "%s about %s", text, message)
		}
	})
}

// schemaSeeds are the schemas that fuzzing holds messages against.
func schemaSeeds(f testing.TB) (all []*schema) {
	files, err := filepath.Glob("testdata/chat/*.json")
	require.NoError(f, err)
	require.NotEmpty(f, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		s, err := compileText(f, string(text))
		require.NoError(f, err)
		all = append(all, s)
	}
	return all
}

func FuzzProgram(f *testing.F) {
	schemas := schemaSeeds(f)
	for _, seed := range messageSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		var d document
		if !d.parse(message, 32) {
			return
		}
		require.True(t, json.Valid(message))
		require.LessOrEqual(t, len(d.tokens), len(message))
		for _, s := range schemas {
			require.Equal(t, oracle(t, s, message), s.valid(&d, 1_000_000), s.file)
		}
	})
}

var messageSeeds = []string{
	`{"type":"post","v":1,"room":"lobby","text":"hello","tags":["a","b"],"at":{"x":1.5,"y":-2e1}}`,
	`{"type":"post","v":2,"room":"lob\u0062y","text":"\ud83d\ude00","extra":null}`,
	`["typing",{"room":"lobby","on":true}]`, `{"type":"ping"}`, `{"type":"post","Type":"kick"}`, `{"type":1,"type":2}`,
	`{"a":{"a":{"a":[[[[]]]]}}}`, `1e400`, `1e401`, `-0.0`, `"\ud800"`, ` [ ] `, `{"":""}`, `{`, `{"a":1,}`, "\xff", `"\u0000"`,
}

func TestWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	deep := func(n int) string {
		return string(bytes.Repeat([]byte("["), n)) + string(bytes.Repeat([]byte("]"), n))
	}
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"the deepest that is allowed":      {deep(32), true},
		"deeper than that":                 {deep(33), false},
		"two members of one name":          {`{"a":1,"a":2}`, false},
		"the same, written differently":    {`{"a":1,"\u0061":2}`, false},
		"the same, among many":             {`{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1,"10":1,"11":1,"12":1,"13":1,"14":1,"15":1,"16":1,"17":1,"1":2}`, false},
		"names that differ":                {`{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1,"10":1,"11":1,"12":1,"13":1,"14":1,"15":1,"16":1,"17":1,"18":2}`, true},
		"half of a surrogate pair":         {`"\ud83d"`, false},
		"halves in the wrong order":        {`"\ude00\ud83d"`, false},
		"bytes that are not UTF-8":         {"\"\xc3\x28\"", false},
		"a control character":              {"\"\x01\"", false},
		"a number that takes memory":       {`1e1000000`, false},
		"a number with too many digits":    {`1` + fmt.Sprintf("%070d", 0), false},
		"the largest double":               {`1.7976931348623157e308`, true},
		"a comma too many":                 {`[1,]`, false},
		"a comma before everything":        {`[,1]`, false},
		"an object that begins with comma": {`{,"a":1}`, false},
		"no colon":                         {`{"a" 1}`, false},
		"two values":                       {`1 2`, false},
		"nothing":                          {``, false},
		"only space":                       {` `, false},
		"a leading zero":                   {`01`, false},
		"a plus":                           {`+1`, false},
		"NaN":                              {`NaN`, false},
		"a word cut short":                 {`tru`, false},
		"a byte order mark":                {"\ufeff1", false},
		"an unknown escape":                {`"\x41"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d document
			require.Equal(t, c.ok, d.parse([]byte(c.text), 32))
		})
	}
}

func TestStepsBoundWhatAMessageCosts(t *testing.T) {
	t.Parallel()
	// Each level is validated twice by each of two branches: 2^n without a budget.
	s, err := compileText(t, `{"anyOf":[{"properties":{"a":{"$ref":"#"}},"required":["no"]},{"properties":{"a":{"$ref":"#"}},"required":["no"]},{"type":"integer"}]}`)
	require.NoError(t, err)
	text := []byte("1")
	for range 31 {
		text = append(append([]byte(`{"a":`), text...), '}')
	}
	var d document
	require.True(t, d.parse(text, 32))
	require.False(t, s.valid(&d, 100_000))

	// Exact arithmetic with exponents costs more than other steps.
	s, err = compileText(t, `{"uniqueItems":true}`)
	require.NoError(t, err)
	text = []byte("[0")
	for i := range 100 {
		text = fmt.Appendf(text, ",%de-400", i+1)
	}
	require.True(t, d.parse(append(text, ']'), 32))
	require.False(t, s.valid(&d, 100_000))
	require.True(t, s.valid(&d, 10_000_000))
	s, err = compileText(t, `{"$schema":"http://json-schema.org/draft-07/schema#","format":"ipv4"}`)
	require.NoError(t, err)
	require.False(t, s.valid(&d, 100_000), "the library has no budget, so it does not get such a message")

	// Negation makes no message of what was not looked at to the end.
	s, err = compileText(t, `{"not":{"uniqueItems":true}}`)
	require.NoError(t, err)
	require.True(t, d.parse([]byte(`[1,2,3,1]`), 32))
	require.True(t, s.valid(&d, 100))
	require.False(t, s.valid(&d, 3))
}
