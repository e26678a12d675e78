package content

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func differences(t require.TestingT, before, after string) (list []string) {
	was, err := compileText(t, before)
	require.NoError(t, err)
	is, err := compileText(t, after)
	require.NoError(t, err)
	d := difference{seen: map[pair]bool{}, found: func(location string, effect Effect, what string) {
		list = append(list, fmt.Sprintf("%s %s: %s", fragment(location), effect, what))
	}}
	d.compare([]*jsonSchema{was.full}, is.full)
	return list
}

func TestWhatASchemaRefusesThatWasAccepted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, after string
		want          []string
	}{
		"nothing": {`{"required":["a"]}`, `{"title":"x","required":["a"]}`, nil},
		"a member must be there": {`{"type":"object","required":["a"]}`, `{"type":"object","required":["a","b"]}`,
			[]string{`/required breaks: "b" must be there now`}},
		"a type is narrower": {`{"properties":{"a":{"type":["string","number"]}}}`, `{"properties":{"a":{"type":"integer"}}}`,
			[]string{"/properties/a/type breaks: values of type number are not accepted any more", "/properties/a/type breaks: values of type string are not accepted any more"}},
		"a type is wider":              {`{"type":"integer"}`, `{"type":"number"}`, nil},
		"a value of an enum is gone":   {`{"enum":[1,2,"x"]}`, `{"enum":[2.0,"x"]}`, []string{" breaks: the value 1 is not accepted any more"}},
		"an enum has more":             {`{"enum":[1]}`, `{"enum":[1,2]}`, nil},
		"an enum becomes a type":       {`{"enum":[1,2]}`, `{"type":"integer","minimum":1}`, nil},
		"anything becomes an enum":     {`{"type":"string"}`, `{"enum":["a"]}`, []string{" breaks: only listed values are accepted now"}},
		"a range is narrower":          {`{"type":"number","minimum":1,"maximum":5}`, `{"type":"number","exclusiveMinimum":1,"maximum":4}`, []string{"/exclusiveMinimum breaks: fewer numbers are in range than before", "/maximum breaks: fewer numbers are in range than before"}},
		"the same range of integers":   {`{"type":"integer","minimum":1}`, `{"type":"integer","exclusiveMinimum":0}`, nil},
		"a shorter text":               {`{"type":"string","maxLength":9}`, `{"type":"string","maxLength":8,"minLength":1}`, []string{"/minLength breaks: raised from 0 to 1", "/maxLength breaks: lowered from 9 to 8"}},
		"a limit where there was none": {`{"type":"array"}`, `{"type":"array","maxItems":3}`, []string{"/maxItems breaks: there was no limit, and now it is 3"}},
		"a limit of another type":      {`{"type":"string"}`, `{"type":"string","minimum":3,"required":["a"]}`, nil},
		"a pattern that refuses":       {`{"type":"string","pattern":"^[a-z]+$"}`, `{"type":"string","pattern":"^b+$"}`, []string{`/pattern breaks: "a" matched before and does not match now`}},
		"a pattern that may refuse":    {`{"type":"string","pattern":"^q[a-z]+$"}`, `{"type":"string","pattern":"^qu[a-z]*$"}`, []string{"/pattern undecided: the pattern is another"}},
		"a member that is not allowed": {`{"type":"object","properties":{"a":{},"b":{}},"additionalProperties":false}`, `{"type":"object","properties":{"a":{}},"additionalProperties":false}`,
			[]string{`/additionalProperties breaks: the member "b" is not accepted any more`}},
		"nothing additional any more": {`{"type":"object","properties":{"a":{}}}`, `{"type":"object","properties":{"a":{}},"additionalProperties":false}`,
			[]string{"/additionalProperties breaks: members that have no schema are not accepted any more"}},
		"a new member that may be anything": {`{"type":"object","additionalProperties":false}`, `{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}`, nil},
		"a schema for a member that was free": {`{"type":"object"}`, `{"type":"object","properties":{"a":{"type":"string","maxLength":3}}}`,
			[]string{"/properties/a/type breaks: values of type null are not accepted any more", "/properties/a/type breaks: values of type boolean are not accepted any more",
				"/properties/a/type breaks: values of type integer are not accepted any more", "/properties/a/type breaks: values of type number are not accepted any more",
				"/properties/a/type breaks: values of type array are not accepted any more", "/properties/a/type breaks: values of type object are not accepted any more",
				"/properties/a/maxLength breaks: there was no limit, and now it is 3"}},
		"one alternative less":           {`{"anyOf":[{"type":"string"},{"type":"number"}]}`, `{"anyOf":[{"type":"string"}]}`, []string{"/anyOf undecided: no single alternative accepts all that was accepted"}},
		"one alternative more":           {`{"anyOf":[{"type":"string"},{"type":"number"}]}`, `{"anyOf":[{"type":"string"},{"type":["number","null"]},{"type":"array"}]}`, nil},
		"a reference to the same":        {`{"$defs":{"a":{"type":"string"}},"properties":{"x":{"$ref":"#/$defs/a"}}}`, `{"properties":{"x":{"type":"string"}}}`, nil},
		"recursion, the same":            {`{"type":"object","properties":{"n":{"$ref":"#"}}}`, `{"type":"object","properties":{"n":{"$ref":"#"},"m":true}}`, nil},
		"recursion, narrower":            {`{"type":"object","properties":{"n":{"$ref":"#"},"v":{}}}`, `{"type":"object","properties":{"n":{"$ref":"#"},"v":{"not":{"const":1}}}}`, []string{"/properties/v/not undecided: it has changed, and what it accepts was not compared"}},
		"a condition makes it uncertain": {`{"type":"object","not":{"required":["x"]}}`, `{"type":"object","not":{"required":["x"]},"required":["a"]}`, []string{`/required undecided: "a" must be there now`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ElementsMatch(t, c.want, differences(t, c.before, c.after))
		})
	}
}

