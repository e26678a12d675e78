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
	line("<!-- Written by `make generate` from package test/conformance. DO NOT EDIT. -->\n")
	line("# Conformance\n")
	line("How package `wire` is held against RFC 6455 and RFC 7692. Every MUST and SHOULD that concerns an endpoint has a row: %d of %d are",
		ours, len(requirements))
	line("checked, the others are asked of somebody else. Sentences are ours; the standard's own are what counts.\n")
	line("    go test ./test/conformance                              # all of it: %d cases, %d requests, %d responses",
		len(cases), len(Handshakes()), len(Answers()))
	line("    go run ./test/conformance/echo -addr 127.0.0.1:9001     # the server that is tried\n")
	line("A *case* is what a client sends, frame by frame. It goes to the echo server over TCP, and to the reader alone in every")
	line("split in two and byte by byte; of what is longer than 1 KiB in a bounded set of splits. Frames are built and answers read by")
	line("code that knows nothing of `wire`. A *request* or *response* is a head, parsed in every split; requests also go to the server.")
	for _, standard := range []string{"6455", "7692"} {
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
	line("\n## Compared with other libraries\n")
	line("Fuzzing gives the same bytes to `wire`, gorilla/websocket and coder/websocket, from a client and from a server, with and")
	line("without compression, and compares messages, control frames and verdicts. What is not in this table fails.\n")
	line("| difference | of | who is right | section | what |\n| --- | --- | --- | --- | --- |")
	for _, d := range Differences() {
		peer, right := d.Peer, d.Right
		line("| %s | %s | %s | %s | %s |", d.Name, peer, right, d.Section, d.Text)
	}
	line("\nRuns, each `go test -fuzz` with two workers on one shared machine:\n")
	line("| target | what | time | executions | found |\n| --- | --- | ---: | ---: | --- |")
	for _, r := range fuzzRuns {
		line("| `%s` | %s | %s | %s | %s |", r.target, r.what, r.time, thousands(r.executions), r.found)
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

// fuzzRun is a run of a fuzz target that found nothing more.
type fuzzRun struct {
	target, what, time string
	executions         int
	found              string
}

var fuzzRuns = []fuzzRun{}
