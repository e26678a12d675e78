package redact

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

type bodyCase struct{ in, want string }

// bodies are messages by form. What stands in want and in in alike must be the same bytes.
var bodies = map[string]map[string]bodyCase{
	"STOMP": {
		"a login": {
			"CONNECT\naccept-version:1.2\nhost:chat.example.com\nlogin:ann\npasscode:two words\nheart-beat:0,1000\n\n\x00",
			"CONNECT\naccept-version:1.2\nhost:chat.example.com\nlogin:[person]\npasscode:[secret]\nheart-beat:0,1000\n\n\x00",
		},
		"a passcode with escapes": {
			"STOMP\r\npasscode:a\\cb\\\\c d\r\n\r\n\x00", "STOMP\r\npasscode:[secret]\r\n\r\n\x00",
		},
		"a header of the application": {
			"CONNECT\nAuthorization:Bearer x.y\nX-Room:lobby\nauthToken:k 1\n\n\x00",
			"CONNECT\nAuthorization:[secret]\nX-Room:lobby\nauthToken:[secret]\n\n\x00",
		},
		"an address behind an escape": {
			"SEND\ndestination:/queue/a\nnote:to\\cann@example.com\n\nhi\x00",
			"SEND\ndestination:/queue/a\nnote:to\\c[email]\n\nhi\x00",
		},
		"a body of JSON with a number": {
			"SEND\ndestination:/app/pay\ncontent-type:application/json\n\n{\"pin\":1234,\"n\":[4111111111111111]}\x00\n",
			"SEND\ndestination:/app/pay\ncontent-type:application/json\n\n{\"pin\":\"[secret]\",\"n\":[\"[card]\"]}\x00\n",
		},
		"a body of text": {
			"MESSAGE\nsubscription:0\nmessage-id:007\n\nann@example.com says hi\x00",
			"MESSAGE\nsubscription:0\nmessage-id:007\n\n[email] says hi\x00",
		},
		"a name that Spring sends": {
			"CONNECTED\nversion:1.2\nuser-name:ann lee\n\n\x00", "CONNECTED\nversion:1.2\nuser-name:[person]\n\n\x00",
		},
		"two frames and heart-beats": {
			"\n\nSEND\ndestination:/a\n\nx\x00\n\nSEND\npasscode:p q\n\ny\x00\n",
			"\n\nSEND\ndestination:/a\n\nx\x00\n\nSEND\npasscode:[secret]\n\ny\x00\n",
		},
		"a frame that is cut off": {"CONNECT\nlogin:ann\npasscode:two wo", "CONNECT\nlogin:[person]\npasscode:[secret]"},
		"SockJS": {
			`["CONNECT\nlogin:ann\npasscode:two words\n\n\u0000"]`, `["CONNECT\nlogin:[person]\npasscode:[secret]\n\n\u0000"]`,
		},
		"a header before others in SockJS": {
			`["CONNECT\nAuthorization:Bearer x y\nX-Room:lobby\n\n\u0000"]`,
			`["CONNECT\nAuthorization:[secret]\nX-Room:lobby\n\n\u0000"]`,
		},
		"SockJS from the server": {
			`a["MESSAGE\ndestination:/a\n\n{\"password\":\"p w\"}\u0000"]`,
			`a["MESSAGE\ndestination:/a\n\n{\"password\":\"[secret]\"}\u0000"]`,
		},
		"a frame in a log of JSON": {
			`{"level":"info","frame":"CONNECT\nlogin:ann\npasscode:two words\n\n\u0000"}`,
			`{"level":"info","frame":"CONNECT\nlogin:[person]\npasscode:[secret]\n\n\u0000"}`,
		},
		"a log that begins with such a word": {
			"ERROR\nat com.example.Main(Main.java:17)\n", "ERROR\nat com.example.Main(Main.java:17)\n",
		},
	},
	"XMPP": {
		"SASL PLAIN": {
			"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFubgBzM2NyM3Q=</auth>",
			"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>[credential]</auth>",
		},
		"an empty response": {
			"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>",
			"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>",
		},
		"a challenge": {
			"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>cj1meWtvK2QybGJiRmdPTlJ2OXFreGRhd0w=</challenge>",
			"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[credential]</challenge>",
		},
		"SASL 2": {
			"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AGFubgBzM2NyM3Q=</initial-response></authenticate>",
			"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>[credential]</initial-response></authenticate>",
		},
		"a message": {
			"<message from='ann@example.com/phone' to='lobby@rooms.example.com/bob' type='chat' id='m1'><body>call ben&#64;example.com</body></message>",
			"<message from='[email]/[person]' to='[email]/[person]' type='chat' id='m1'><body>call [email]</body></message>",
		},
		"addresses of servers and of hosts without a dot": {
			"<iq from='example.com' to='ann@localhost' type='get' id='p1'><ping xmlns='urn:xmpp:ping'/></iq>",
			"<iq from='example.com' to='[email]' type='get' id='p1'><ping xmlns='urn:xmpp:ping'/></iq>",
		},
		"a password in an iq": {
			"<iq type='set' id='a'><query xmlns='jabber:iq:auth'><username>ann</username><password>a&lt;b c</password><resource>phone</resource></query></iq>",
			"<iq type='set' id='a'><query xmlns='jabber:iq:auth'><username>[person]</username><password>[secret]</password><resource>[person]</resource></query></iq>",
		},
		"a password with attributes": {
			"<iq type='set'><password xmlns='urn:x' lang=\"en\">two words</password><email>ann@localhost</email></iq>",
			"<iq type='set'><password xmlns='urn:x' lang=\"en\">[secret]</password><email>[email]</email></iq>",
		},
		"a form": {
			"<iq type='set'><x xmlns='jabber:x:data' type='submit'><field var='password'><value>two words</value></field><field var='FORM_TYPE'><value>urn:x</value></field></x></iq>",
			"<iq type='set'><x xmlns='jabber:x:data' type='submit'><field var='password'><value>[secret]</value></field><field var='FORM_TYPE'><value>urn:x</value></field></x></iq>",
		},
		"a roster": {
			"<iq type='result'><query xmlns='jabber:iq:roster'><item jid='ben@example.com' name='Ben Lee' subscription='both'/></query></iq>",
			"<iq type='result'><query xmlns='jabber:iq:roster'><item jid='[email]' name='[person]' subscription='both'/></query></iq>",
		},
		"a page of an archive": {
			"<iq type='result'><fin xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><first index='0'>a1-b2</first><last>c3-d4</last></set></fin></iq>",
			"<iq type='result'><fin xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><first index='0'>a1-b2</first><last>c3-d4</last></set></fin></iq>",
		},
		"a stream": {
			"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.com' version='1.0'/>",
			"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.com' version='1.0'/>",
		},
		"XML that is not XMPP": {
			`<order id="7"><apiKey scheme="x">two words</apiKey><response>OK</response><item from="a@b">x</item></order>`,
			`<order id="7"><apiKey scheme="x">[secret]</apiKey><response>OK</response><item from="a@b">x</item></order>`,
		},
		"a character section": {
			"<iq type='set'><password><![CDATA[a<b c]]></password></iq>", "<iq type='set'><password><![CDATA[[secret]]]></password></iq>",
		},
		"a stanza that is cut off": {"<iq type='set'><password a='b'>two wo", "<iq type='set'><password a='b'>[secret]"},
		"a stanza in a log of JSON": {
			`{"out":"<auth mechanism='PLAIN'>AGFubgBzM2NyM3Q=</auth>"}`, `{"out":"<auth mechanism='PLAIN'>[credential]</auth>"}`,
		},
		"syslog": {"<190>Nov  3 12:00:00 web-1 nginx: up", "<190>Nov  3 12:00:00 web-1 nginx: up"},
	},
	"GraphQL": {
		"a connection's payload": {
			`{"type":"connection_init","payload":{"Authorization":"Bearer abc","authToken":"k1","lang":"en","x-cred":"kd83hd72js91mx72bq"}}`,
			`{"type":"connection_init","payload":{"Authorization":"[secret]","authToken":"[secret]","lang":"en","x-cred":"[credential]"}}`,
		},
		"literals in a query": {
			`{"id":"1","type":"subscribe","payload":{"query":"mutation { login(email: \"ann@example.com\", password: \"p w\", remember: true) { token } }"}}`,
			`{"id":"1","type":"subscribe","payload":{"query":"mutation { login(email: \"[email]\", password: \"[secret]\", remember: true) { token } }"}}`,
		},
		"variables and their types": {
			`{"type":"start","payload":{"query":"mutation M($email: String!, $password: String! = \"x y\") { login(email: $email, password: $password) { token: accessToken } }","variables":{"email":"ann@example.com","password":"p w"}}}`,
			`{"type":"start","payload":{"query":"mutation M($email: String!, $password: String! = \"[secret]\") { login(email: $email, password: $password) { token: accessToken } }","variables":{"email":"[email]","password":"[secret]"}}}`,
		},
		"a block string": {
			`{"type":"subscribe","payload":{"query":"mutation { set(secret: \"\"\"two\nlines\"\"\", room: \"a\") }"}}`,
			`{"type":"subscribe","payload":{"query":"mutation { set(secret: \"\"\"[secret]\"\"\", room: \"a\") }"}}`,
		},
		"objects, lists, numbers and enums": {
			`mutation { add(user: {password: "p w", pin: 1234, role: ADMIN}, tokens: ["a b", $t], ssn: 610895223) { id } }`,
			`mutation { add(user: {password: "[secret]", pin: [secret], role: ADMIN}, tokens: ["[secret]", $t], ssn: [secret]) { id } }`,
		},
		"an enum under a secret's key": {"query { a(password: hunter2) { id } }", "query { a(password: [secret]) { id } }"},
		"a query with nothing to hide": {
			`{"type":"subscribe","payload":{"query":"subscription ($room: ID!) { messages(room: $room, first: 20) { id login: userName } }","variables":{"room":"lobby"}}}`,
			`{"type":"subscribe","payload":{"query":"subscription ($room: ID!) { messages(room: $room, first: 20) { id login: userName } }","variables":{"room":"lobby"}}}`,
		},
		"an object that reads like GraphQL": {`{"query":"{ password: hunter2 }"}`, `{"query":"{ password: [secret] }"}`},
		"a comment with an address": {
			"query { # for ann@example.com\n a }", "query { # for [email]\n a }",
		},
		"a query that is no GraphQL": {
			`{"query":"password: hunter2 and more"}`, `{"query":"password: [secret] and more"}`,
		},
		"prose": {"query failed (password: hunter2)", "query failed (password: [secret])"},
	},
	"Socket.IO": {
		"what connects":    {`40{"token":"a b","v":2}`, `40{"token":"[secret]","v":2}`},
		"a namespace":      {`40/chat?token=abc,{"room":"a"}`, `40/chat?token=[secret],{"room":"a"}`},
		"an event":         {`42/chat,13["say",{"to":"ann@example.com","text":"hi"}]`, `42/chat,13["say",{"to":"[email]","text":"hi"}]`},
		"a login":          {`42["login","ann","p w",7]`, `42["login","[secret]","[secret]","[secret]"]`},
		"a login's words":  {`42["user:authenticate","p w",{"room":"a"}]`, `42["user:authenticate","[secret]",{"room":"a"}]`},
		"a name":           {`421["set username","Ann Lee"]`, `421["set username","[person]"]`},
		"a state":          {`42["session","started"]`, `42["session","started"]`},
		"attachments":      {`451-["image",{"_placeholder":true,"num":0}]`, `451-["image",{"_placeholder":true,"num":0}]`},
		"a card as number": {`42["pay",4111111111111111]`, `42["pay","[card]"]`},
		"an acknowledgement": {
			`43/chat,13[{"apiKey":"a b"}]`, `43/chat,13[{"apiKey":"[secret]"}]`,
		},
		"what opens": {
			`0{"sid":"kd83hd72","upgrades":["websocket"],"pingInterval":25000}`,
			`0{"sid":"[secret]","upgrades":["websocket"],"pingInterval":25000}`,
		},
		"an answer to a poll, protocol 4": {
			"42[\"login\",\"p w\"]\x1e2\x1e42[\"say\",\"hi\"]\x1ebAQIDBAUGBwg=", "42[\"login\",\"[secret]\"]\x1e2\x1e42[\"say\",\"hi\"]\x1eb[secret]",
		},
		"an answer to a poll, protocol 3": {
			`18:42["login","p w w"]14:42["say","hi"]`, `18:42["login","[secret]"]14:42["say","hi"]`,
		},
		"a packet without its transport": {`2["login","p w"]`, `2["login","[secret]"]`},
		"a packet in a log of JSON":      {`{"packet":"42[\"login\",\"p w\"]"}`, `{"packet":"42[\"login\",\"[secret]\"]"}`},
		"a number in JSON":               {`{"phone":"443 201 234","ok":true}`, `{"phone":"[phone]","ok":true}`},
		"a packet under a secret's key":  {`{"password":"42[\"a\",\"b\"]"}`, `{"password":"[secret]"}`},
		"numbers that are no packet":     {"42 is the answer; 403 Forbidden", "42 is the answer; 403 Forbidden"},
		"cards that begin like packets":  {"4111111111111111", "[card]"},
		"a card before JSON":             {`4111111111111111["a"]`, `[card]["a"]`},
		"an address that begins so":      {"42.113.7.9", "42.113.7.0"},
		"a time":                         {"12:00:00 [\"login\",\"x\"]", "12:00:00 [\"login\",\"x\"]"},
		"words that begin with b":        {"bonjour", "bonjour"},
	},
	"FIX and pipes": {
		"a logon": {
			"8=FIX.4.4\x019=102\x0135=A\x0149=BUY\x0156=SELL\x0134=1\x01553=ann lee\x01554=p w|x\x01925=n w\x01108=30\x0110=062\x01",
			"8=FIX.4.4\x019=102\x0135=A\x0149=BUY\x0156=SELL\x0134=1\x01553=[person]\x01554=[secret]\x01925=[secret]\x01108=30\x0110=062\x01",
		},
		"an order as a log shows it": {
			"20261103-12:00:00.123: 8=FIX.4.2|9=80|35=D|1=ACC 77|11=o-1|38=100|40=1|54=1|55=EUR/USD|58=for ann@example.com|10=001|",
			"20261103-12:00:00.123: 8=FIX.4.2|9=80|35=D|1=[person]|11=o-1|38=100|40=1|54=1|55=EUR/USD|58=for [email]|10=001|",
		},
		"parties": {"8=FIXT.1.1^A35=D^A453=1^A448=ANN LEE^A447=D^A452=11^A", "8=FIXT.1.1^A35=D^A453=1^A448=[person]^A447=D^A452=11^A"},
		"data with its length": {
			"8=FIX.4.2|35=A|95=5|96=a|b|c|98=0|10=001|", "8=FIX.4.2|35=A|95=5|96=[secret]|98=0|10=001|",
		},
		"a password between pipes":        {"user|password=two words|room=lobby", "user|password=[secret]|room=lobby"},
		"a password before the first":     {"password=two words|room=lobby", "password=[secret]|room=lobby"},
		"a password with spaces around":   {"login | password = two words | room=lobby", "login | password = [secret] | room=lobby"},
		"a command and a pipe":            {"token=abc run | grep x", "token=[secret] run | grep x"},
		"a version number and not FIX":    {"8=FIX it|password", "8=FIX it|password"},
		"a key behind an escaped newline": {`{"log":"x\ntoken=ab1\npasscode=p1"}`, `{"log":"x\ntoken=[secret]\npasscode=[secret]"}`},
		"a number in JSON in JSON":        {`{"m":"{\"pin\":1234}"}`, `{"m":"{\"pin\":\"[secret]\"}"}`},
	},
}

