package content

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

var (
	today  = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	writer = auth.Identity{Subject: "anna", Tenant: "acme", Tier: "pro", Scopes: auth.NewSet("chat.read", "chat.write")}
)

const (
	postV1 = `{"type":"post","v":"1","room":"lobby","text":"hello"}`
	postV2 = `{"type":"post","v":2,"room":"lobby","text":"hello"}`
)

func chat(t testing.TB) *Policy {
	p, err := Load("testdata/chat")
	require.NoError(t, err)
	return p
}

func TestWhatAMessageIsTakenFor(t *testing.T) {
	t.Parallel()
	p := chat(t)
	with := func(change func(*Sender)) Sender {
		s := Sender{Subprotocol: "chat.v1", Identity: writer}
		change(&s)
		return s
	}
	anna := with(func(*Sender) {})
	moderator := with(func(s *Sender) { s.Identity.Scopes = auth.NewSet("chat.write", "chat.moderate") })
	for name, c := range map[string]struct {
		from    Sender
		text    string
		op      wire.Opcode
		now     time.Time
		refused string
		schema  string
	}{
		"a message of the current version":                                 {from: anna, text: postV2, schema: "chat.v1/post@2"},
		"its schema is asked":                                              {from: anna, text: `{"type":"post","v":2,"room":"","text":"x"}`, refused: event.SchemaInvalid, schema: "chat.v1/post@2"},
		"a version that is deprecated":                                     {from: anna, text: `{"type":"post","v":1,"room":"lobby","text":"x"}`, schema: "chat.v1/post@1"},
		"a number and a text name a version alike, but its schema may not": {from: anna, text: postV1, refused: event.SchemaInvalid, schema: "chat.v1/post@1"},
		"the last moment of what is deprecated":                            {from: anna, text: `{"type":"post","v":1,"room":"lobby","text":"x"}`, now: time.Date(2027, 2, 28, 23, 59, 59, 0, time.UTC), schema: "chat.v1/post@1"},
		"the day from which it is refused":                                 {from: anna, text: `{"type":"post","v":1,"room":"lobby","text":"x"}`, now: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC), refused: event.UnsupportedVersion, schema: "chat.v1/post@1"},
		"a version that is refused":                                        {from: anna, text: `{"type":"post","v":0}`, refused: event.UnsupportedVersion, schema: "chat.v1/post@0"},
		"a version nobody knows":                                           {from: anna, text: `{"type":"post","v":3}`, refused: event.UnsupportedVersion},
		"no version where there must be one":                               {from: anna, text: `{"type":"post"}`, refused: event.UnsupportedVersion},
		"a type without a schema":                                          {from: anna, text: `{"type":"ping"}`, schema: "chat.v1/ping"},
		"a type nobody may send":                                           {from: anna, text: `{"type":"dance"}`, refused: event.ACLDenied},
		"a type nobody knows":                                              {from: with(func(s *Sender) { s.Identity.Subject = "service:bot" }), text: `{"type":"dance"}`, refused: event.UnknownType},
		"no type":                                                          {from: with(func(s *Sender) { s.Identity.Subject = "service:bot" }), text: `{}`, refused: event.UnknownType},
		"a type that is an object":                                         {from: with(func(s *Sender) { s.Identity.Subject = "service:bot" }), text: `{"type":{}}`, refused: event.UnknownType},
		"a type that only the server sends":                                {from: with(func(s *Sender) { s.Identity.Subject = "service:bot" }), text: `{"type":"posted","v":2}`, refused: event.UnknownType},
		"the server sends it":                                              {from: with(func(s *Sender) { s.Outgoing = true }), text: `{"type":"posted","v":2}`, refused: event.UnsupportedVersion},
		"no JSON":                                                          {from: anna, text: `hello`, refused: event.SchemaInvalid},
		"a type that another parser reads differently":                     {from: anna, text: `{"type":"ping","Type":"kick"}`, refused: event.SchemaInvalid},
		"the same in another order":                                        {from: anna, text: `{"TYPE":"kick","type":"ping"}`, refused: event.SchemaInvalid},
		"only in another case":                                             {from: anna, text: `{"Type":"kick"}`, refused: event.SchemaInvalid},
		"the version in another case":                                      {from: anna, text: `{"type":"ping","V":1}`, refused: event.SchemaInvalid},
		"a type that is there twice":                                       {from: anna, text: `{"type":"ping","type":"kick"}`, refused: event.SchemaInvalid},
		"a type with escapes":                                              {from: anna, text: `{"\u0074ype":"pin\u0067"}`, schema: "chat.v1/ping"},
		"a message over the limit":                                         {from: anna, text: `{"type":"ping","x":"` + strings.Repeat("x", 64<<10) + `"}`, refused: event.SchemaInvalid},
		"a binary message":                                                 {from: anna, op: wire.OpBinary, text: postV2, refused: event.UnknownType},
		"another subprotocol's message":                                    {from: with(func(s *Sender) { s.Subprotocol = "events.v1" }), text: `["typing",{"room":"x"}]`, schema: "events.v1/typing"},
		"an array that is too short":                                       {from: with(func(s *Sender) { s.Subprotocol = "events.v1" }), text: `["typing"]`, refused: event.SchemaInvalid, schema: "events.v1/typing"},
		"an empty array":                                                   {from: with(func(s *Sender) { s.Subprotocol = "events.v1" }), text: `[]`, refused: event.ACLDenied},
		"a subprotocol that is not registered":                             {from: with(func(s *Sender) { s.Subprotocol = "other" }), text: postV2, refused: event.UnknownType},

		"all scopes of a rule":          {from: moderator, text: `{"type":"kick","user":"x"}`, schema: "chat.v1/kick"},
		"one scope of two":              {from: anna, text: `{"type":"kick","user":"x"}`, refused: event.ACLDenied},
		"the first rule that applies":   {from: with(func(s *Sender) { s.Identity.Scopes, s.Identity.Tier = moderator.Identity.Scopes, "free" }), text: `{"type":"kick","user":"x"}`, refused: event.ACLDenied},
		"a subject and a tenant":        {from: with(func(s *Sender) { s.Identity = auth.Identity{Subject: "service:bot", Tenant: "globex"} }), text: postV2, schema: "chat.v1/post@2"},
		"the subject of another tenant": {from: with(func(s *Sender) { s.Identity = auth.Identity{Subject: "service:bot", Tenant: "evil"} }), text: postV2, refused: event.ACLDenied},
		"nobody":                        {from: with(func(s *Sender) { s.Identity = auth.Identity{} }), text: postV2, refused: event.ACLDenied},
		"nobody may do what all may":    {from: with(func(s *Sender) { s.Identity = auth.Identity{} }), text: `{"type":"ping"}`, schema: "chat.v1/ping"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.op == 0 {
				c.op = wire.OpText
			}
			if c.now.IsZero() {
				c.now = today
			}
			v := p.Check(&c.from, wire.Message{Opcode: c.op, Payload: []byte(c.text)}, c.now)
			require.Equal(t, c.refused, v.Refused)
			require.Equal(t, c.schema, v.Schema)
		})
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"a a": true, "a b": false, "* ": true, "* x": true, "a* abc": true, "a* b": false, "*c abc": true, "a*c abc": true, "a*c ac": true,
		"ab*bc abc": false, "a*b*c axxbxxc": true, "a*b*c acb": false, "a**c ac": true, " ": true, " x": false,
	} {
		pattern, s, _ := strings.Cut(text, " ")
		require.Equal(t, want, match(pattern, s), text)
	}
}

func TestACanaryIsTheSameForAConnectionAndOnlyGrows(t *testing.T) {
	t.Parallel()
	enforced := func(percent float64, id string) bool { return (&Policy{enforce: uint64(percent * 100)}).Enforced(id) }
	for _, percent := range []float64{0, 0.5, 10, 50, 99, 100} {
		n := 0
		for i := range 20_000 {
			id := fmt.Sprintf("%032x", i)
			if enforced(percent, id) {
				n++
				require.True(t, enforced(min(percent+0.5, 100), id))
			}
		}
		require.InDelta(t, percent*200, n, 4*70, "%g %%", percent)
	}
	// The choice is part of the interface: every process and version makes the same.
	require.True(t, enforced(100, "x"))
	require.Equal(t, uint64(0x11ce), hash("9f3c")&0xffff)
}
