package endpoint

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

const goodTraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// traceParents are headers, and whether they are well formed.
var traceParents = map[string]struct {
	text          string
	good, sampled bool
}{
	"sampled":                      {goodTraceParent, true, true},
	"not sampled":                  {goodTraceParent[:53] + "00", true, false},
	"other flags":                  {goodTraceParent[:53] + "fe", true, false},
	"a later version":              {"cc" + goodTraceParent[2:], true, true},
	"a later version with more":    {"cc" + goodTraceParent[2:] + "-what-comes", true, true},
	"a later version run together": {"cc" + goodTraceParent[2:] + "1", false, false},
	"version ff":                   {"ff" + goodTraceParent[2:], false, false},
	"a version that is none":       {"0g" + goodTraceParent[2:], false, false},
	"version 00 with more":         {goodTraceParent + "-00", false, false},
	"flags that are none":          {goodTraceParent[:53] + "0x", false, false},
	"upper case":                   {"00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false, false},
	"no trace":                     {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", false, false},
	"no span":                      {"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false, false},
	"too short":                    {goodTraceParent[:54], false, false},
	"nothing":                      {"", false, false},
	"other dashes":                 {"00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01", false, false},
	"no hexadecimal":               {"00-4bf92f3577b34da6a3ce929d0e0e473z-00f067aa0ba902b7-01", false, false},
}

func TestATraceparentIsReadStrictly(t *testing.T) {
	t.Parallel()
	for name, tt := range traceParents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := parseTraceParent(tt.text)
			require.Equal(t, tt.good, c.trace != [16]byte{})
			require.Equal(t, tt.good, c.span != [8]byte{})
			require.Equal(t, tt.sampled, c.sampled)
		})
	}
	require.Zero(t, traceParent(map[string][]string{"Traceparent": {goodTraceParent, goodTraceParent}}), "two are none")
}

func FuzzTraceParent(f *testing.F) {
	for _, tt := range traceParents {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := parseTraceParent(text)
		if c == (traceContext{}) {
			return
		}
		require.Equal(t, hex.EncodeToString(c.trace[:])+"-"+hex.EncodeToString(c.span[:]), text[3:52])
	})
}

func TestAMessageMayBeginWithItsTraceparent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		op            wire.Opcode
		payload, want string
	}{
		"it does":            {wire.OpText, `{"traceparent":"` + goodTraceParent + `","a":1}`, goodTraceParent},
		"it stands later":    {wire.OpText, `{"a":1,"traceparent":"` + goodTraceParent + `"}`, ""},
		"it is longer":       {wire.OpText, `{"traceparent":"` + goodTraceParent + `-00"}`, ""},
		"it ends too soon":   {wire.OpText, `{"traceparent":"` + goodTraceParent, ""},
		"the message is cut": {wire.OpText, `{"traceparent":"00-`, ""},
		"it is binary":       {wire.OpBinary, `{"traceparent":"` + goodTraceParent + `"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, TraceParentOf(wire.Message{Opcode: tt.op, Payload: []byte(tt.payload)}))
		})
	}
}
