package conformance

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

func TestThereAre517CasesOfAutobahn(t *testing.T) {
	t.Parallel()
	known, count := map[string]int{}, map[string]int{}
	for _, g := range groups {
		known[g.number] = 0
	}
	for _, c := range Cases() {
		require.Contains(t, known, c.group(), c.ID)
		known[c.group()]++
		if !strings.HasPrefix(c.ID, "own/") {
			number, _, _ := strings.Cut(c.ID, ".")
			count[number]++
		}
	}
	require.Equal(t, map[string]int{
		"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54, "10": 1, "12": 5 * 18, "13": 7 * 18,
	}, count)
	for group, n := range known {
		require.Positive(t, n, group)
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	echo := echoed(text("a"))
	refused := sending(text("a"), frame(fin|0x3, nil)).want(text("a")).fails(wire.ReservedOpcode, 1002)
	badClose := sending(closing("a")).fails(wire.InvalidClosePayload, 1002).closing()
	more := echoed(text("a")).then(echoed(text("b")))
	normal := func(s *Script, got ...Message) Outcome {
		return Outcome{Step: s, Received: got, ClosedByClient: true, Clean: true, Code: 1000}
	}
	fault := func(s *Script, got ...Message) Outcome { return Outcome{Step: s, Received: got, Code: 1002} }
	change := func(o Outcome, by func(*Outcome)) Outcome { by(&o); return o }
	for name, c := range map[string]struct {
		outcome       Outcome
		behavior, end Verdict
	}{
		"the echo":                        {normal(&echo, text("a")), OK, OK},
		"a Close without a code":          {change(normal(&echo, text("a")), func(o *Outcome) { o.Code = 0 }), OK, OK},
		"no echo":                         {normal(&echo), Failed, OK},
		"an echo of another type":         {normal(&echo, data([]byte("a"))), Failed, OK},
		"the echo twice":                  {normal(&echo, text("a"), text("a")), Failed, OK},
		"the echo of the first of two":    {normal(&more), Failed, OK},
		"the server closes first":         {change(normal(&echo, text("a")), func(o *Outcome) { o.ClosedByClient = false }), OK, Failed},
		"TCP ends without a Close":        {change(normal(&echo, text("a")), func(o *Outcome) { o.Clean = false }), OK, Unclean},
		"another code":                    {change(normal(&echo, text("a")), func(o *Outcome) { o.Code = 1001 }), OK, WrongCode},
		"the extension is declined":       {change(normal(&echo), func(o *Outcome) { o.Declined = true }), Unimplemented, OK},
		"what is wrong is refused":        {fault(&refused, text("a")), OK, OK},
		"TCP ends at what is wrong":       {change(fault(&refused, text("a")), func(o *Outcome) { o.Code = 0 }), OK, OK},
		"refused with the wrong code":     {change(fault(&refused, text("a")), func(o *Outcome) { o.Code = 1011 }), OK, WrongCode},
		"refused before the first answer": {fault(&refused), NonStrict, OK},
		"refused late":                    {change(fault(&refused, text("a")), func(o *Outcome) { o.Late = true }), NonStrict, OK},
		"something else is answered":      {fault(&refused, text("a"), pong("")), Failed, OK},
		"what is wrong is not refused":    {change(fault(&refused, text("a")), func(o *Outcome) { o.ClosedByClient = true }), OK, Failed},
		"the client has to end TCP":       {change(fault(&refused, text("a")), func(o *Outcome) { o.DroppedByClient = true }), OK, FailedByClient},
		"a bad Close is answered":         {change(fault(&badClose), func(o *Outcome) { o.ClosedByClient = true }), OK, OK},
		"a bad Close is taken for a good": {change(fault(&badClose), func(o *Outcome) { o.ClosedByClient, o.Code = true, 1000 }), Failed, WrongCode},
	} {
		behavior, end := Case{}.Judge(c.outcome)
		require.Equal(t, [2]Verdict{c.behavior, c.end}, [2]Verdict{behavior, end}, name)
	}
	behavior, end := Case{Informational: true}.Judge(normal(&echo))
	require.Equal(t, [2]Verdict{Informational, Informational}, [2]Verdict{behavior, end})
}

// A server of another library, whose faults are known (Differences), earns other verdicts by the same cases.
func TestVerdictsTellServersApart(t *testing.T) {
	t.Parallel()
	upgrader := gorilla.Upgrader{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			op, payload, err := conn.ReadMessage()
			if err != nil || conn.WriteMessage(op, payload) != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	want := map[string][2]Verdict{
		"1.1.8":  {OK, OK},
		"3.2":    {OK, OK},
		"5.20":   {OK, OK},
		"6.3.1":  {OK, Failed}, // it echoes what is no UTF-8, which the client refuses
		"7.13.1": {Informational, Informational},
		"12.1.1": {Unimplemented, OK},
	}
	for _, c := range Cases() {
		verdicts, asked := want[c.ID]
		if !asked {
			continue
		}
		p := dial(t, server.Listener.Addr().String(), c.Offer)
		s := c.Make(terms(c, p.agreed))
		if p.declined { // as Autobahn does
			s = Script{}
		}
		o, err := p.play(s)
		behavior, end := c.Judge(o)
		require.Equal(t, verdicts, [2]Verdict{behavior, end}, "%s: %v", c.ID, err)
	}
}