// change alters one place of a schema.
func change(t *rapid.T, doc any) any {
	switch v := doc.(type) {
	case map[string]any:
		if len(v) == 0 {
			return v
		}
		key := rapid.SampledFrom(sortedKeys(v)).Draw(t, "key")
		switch rapid.IntRange(0, 3).Draw(t, "edit") {
		case 0:
			delete(v, key)
		case 1:
			if sub, ok := drawSchema(t, 1).(map[string]any); ok {
				for k, x := range sub {
					v[k] = x
				}
			}
		default:
			v[key] = change(t, v[key])
		}
	case []any:
		if len(v) > 1 && rapid.Bool().Draw(t, "drop") {
			return v[1:]
		}
		if len(v) > 0 {
			v[0] = change(t, v[0])
		}
	case float64:
		return v + float64(rapid.IntRange(-1, 1).Draw(t, "delta"))
	case bool:
		return !v
	}
	return doc
}

// TestWhatPassesTheGateIsAccepted: where nothing is found, every message that the old schema accepts is accepted by the new one.
func TestWhatPassesTheGateIsAccepted(t *testing.T) {
	t.Parallel()
	passed, changed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		before, err := json.Marshal(drawSchema(t, 3))
		require.NoError(t, err)
		var doc any
		require.NoError(t, json.Unmarshal(before, &doc))
		for range rapid.IntRange(1, 2).Draw(t, "edits") {
			doc = change(t, doc)
		}
		after, err := json.Marshal(doc)
		require.NoError(t, err)
		was, err := compileText(t, string(before))
		if err != nil {
			t.Skip(err)
		}
		is, err := compileText(t, string(after))
		if err != nil {
			t.Skip(err)
		}
		if len(differences(t, string(before), string(after))) > 0 {
			return
		}
		passed++
		if !reflect.DeepEqual(before, after) {
			changed++
		}
		for range 10 {
			message, err := json.Marshal(drawValue(t, 3))
			require.NoError(t, err)
			if oracle(t, was, message) {
				require.True(t, oracle(t, is, message), "%s\nto %s\nrefuses %s", before, after, message)
			}
		}
	})
	require.NotZero(t, changed, "of %d", passed)
}
