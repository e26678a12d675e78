package content

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

const rooms = `version: 1
mode: enforce
protocols:
  - subprotocol: ""
    encoding: socketio
    message_version: /v
    messages:
      - {type: CONNECT, schema: auth.json}
      - {type: DISCONNECT}
      - {type: ACK, schema: text.json}
      - {type: post, schema: post.json}
      - {type: post, version: "2", schema: post.json}
      - {type: "a,\"]b", schema: post.json}
      - {type: "7", schema: post.json}
      - {type: ping}
      - {type: "/admin,kick", schema: text.json}
      - {type: news, direction: transmit, schema: post.json}
access:
  - {deny: ["/admin,*"], tiers: [free]}
  - {allow: ["*"]}
`

// socketIO writes a directory and loads it.
func socketIO(t testing.TB, changes ...string) *Policy {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"content.yaml": strings.NewReplacer(changes...).Replace(rooms),
		"post.json":    `{"type": "object", "required": ["text"]}`,
		"text.json":    `{"type": "string", "maxLength": 5}`,
		"auth.json":    `{"type": "object", "required": ["token"]}`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	p, err := Load(dir)
	require.NoError(t, err)
	return p
}

func TestPacketsOfSocketIO(t *testing.T) {
	t.Parallel()
	p := socketIO(t)
	withBinary := socketIO(t, "message_version", "binary: accept\n    message_version")
	free := Sender{Identity: writer}
	free.Identity.Tier = "free"
	for sentence, c := range map[string]struct {
		text    string
		policy  *Policy // p by default
		from    Sender
		refused string
		kind    string
	}{
		"a ping of Engine.IO":                    {text: "2"},
		"a probe of Engine.IO":                   {text: "3probe"},
		"a ping with something in it":            {text: "2x", refused: event.SchemaInvalid},
		"the first packet, which a server sends": {text: `0{"sid":"x"}`, refused: event.SchemaInvalid},
		"and is sent":                            {text: `0{"sid":"x"}`, from: Sender{Outgoing: true}},
		"nothing":                                {text: "", refused: event.SchemaInvalid},
		"JSON":                                   {text: `["post",{"text":"x"}]`, refused: event.SchemaInvalid},
		"an event":                               {text: `42["post",{"text":"x"}]`, kind: "post"},
		"an event in the first namespace":        {text: `42/,["post",{"text":"x"}]`, kind: "post"},
		"an event that wants an answer":          {text: `4217["post",{"text":"x"}]`, kind: "post"},
		"an event with spaces":                   {text: "42[ \"post\" , {\"text\":\"x\"} ] ", kind: "post"},
		"an argument against its schema":         {text: `42["post",{"txt":"x"}]`, kind: "post", refused: event.SchemaInvalid},
		"an argument of another type":            {text: `42["post","text"]`, kind: "post", refused: event.SchemaInvalid},
		"no argument":                            {text: `42["post"]`, kind: "post", refused: event.SchemaInvalid},
		"two arguments":                          {text: `42["post",{"text":"x"},1]`, kind: "post", refused: event.SchemaInvalid},
		"several, where there is no schema":      {text: `42["ping",1,[2]]`, kind: "ping"},
		"a version of the argument":              {text: `42["post",{"text":"x","v":2}]`, kind: "post"},
		"a version that is not there":            {text: `42["post",{"text":"x","v":3}]`, kind: "post", refused: event.UnsupportedVersion},
		"a name that has to be escaped":          {text: `42["a,\"]b",{"text":"x"}]`, kind: `a,"]b`},
		"a name in another spelling":             {text: `42["p\u006fst",{"txt":"x"}]`, kind: "post", refused: event.SchemaInvalid},
		"a number as a name":                     {text: `42[7,{"text":"x"}]`, kind: "7"},
		"an object as a name":                    {text: `42[{}]`, refused: event.UnknownType},
		"an array without a name":                {text: `42[]`, refused: event.UnknownType},
		"an unknown event":                       {text: `42["dance"]`, refused: event.UnknownType},
		"an event that only the server sends":    {text: `42["news",{"text":"x"}]`, kind: "news", refused: event.UnknownType},
		"which it does":                          {text: `42["news",{"text":"x"}]`, kind: "news", from: Sender{Outgoing: true}},
		"an event called like a packet":          {text: `42["DISCONNECT"]`, refused: event.UnknownType},
		"an event that is reserved":              {text: `42["disconnect"]`, refused: event.UnknownType},
		"an event called like a namespace":       {text: `42["/admin,kick","bob"]`, refused: event.UnknownType},
		"an event of another namespace":          {text: `42/admin,["kick","bob"]`, kind: "/admin,kick"},
		"and one who may not":                    {text: `42/admin,["kick","bob"]`, from: free, kind: "/admin,kick", refused: event.ACLDenied},
		"an event in the wrong namespace":        {text: `42["kick","bob"]`, refused: event.UnknownType},
		"a namespace with a query":               {text: `42/admin?x,["kick","bob"]`, refused: event.SchemaInvalid},
		"a namespace without an end":             {text: `42/admin["kick","bob"]`, refused: event.SchemaInvalid},
		"a connection":                           {text: `40{"token":"x"}`, kind: "CONNECT"},
		"a connection without what it needs":     {text: `40`, kind: "CONNECT", refused: event.SchemaInvalid},
		"a connection to another namespace":      {text: `40/admin,{"token":"x"}`, refused: event.UnknownType},
		"the end of a connection":                {text: `41`, kind: "DISCONNECT"},
		"the end of a connection, with more":     {text: `41{}`, refused: event.SchemaInvalid},
		"an acknowledgement":                     {text: `437["yes"]`, kind: "ACK"},
		"one against its schema":                 {text: `437["too long"]`, kind: "ACK", refused: event.SchemaInvalid},
		"one with several arguments":             {text: `437["yes","no"]`, kind: "ACK", refused: event.SchemaInvalid},
		"one of nothing":                         {text: `43["yes"]`, refused: event.SchemaInvalid},
		"a refusal, which only servers send":     {text: `44{"message":"x"}`, refused: event.SchemaInvalid},
		"a binary event":                         {text: `451-["post",{"text":"x"}]`, refused: event.UnknownType},
		"a binary event that may be":             {text: `451-["post",{"text":{"_placeholder":true,"num":0}}]`, policy: withBinary, kind: "post"},
		"is held against its entry too":          {text: `450-["post",{}]`, policy: withBinary, kind: "post", refused: event.SchemaInvalid},
		"a binary event without a number":        {text: `45["post",{"text":"x"}]`, policy: withBinary, refused: event.SchemaInvalid},
		"a packet nobody knows":                  {text: `47["post",{"text":"x"}]`, refused: event.SchemaInvalid},
		"a member twice":                         {text: `42["post",{"text":"x","text":1}]`, refused: event.SchemaInvalid},
		"a space before the array":               {text: `42 ["post",{"text":"x"}]`, refused: event.SchemaInvalid},
		"more than an array":                     {text: `42["post",{"text":"x"}][]`, refused: event.SchemaInvalid},
		"an object for an array":                 {text: `42{"0":"post"}`, refused: event.SchemaInvalid},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if c.policy == nil {
				c.policy = p
			}
			if c.from.Identity.Subject == "" {
				c.from.Identity = writer
			}
			v := c.policy.Check(&c.from, wire.Message{Opcode: wire.OpText, Payload: []byte(c.text)}, today)
			require.Equal(t, c.refused, v.Refused)
			require.Equal(t, c.kind, v.Type)
		})
	}
	v := p.Check(&free, wire.Message{Opcode: wire.OpBinary, Payload: []byte("x")}, today)
	require.Equal(t, event.UnknownType, v.Refused, "an attachment")
}

