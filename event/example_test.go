package event_test

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sockeye-project/sockeye/event"
)

// An application writes an event as NDJSON, to a file that Sockeye tails or to its push address.
func ExampleEvent_AppendJSON() {
	e := event.Event{
		Name:     event.Auth,
		Time:     time.Date(2026, 11, 22, 10, 0, 11, 356_000_000, time.UTC),
		Resource: event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("chat")}),
	}
	e.SetString(event.ConnectionID, "9f3c61d0a2b44e07")
	e.SetString(event.Vantage, event.VantageApp)
	e.SetString(event.SourceVisibility, event.VisibilityAtOpen)
	e.SetString(event.SourceEvidence, event.EvidenceObserved)
	e.SetString(event.SourceType, "chat-server")
	e.SetString(event.NetworkProtocolName, event.ProtocolWebSocket)
	e.SetString(event.AuthResult, event.AuthFailure)
	e.SetString(event.ErrorType, event.IDPTimeout)
	e.SetDouble(event.AuthDuration, 5)
	if err := e.Validate(); err != nil {
		fmt.Println(err)
	}
	os.Stdout.Write(append(e.AppendJSON(nil), '\n'))
	// Output:
	// {"time":"2026-11-22T10:00:11.356Z","event":"websocket.auth","websocket.connection.id":"9f3c61d0a2b44e07","websocket.vantage":"app","websocket.source.visibility":"at_open","websocket.source.type":"chat-server","websocket.source.evidence":"observed","network.protocol.name":"websocket","error.type":"idp_timeout","websocket.auth.result":"failure","websocket.auth.duration":5.0,"resource":{"service.name":"chat"}}
}

// A reader learns everything that is wrong with a line, and a reason to count it by.
func ExampleDecoder_Decode() {
	line := []byte(`{"time":"2026-11-22T10:00:11Z","event":"websocket.auth","websocket.connection.id":"c1","websocket.vantage":"moon",` +
		`"websocket.source.visibility":"at_open","websocket.source.type":"chat-server","websocket.auth.duration":"5s","room":"42"}`)
	var d event.Decoder
	var e event.Event
	err := d.Decode(line, &e)
	var de *event.DecodeError
	if errors.As(err, &de) {
		fmt.Println(de.Reason)
		for i := range de.Problems {
			fmt.Println(&de.Problems[i])
		}
	}
	// Output:
	// bad_value
	// byte 87: websocket.vantage: must be one of edge, gateway, app, tap
	// byte 192: websocket.auth.duration: must be a number, got a string
	// byte 223: "room": not an attribute of the event model
	// websocket.auth.result: missing, websocket.auth needs it
}

// Counting goes by Facts, so that every consumer counts alike.
func ExampleEvent_Facts() {
	e := event.Event{Name: event.HandshakeRejected, Time: time.Unix(1795330811, 0)}
	e.SetInt(event.HTTPResponseStatusCode, 504)
	e.SetString(event.ErrorType, event.RejectionFor(504))
	f := e.Facts()
	fmt.Println(f.Outcome, f.Fault, f.Count)
	// Output: failure server 1
}

// Close codes are a metric's dimension only by their class.
func ExampleCloseCodeClass() {
	fmt.Println(event.CloseCodeClass(1000), event.CloseCodeClass(4321), event.CloseCodeClass(4001, 4001), event.CloseCodeClass(17))
	fmt.Println(event.CloseCodeSendable(1006), event.CloseCodeOf(1006).Name)
	// Output:
	// 1000 4xxx 4001 invalid
	// false abnormal_closure
}
