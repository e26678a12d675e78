package fields_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/fields"
)

// tokens makes a format of words that are variables where they begin with $: a, b and c are fields, others nobody wants;
// $t is a time of two words, $l a list, $p a path, and all three are field c.
func tokens(format ...string) (list []fields.Token) {
	column := 1
	for _, word := range format {
		name, variable := strings.CutPrefix(word, "$")
		if !variable {
			list = append(list, fields.Token{Literal: word})
		} else {
			token := fields.Token{Name: name, At: fmt.Sprintf("column %d", column), Field: fields.None}
			switch name {
			case "a", "b", "c":
				token.Field = fields.ID(name[0] - 'a')
			case "t":
				token.Field, token.Words = 2, 2
			case "l":
				token.Field, token.List = 2, true
			case "p":
				token.Field, token.Begins = 2, "/"
			}
			list = append(list, token)
		}
		column += len(word)
	}
	return list
}

func TestATemplateFindsValuesBetweenItsLiterals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		style  fields.Style
		format []string
		line   string
		want   [3]string
	}{
		"up to the next literal":             {fields.Plain, []string{"$a", " ", "$b"}, "x y z", [3]string{"x", "y z"}},
		"between brackets and quotes":        {fields.Plain, []string{"[", "$a", `] "`, "$b", `"`}, `[x y] "z"`, [3]string{"x y", "z"}},
		"an unwanted variable":               {fields.Plain, []string{"$a", " ", "$x", " ", "$b"}, "1 2 3", [3]string{"1", "3"}},
		"unwanted neighbours":                {fields.Plain, []string{"$a", " ", "$x", "$y", " ", "$b"}, "1 23 4", [3]string{"1", "4"}},
		"literals that follow one another":   {fields.Plain, []string{"<", "<", "$a", ">", ">", "$b"}, "<<1>>2", [3]string{"1", "2"}},
		"a dash, and nothing":                {fields.Plain, []string{"$a", " ", "$b", " ", "$c"}, "-  z", [3]string{"", "", "z"}},
		"the last one of a repeated field":   {fields.Plain, []string{"$a", " ", "$a"}, "1 2", [3]string{"2"}},
		"a literal that begins twice":        {fields.Plain, []string{"$a", "--x", "$b"}, "1--y--x2", [3]string{"1--y", "2"}},
		"a quote in a plain value":           {fields.Plain, []string{`"`, "$a", `" "`, "$b", `"`}, `"x"y" "z"w"`, [3]string{`x"y`, `z"w`}},
		"an escaped quote":                   {fields.Backslash, []string{`"`, "$a", `" "`, "$b", `"`}, `"x\" \"y" "z\\"`, [3]string{`x" "y`, `z\`}},
		"escapes of JSON":                    {fields.Backslash, []string{"$a", " ", "$b"}, `\u00e9\t \ud83d\ude00`, [3]string{"é\t", "😀"}},
		"escapes of nginx":                   {fields.Backslash, []string{`"`, "$a", `"`}, `"a\x22\xC3\xA9"`, [3]string{`a"é`}},
		"what is no escape":                  {fields.Backslash, []string{"$a", " ", "$b"}, `\q\x41 \u12`, [3]string{`\qA`, `\u12`}},
		"escapes of HAProxy":                 {fields.Hash, []string{`"`, "$a", `" `, "$b"}, `"a#22#C3#A9" #zz#`, [3]string{`a"é`, "#zz#"}},
		"a time and its zone":                {fields.Plain, []string{"$t", " ", "$a"}, "12:00 +0000 x", [3]string{"x", "", "12:00 +0000"}},
		"a dash for a time and its zone":     {fields.Plain, []string{"$t", " ", "$a"}, "- x", [3]string{"x", "", ""}},
		"a time in brackets":                 {fields.Plain, []string{"[", "$t", "] ", "$a"}, "[12:00] x", [3]string{"x", "", "12:00"}},
		"a list":                             {fields.Plain, []string{"$l", " ", "$a"}, "1, 2 : 3 4", [3]string{"4", "", "1, 2 : 3"}},
		"a list before a comma":              {fields.Plain, []string{"$l", ",", "$a"}, "1, 2,4", [3]string{"4", "", "1, 2"}},
		"a path behind a host":               {fields.Plain, []string{"$a", "$p", " ", "$b"}, "h/x/y z", [3]string{"h", "z", "/x/y"}},
		"bytes that are no UTF-8":            {fields.Plain, []string{"$a", " ", "$b"}, "\xff x", [3]string{"\uFFFD", "x"}},
		"bytes that are UTF-8 only together": {fields.Plain, []string{"$a", " ", "$b"}, "\xcd \x80", [3]string{"\uFFFD", "\uFFFD"}},
		"a last literal that stands before":  {fields.Plain, []string{"$a", "."}, "1.2.3.", [3]string{"1.2.3"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			template, err := fields.NewTemplate(tokens(c.format...), c.style)
			require.NoError(t, err)
			l := fields.NewLine([]string{"a", "b", "c"})
			require.NoError(t, template.Scan([]byte(c.line), l))
			l.Keep()
			for f, want := range c.want {
				require.Equal(t, want, l.Value(fields.ID(f)), "field %d", f)
			}
		})
	}
}

func TestALineThatDoesNotFollowATemplateSaysAtWhichVariable(t *testing.T) {
	t.Parallel()
	template, err := fields.NewTemplate(tokens("<", "$a", `> "`, "$b", `" `, "$x", `;"`, "$c", `"`), fields.Backslash)
	require.NoError(t, err)
	for line, want := range map[string]string{
		``:                          "other format",
		`x`:                         "other format",
		`<1`:                        "other format: a",
		`<1> "2`:                    "other format: b",
		`<1> "2\" `:                 "other format: b",
		`<1> "2"3" 4;"5"`:           "other format: b",
		`<1> "2" 3`:                 "other format: x",
		`<1> "2" 3;"4`:              "other format: c",
		`<1> "2" 3;"4" `:            "other format",
		`<1> "2" 3;"4"` + "\x00":    "other format",
		`<1> "2" 3;` + `"4" "more"`: "other format",
	} {
		err := template.Scan([]byte(line), fields.NewLine([]string{"a", "b", "c"}))
		require.EqualError(t, err, want, line)
		require.Equal(t, source.OtherFormat, source.ReasonOf(err))
	}
}

func TestATemplateWhoseValuesCannotBeToldApartIsRefused(t *testing.T) {
	t.Parallel()
	_, err := fields.NewTemplate(tokens("$a", "$x", " ", "$y", "$b"), fields.Plain)
	require.EqualError(t, err, "column 3: nothing stands between a and x, so their values cannot be told apart; put a space "+
		"or a quote there\ncolumn 8: nothing stands between y and b, so their values cannot be told apart; put a space or a "+
		"quote there")
	_, err = fields.NewTemplate(tokens("status"), fields.Plain)
	require.EqualError(t, err, "it has no variable, so every line would be the same")
}

func TestATemplateAllocatesNothing(t *testing.T) {
	template, err := fields.NewTemplate(tokens("<", "$a", `> "`, "$b", `" `, "$t", " ", "$l"), fields.Backslash)
	require.NoError(t, err)
	l := fields.NewLine([]string{"a", "b", "c"})
	good, bad := []byte(`<1> "\"2" 3 4 5`), []byte(`<1> "\"2`)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if template.Scan(good, l) != nil || template.Scan(bad, l) == nil {
			t.Error("another result than before")
		}
	}))
}

func FuzzTemplate(f *testing.F) {
	f.Add([]byte(`<1> "\"2" 3 4 5, 6`), uint8(1))
	f.Add([]byte(`<-> "#222" - x`), uint8(2))
	f.Add([]byte(`<\x> "\u1" 3 4 5`), uint8(0))
	f.Add([]byte("<> \"0\xcd\"    \x80"), uint8(2))
	f.Fuzz(func(t *testing.T, line []byte, style uint8) {
		template, err := fields.NewTemplate(tokens("<", "$a", `> "`, "$b", `" `, "$t", " ", "$x", " ", "$l"), fields.Style(style%3))
		require.NoError(t, err)
		l := fields.NewLine([]string{"a", "b", "c"})
		if template.Scan(line, l) != nil {
			return
		}
		l.Keep()
		for f := range fields.ID(3) {
			require.LessOrEqual(t, len(l.Value(f)), 3*len(line))
			require.Equal(t, source.Text(l.Value(f)), l.Value(f), "a text that events cannot carry")
		}
	})
}
