package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// groups are the titles of the groups of cases.
var groups = []struct{ number, title string }{
	{"1", "Lengths, masking and types of frames"},
	{"2", "Pings and Pongs"},
	{"3", "Reserved bits"},
	{"4", "Reserved opcodes"},
	{"5", "Fragmentation"},
	{"6", "UTF-8"},
	{"7", "Closing"},
	{"9", "Long messages, many frames, small writes"},
	{"10", "Control frames in long messages"},
	{"12", "permessage-deflate: contents, the standard's examples, faults"},
	{"13", "permessage-deflate: parameters"},
}

const introduction = `<!-- Written by ` + "`make generate`" + ` from package test/conformance. DO NOT EDIT. -->

# Conformance

How package wire is held against RFC 6455, RFC 7692 (permessage-deflate) and what RFC 8441 and RFC 9220 say of
WebSockets over HTTP/2 and HTTP/3. Each MUST and SHOULD is to have a row here: RFC 6455 was read through for its rows,
those of the others are still to be compared with the text. %d of %d concern an endpoint and are checked; the others
are asked of somebody else. Sentences are ours; the standards' own are what counts.

    make conformance                                        # all of it: %d cases, %d requests, %d responses
    go run ./test/conformance/echo -addr 127.0.0.1:9001     # the server that is tried

A *case* is what a client sends, frame by frame. It goes to the echo server over TCP, and to the readers of frames and
of messages alone: what is not longer than 1 KiB in every split in two and byte by byte, the rest in a bounded set of
splits. Frames are built and answers read by code that knows nothing of wire. A *request* or *response* is a head,
parsed in every split; requests also go to the server.
`

const compared = `
## Compared with other libraries

Fuzzing gives the same bytes to wire, gorilla/websocket and coder/websocket, from a client and from a server, with and
without compression, and compares messages, control frames and verdicts. It also lets each write what the others read.
What is not in this table fails.

`

// Document returns docs/conformance.md.
func Document() []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	requirements, cases := Requirements(), Cases()
	ours := 0
	for _, r := range requirements {
		if r.NotOurs == "" {
			ours++
		}
	}
	fmt.Fprintf(&b, introduction, ours, len(requirements), len(cases), len(Handshakes()), len(Answers()))
	for _, standard := range []string{"6455", "7692", "8441", "9220"} {
		line("\n## RFC %s\n", standard)
		line("| id | section | level | what is asked | checked by |\n| --- | --- | --- | --- | --- |")
		for _, r := range requirements {
			if !strings.HasPrefix(r.ID, standard) {
				continue
			}
			how := "not ours: " + r.NotOurs
			if r.NotOurs == "" {
				how = "`" + strings.Join(strings.Fields(r.Checks), "` `") + "`"
			}
			section := strings.Split(r.ID, "-")[1]
			line("| %s | §%s | %s | %s | %s |", r.ID, section, r.Level, r.Text, how)
		}
	}
	line("\n## Cases\n")
	line("Groups are numbered as those of the Autobahn test suite.\n")
	line("| group | cases | what |\n| --- | ---: | --- |")
	for _, g := range groups {
		n := 0
		for _, c := range cases {
			if strings.HasPrefix(c.ID, g.number+".") {
				n++
			}
		}
		line("| %s | %d | %s |", g.number, n, g.title)
	}
	b.WriteString(compared)
	line("| difference | of | who is right | section | what |\n| --- | --- | --- | --- | --- |")
	for _, d := range Differences() {
		line("| %s | %s | %s | %s | %s |", d.Name, d.Peer, d.Right, d.Section, d.Text)
	}
	line("\nThe last long runs, each `go test -fuzz NAME` on a busy machine of two cores. None found more.")
	line("Those of the endpoint kept inputs that cover 56 and 62 %% of the statements of `endpoint` and `wire`.\n")
	line("| target | what | minutes | executions |\n| --- | --- | ---: | ---: |")
	for _, r := range fuzzRuns {
		line("| `%s` | %s | %d | %s |", r.target, r.what, r.minutes, thousands(r.executions))
	}
	line("\n## Autobahn\n")
	line("The Autobahn test suite can be pointed at the echo server: [how](../test/conformance/autobahn/README.md).")
	return []byte(b.String())
}

// thousands writes n with commas.
func thousands(n int) string {
	digits := []byte(fmt.Sprint(n))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = slices.Insert(digits, i, ',')
	}
	return string(digits)
}

var fuzzRuns = []struct {
	target, what        string
	minutes, executions int
}{
	{"FuzzVerdicts", "any bytes, read by wire in pieces and by both peers", 10, 1_675_572},
	{"FuzzTheyWriteWeRead", "messages that a peer writes, read by wire in pieces", 10, 294_975},
	{"FuzzWeWriteTheyRead", "messages that wire writes, read by both peers", 10, 344_058},
	{"wire.FuzzParseRequest", "heads of requests, beside net/http", 2, 608_399},
	{"wire.FuzzParseResponse", "heads of responses, beside net/http", 2, 777_975},
	{"wire.FuzzExtensions", "Sec-WebSocket-Extensions, and the negotiation of permessage-deflate", 2, 542_590},
	{"wire.FuzzOrigins", "patterns and origins, beside net/url", 2, 635_349},
	{"endpoint.FuzzHandshakeBytes", "any bytes as a request over TCP: who may gets a 101, nobody else, nothing is left behind",
		10, 128_837},
	{"endpoint.FuzzFrameBytes",
		"frames over TCP, with compression and tokens: what wire finds comes back, nothing is left behind",
		10, 91_410},
}