func TestBodies(t *testing.T) {
	t.Parallel()
	for form, cases := range bodies {
		for name, tt := range cases {
			t.Run(form+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := scanner(t)
				got, _ := s.Text(tt.in)
				require.Equal(t, tt.want, got)
				again, _ := s.Text(got)
				require.Equal(t, got, again, "redacting twice")
				require.Zero(t, s.Counts[Panic])
			})
		}
	}
}

// formOf returns the form that v has for [Scanner.body], or -1.
func formOf(s *Scanner, v string) int {
	if len(v) < minBody {
		return -1
	}
	for form := range formCount {
		s.finds, s.json = s.finds[:0], s.json[:0]
		if bodyForms[v[0]]&(1<<form) != 0 && s.as(form, v) {
			return form
		}
	}
	return -1
}

// validXML reports whether a parser of XML reads v to its end.
func validXML(v string) bool {
	for d := xml.NewDecoder(strings.NewReader(v)); ; {
		if _, err := d.RawToken(); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// packetJSON is what follows the head of a packet.
func packetJSON(v string) string { return strings.TrimLeft(v, "0123456789-") }

// FuzzBodies holds what must be true of messages whatever is in them: no panic, redacting twice changes nothing, a form
// stays one, and its JSON and XML stay readable by others.
func FuzzBodies(f *testing.F) {
	seeds := 0
	for _, cases := range bodies {
		for _, tt := range cases {
			f.Add(tt.in)
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, in string) {
		if len(in) > 4096 || !utf8.ValidString(in) {
			return
		}
		s := scanner(t)
		form := formOf(s, in)
		out, verdict := s.Text(in)
		if s.Counts[Panic] != [ActionCount]uint32{} {
			t.Fatalf("panic for %q", in)
		}
		if verdict == Dropped {
			return
		}
		if !utf8.ValidString(out) {
			t.Fatalf("%q → %q is not UTF-8", in, out)
		}
		if twice, _ := s.Text(out); twice != out {
			t.Fatalf("not idempotent: %q → %q → %q", in, out, twice)
		}
		switch form {
		case stompForm:
			if _, ok := nextFrame(out, 0); !ok && !isMask(out) {
				t.Fatalf("no frame any more: %q → %q", in, out)
			}
		case graphQLForm:
			if json.Valid([]byte(in)) && !json.Valid([]byte(out)) {
				t.Fatalf("no JSON any more: %q → %q", in, out)
			}
		case socketIOForm:
			if json.Valid([]byte(packetJSON(in))) && !json.Valid([]byte(packetJSON(out))) {
				t.Fatalf("no JSON any more: %q → %q", in, out)
			}
		case xmlForm:
			if validXML(in) && !validXML(out) {
				t.Fatalf("no XML any more: %q → %q", in, out)
			}
		}
	})
}

// TestFormsAreBounded: forms made to nest and repeat take no time that grows faster than they do.
func TestFormsAreBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ head, piece string }{
		{"", "<a>"}, {"", "<a b='"}, {"", "<a b="}, {"", "SEND\n\n\x00"}, {"SEND\n", "a:b\n"}, {"SEND\n", "a:\\n"},
		{`42`, `["login",`}, {``, `2`}, {``, "2\x1e"}, {``, `1:2`}, {`42["login"`, `,1`}, {`42["login"`, `,[1]`},
		{`{"query":"{`, `a(b:\"\"\"`}, {`{"query":"{a(`, `b:[`}, {`{"query":"{a(`, `b:\"x\" `}, {"query {", "a(b:1)"},
		{"query {a(b:", `""" `}, {"8=FIX.4.4|", "554=x|"}, {"8=FIX.4.4|", "95=9999|96=|"}, {"", `["SEND\n`}, {`["`, `SEND\n","`},
		{`{"a":`, `"{\"query\":\"`}, {`["`, `\n`}, {"<iq>", "&#64;"}, {"|", "pin=a "}, {"|", "pin=a b|"}, {`{"query":1,`, `"a":[`},
	} {
		in := tt.head + strings.Repeat(tt.piece, (60<<10-len(tt.head))/len(tt.piece))
		s := scanner(t)
		start := time.Now()
		_, _ = s.Text(in)
		require.Less(t, time.Since(start), 3*time.Second, "%q", tt.piece)
		t.Logf("%-14q %v", tt.piece, time.Since(start))
	}
}
