package conformance

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// groups are the titles of the groups of cases, in their order.
var groups = []struct{ number, title string }{
	{"1.1", "Text of 0 to 65,536 bytes"},
	{"1.2", "Binary of 0 to 65,536 bytes"},
	{"2", "Pings and Pongs"},
	{"3", "Reserved bits"},
	{"4.1", "Reserved opcodes of data frames"},
	{"4.2", "Reserved opcodes of control frames"},
	{"5", "Fragmentation"},
	{"6.1", "UTF-8: empty frames"},
	{"6.2", "UTF-8: cut between and inside letters"},
	{"6.3", "UTF-8: what is invalid, whole and in pieces"},
	{"6.4", "UTF-8: refused at the first bad byte"},
	{"6.5-23", "UTF-8: valid and invalid sequences"},
	{"7.1", "Closing: what comes behind a Close"},
	{"7.3", "Closing: lengths of a Close"},
	{"7.5", "Closing: a reason that is no UTF-8"},
	{"7.7", "Closing: valid codes"},
	{"7.9", "Closing: invalid codes"},
	{"7.13", "Closing: codes that no standard speaks of"},
	{"9.1", "A text of 64 KiB to 16 MiB"},
	{"9.2", "A binary of 64 KiB to 16 MiB"},
	{"9.3", "A text of 4 MiB in frames of 64 bytes to 4 MiB"},
	{"9.4", "A binary of 4 MiB in frames of 64 bytes to 4 MiB"},
	{"9.5", "A text of 1 MiB in writes of 64 to 2,048 bytes"},
	{"9.6", "A binary of 1 MiB in writes of 64 to 2,048 bytes"},
	{"9.7", "A thousand texts one by one"},
	{"9.8", "A thousand binaries one by one"},
	{"10.1", "A text in frames of 1,300 bytes"},
	{"12.1", "permessage-deflate: JSON"},
	{"12.2", "permessage-deflate: a picture"},
	{"12.3", "permessage-deflate: German text"},
	{"12.4", "permessage-deflate: HTML"},
	{"12.5", "permessage-deflate: a document of packed parts"},
	{"13.1", "permessage-deflate: the default offer"},
	{"13.2", "permessage-deflate: no context takeover"},
	{"13.3", "permessage-deflate: a window of 9 bits"},
	{"13.4", "permessage-deflate: a window of 15 bits"},
	{"13.5", "permessage-deflate: no context takeover, a window of 9 bits"},
	{"13.6", "permessage-deflate: no context takeover, a window of 15 bits"},
	{"13.7", "permessage-deflate: three offers"},
	{"own/1", "Masking, and lengths not in their shortest form"},
	{"own/2", "Long Pongs"},
	{"own/3", "Reserved bits of other frames"},
	{"own/4", "A reserved opcode inside a message"},
	{"own/5", "More of fragmentation"},
	{"own/6", "More of UTF-8"},
	{"own/7", "More of closing"},
	{"own/10", "Pings in a long message"},
	{"own/12", "permessage-deflate: the standard's examples, and faults"},
	{"own/13", "permessage-deflate: more offers, contents in turn"},
}

// group returns the number of the group that a case belongs to.
func (c Case) group() string {
	parts := strings.Split(c.ID, ".")
	n := 0
	switch {
	case parts[0] == "6":
		if n, _ = strconv.Atoi(parts[1]); n >= 5 {
			return "6.5-23"
		}
		return "6." + parts[1]
	case len(parts) == 2, strings.HasPrefix(c.ID, "own/"):
		return parts[0]
	}
	return parts[0] + "." + parts[1]
}

const introduction = `<!-- Written by ` + "`make generate`" + ` from package test/conformance. DO NOT EDIT. -->

# Conformance

How package wire is held against RFC 6455, RFC 7692 (permessage-deflate) and what RFC 8441 and RFC 9220 say of
WebSockets over HTTP/2 and HTTP/3. Each MUST and SHOULD is to have a row here. RFC 6455, RFC 8441 and RFC 9220 were
read through for their rows. RFC 7692 could be read only as others quote it, sentence by sentence, in §5, §6, §7 and
§7.1.1 to §7.2.2; these rows are still to be compared with its text:
%s.

%d of %d rows concern an endpoint and are checked; the others are asked of somebody else. Sentences are ours; the
standards' own are what counts.

    make conformance                                        # %d cases, %d requests, %d responses; 8 minutes of CPU
    go test ./test/conformance                              # fewer messages in groups 12 and 13; 12 seconds of CPU
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

const autobahn = `
## Cases

The cases with a number alone are the 517 that the [Autobahn test suite](../test/conformance/autobahn/README.md) plays
against a server, under its numbers: the same frames, cut into the same writes, of the same lengths and counts, with the
same offers, judged by its rules. They are written anew from its sources, since it needs Python 2. Ours are the contents
of the five files that groups 12 and 13 cut their messages from, of the same kinds and lengths; the masking key; and the
patience: what Autobahn expects within a second or so has a minute, and where it pauses between frames of 5.19 and 5.20
the first Pong must come. Cases that begin with own/ are ours.

As a check from outside, the suite's own cases were ported to Python 3 and run with its own client (autobahn-python
22.7.1) against the echo server: groups 1 to 10 gave 298 OK and 3 INFORMATIONAL, groups 12 and 13, with ten messages a
case, 216 OK.

The test fails if a case does not earn the verdict that stands here, and it asks for more than Autobahn does: all
answers to what came before a fault, the very code where Autobahn takes several or none, and UTF-8 in reasons.

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
	fmt.Fprintf(&b, introduction, strings.Join(notCompared, ", "), ours, len(requirements),
		len(cases), len(Handshakes()), len(Answers()))
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
	b.WriteString(autobahn)
	ids, total, verdicts := map[string][]string{}, 0, map[Verdict]int{}
	for _, c := range cases {
		id := c.ID
		if c.Informational {
			id += " (" + string(Informational) + ")"
		}
		ids[c.group()] = append(ids[c.group()], id)
		if !strings.HasPrefix(c.ID, "own/") {
			total++
			verdicts[c.Expected()]++
		}
	}
	line("%d cases: %d OK, %d INFORMATIONAL; none NON-STRICT, FAILED or UNIMPLEMENTED. The same holds for how the",
		total, verdicts[OK], verdicts[Informational])
	line("connections end.\n")
	line("| group | cases | what | ids |\n| --- | ---: | --- | --- |")
	for _, g := range groups {
		line("| %s | %d | %s | %s |", g.number, len(ids[g.number]), g.title, strings.Join(ids[g.number], " "))
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
