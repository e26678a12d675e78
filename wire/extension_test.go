package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

func TestExtensions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lines []string
		want  string // as they are written again, or "" where they are malformed
	}{
		"one":                           {[]string{"a"}, "a"},
		"several in several lines":      {[]string{"a; b, c", " d ;e = f"}, "a; b|c|d; e=f"},
		"the same one again":            {[]string{"a; b, a"}, "a; b|a"},
		"parameters and a value":        {[]string{"a;b=1;c"}, "a; b=1; c"},
		"a value in quotes":             {[]string{`a; b="10"`}, "a; b=10"},
		"a value in quotes, escaped":    {[]string{`a; b="\1\0"`}, "a; b=10"},
		"empty elements":                {[]string{",, a ,,b,"}, "a|b"},
		"a comma in quotes":             {lines: []string{`a; b="1,2"`}},
		"a semicolon in quotes":         {lines: []string{`a; b="1;2"`}},
		"a space in quotes":             {lines: []string{`a; b=" 1"`}},
		"an empty string":               {lines: []string{`a; b=""`}},
		"a quote that does not end":     {lines: []string{`a; b="1`}},
		"an escape of nothing":          {lines: []string{`a; b="1\`}},
		"text behind a quote":           {lines: []string{`a; b="1"2`}},
		"quotes around a name":          {lines: []string{`"a"`}},
		"nothing":                       {lines: []string{""}},
		"only commas":                   {lines: []string{" , ,"}},
		"a semicolon without parameter": {lines: []string{"a;"}},
		"an equals sign without value":  {lines: []string{"a; b="}},
		"an equals sign without name":   {lines: []string{"a; =b"}},
		"a value of an extension":       {lines: []string{"a=b"}},
		"two names":                     {lines: []string{"a b"}},
		"a name that is no token":       {lines: []string{"a/b"}},
		"a byte beyond ASCII":           {lines: []string{"a; b=\xff"}},
		"too many":                      {lines: []string{tokens(33)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, err := wire.ParseExtensions(c.lines)
			if c.want == "" {
				require.ErrorIs(t, err, wire.MalformedExtensions)
				return
			}
			require.NoError(t, err)
			got := ""
			for i, e := range list {
				if i > 0 {
					got += "|"
				}
				got += e.String()
			}
			require.Equal(t, c.want, got)
		})
	}
	list, err := wire.ParseExtensions(nil)
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestChooseDeflate(t *testing.T) {
	t.Parallel()
	const declined = ""
	for name, c := range map[string]struct {
		offers string
		want   wire.Deflate
		answer string
	}{
		"no parameters":                           {offers: "permessage-deflate", answer: "permessage-deflate"},
		"what browsers send":                      {offers: "permessage-deflate; client_max_window_bits", answer: "permessage-deflate"},
		"server_no_context_takeover":              {offers: "permessage-deflate; server_no_context_takeover", answer: "permessage-deflate; server_no_context_takeover"},
		"client_no_context_takeover":              {offers: "permessage-deflate; client_no_context_takeover", answer: "permessage-deflate; client_no_context_takeover"},
		"server_max_window_bits":                  {offers: "permessage-deflate; server_max_window_bits=9", answer: "permessage-deflate; server_max_window_bits=9"},
		"server_max_window_bits in quotes":        {offers: `permessage-deflate; server_max_window_bits="9"`, answer: "permessage-deflate; server_max_window_bits=9"},
		"the largest window is answered too":      {offers: "permessage-deflate; server_max_window_bits=15", answer: "permessage-deflate; server_max_window_bits=15"},
		"client_max_window_bits with a value":     {offers: "permessage-deflate; client_max_window_bits=10", answer: "permessage-deflate; client_max_window_bits=10"},
		"the server wants a smaller window":       {offers: "permessage-deflate; client_max_window_bits; server_max_window_bits=12", want: wire.Deflate{ClientMaxWindowBits: 9, ServerMaxWindowBits: 10}, answer: "permessage-deflate; server_max_window_bits=10; client_max_window_bits=9"},
		"the client wants a smaller window":       {offers: "permessage-deflate; server_max_window_bits=9", want: wire.Deflate{ServerMaxWindowBits: 10}, answer: "permessage-deflate; server_max_window_bits=9"},
		"the client's window was not offered":     {offers: "permessage-deflate", want: wire.Deflate{ClientMaxWindowBits: 9}, answer: "permessage-deflate"},
		"the server wants no context":             {offers: "permessage-deflate", want: wire.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true}, answer: "permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
		"all four":                                {offers: "permessage-deflate; client_max_window_bits=8; server_max_window_bits=8; client_no_context_takeover; server_no_context_takeover", answer: "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8; client_max_window_bits=8"},
		"the first that is valid":                 {offers: "x, permessage-deflate; a, permessage-deflate; server_max_window_bits=7, permessage-deflate; server_no_context_takeover, permessage-deflate", answer: "permessage-deflate; server_no_context_takeover"},
		"another extension":                       {offers: "x-webkit-deflate-frame", answer: declined},
		"the name in another case":                {offers: "Permessage-Deflate", answer: declined},
		"an unknown parameter":                    {offers: "permessage-deflate; a", answer: declined},
		"a parameter in another case":             {offers: "permessage-deflate; Server_no_context_takeover", answer: declined},
		"a parameter twice":                       {offers: "permessage-deflate; server_no_context_takeover; server_no_context_takeover", answer: declined},
		"a window twice":                          {offers: "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", answer: declined},
		"server_no_context_takeover with a value": {offers: "permessage-deflate; server_no_context_takeover=1", answer: declined},
		"client_no_context_takeover with a value": {offers: "permessage-deflate; client_no_context_takeover=true", answer: declined},
		"server_max_window_bits without a value":  {offers: "permessage-deflate; server_max_window_bits", answer: declined},
		"a window of 7":                           {offers: "permessage-deflate; server_max_window_bits=7", answer: declined},
		"a window of 16":                          {offers: "permessage-deflate; client_max_window_bits=16", answer: declined},
		"a window with a zero in front":           {offers: "permessage-deflate; client_max_window_bits=09", answer: declined},
		"a window with a sign":                    {offers: "permessage-deflate; client_max_window_bits=+9", answer: declined},
		"a window that is no number":              {offers: "permessage-deflate; server_max_window_bits=ten", answer: declined},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			offers, err := wire.ParseExtensions([]string{c.offers})
			require.NoError(t, err)
			p, ok := wire.ChooseDeflate(offers, c.want)
			require.Equal(t, c.answer != declined, ok)
			if !ok {
				require.Zero(t, p)
				return
			}
			require.Equal(t, c.answer, p.Response().String())
			// The client takes what the server answers to it.
			agreed := wire.Agreement{Extensions: []wire.Extension{p.Response()}}
			accepted, ok, err := wire.AcceptDeflate(agreed, wire.Offer{Extensions: offers})
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, p, accepted)
		})
	}
}

func TestAcceptDeflate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		offers, answer string
		valid          bool
	}{
		"as offered":                                 {"permessage-deflate", "permessage-deflate", true},
		"more than was asked for":                    {"permessage-deflate", "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8", true},
		"a smaller window than was asked for":        {"permessage-deflate; server_max_window_bits=12", "permessage-deflate; server_max_window_bits=8", true},
		"the second of two offers":                   {"permessage-deflate; server_max_window_bits=9, permessage-deflate", "permessage-deflate", true},
		"a client's window that was offered":         {"permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=8", true},
		"the client may leave its context by itself": {"permessage-deflate; client_no_context_takeover", "permessage-deflate", true},
		"a context that should have been left":       {"permessage-deflate; server_no_context_takeover", "permessage-deflate", false},
		"a window that is not answered":              {"permessage-deflate; server_max_window_bits=9", "permessage-deflate", false},
		"a larger window than was asked for":         {"permessage-deflate; server_max_window_bits=9", "permessage-deflate; server_max_window_bits=10", false},
		"a client's window that was not offered":     {"permessage-deflate", "permessage-deflate; client_max_window_bits=15", false},
		"a client's window larger than was offered":  {"permessage-deflate; client_max_window_bits=9", "permessage-deflate; client_max_window_bits=10", false},
		"client_max_window_bits without a value":     {"permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits", false},
		"a parameter twice":                          {"permessage-deflate", "permessage-deflate; server_no_context_takeover; server_no_context_takeover", false},
		"an unknown parameter":                       {"permessage-deflate", "permessage-deflate; a", false},
		"an invalid window":                          {"permessage-deflate", "permessage-deflate; server_max_window_bits=7", false},
		"an answer to an offer that is invalid":      {"permessage-deflate; a", "permessage-deflate", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			offers, err := wire.ParseExtensions([]string{c.offers})
			require.NoError(t, err)
			answer, err := wire.ParseExtensions([]string{c.answer})
			require.NoError(t, err)
			_, ok, err := wire.AcceptDeflate(wire.Agreement{Extensions: answer}, wire.Offer{Extensions: offers})
			require.Equal(t, c.valid, ok)
			if !c.valid {
				require.ErrorIs(t, err, wire.WrongDeflateParameters)
			}
		})
	}
	_, ok, err := wire.AcceptDeflate(wire.Agreement{}, wire.Offer{})
	require.NoError(t, err)
	require.False(t, ok)
}