func TestFaultsOfSocketIOInAManifest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := "version: 1\nprotocols:\n  - {subprotocol: '', encoding: socketio, type: /0, binary: json}\n" +
		"  - {subprotocol: a, encoding: stomp, type: /0}\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "content.yaml"), []byte(text), 0o600))
	_, err := Load(dir)
	require.ErrorContains(t, err, "content.yaml:3:49: protocols[0].type: must be left out with encoding socketio")
	require.ErrorContains(t, err, "content.yaml:3:61: protocols[0].binary: must be refuse or accept with encoding socketio")
	require.ErrorContains(t, err, "content.yaml:4:32: protocols[1].encoding: must be json or socketio")
}

func TestChangesOfSocketIO(t *testing.T) {
	t.Parallel()
	before := socketIO(t)
	changes := func(replace ...string) (lines []string) {
		for _, c := range Compare(before, socketIO(t, replace...), today) {
			lines = append(lines, c.Effect.String()+": "+c.What+" "+c.Message)
		}
		return lines
	}
	require.Empty(t, changes())
	require.Equal(t, []string{"breaks: messages have another encoding "}, changes("encoding: socketio", "type: /0"))
	require.Contains(t, changes("{type: ping}", "{type: ping, schema: post.json}"), "breaks: there must be one argument now /ping")
	require.Contains(t, strings.Join(changes(`version: "2", schema: post.json`, `version: "2", schema: text.json`), "\n"), "/post@2")
}

// FuzzPacket: what is taken for an event is one to encoding/json too, of the same name and argument.
func FuzzPacket(f *testing.F) {
	for _, seed := range []string{
		`42["post",{"text":"x"}]`, `42/admin,17["kick","bob"]`, `40{"token":"x"}`, `41`, `437["yes"]`, `452-/a,1["post",{}]`, "2probe",
		`42["a,\"]b",{"text":"\u0041"}]`, `42[ 7 , 1e3 ]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := parsePacket([]byte(text), false)
		if !ok || p.kind == control || p.kind == disconnect {
			return
		}
		var d document
		if !d.parse(p.json, 32) {
			return
		}
		require.True(t, strings.HasSuffix(text, string(p.json)))
		name, found := p.name(&d)
		argument, one := p.argument(&d)
		if p.kind == connect {
			return
		}
		var elements []json.RawMessage
		require.NoError(t, json.Unmarshal(p.json, &elements))
		if p.kind == happening && found {
			var want any
			require.NoError(t, json.Unmarshal(elements[0], &want))
			prefix := ""
			if p.namespace != "" {
				prefix = p.namespace + ","
			}
			if s, text := want.(string); text {
				require.Equal(t, prefix+s, string(name))
			} else {
				require.Equal(t, prefix+string(elements[0]), string(name))
			}
		}
		if one {
			require.Equal(t, string(elements[len(elements)-1]), strings.Trim(string(argument), " \t\r\n"))
			require.True(t, d.parse(argument, 32))
		}
	})
}
