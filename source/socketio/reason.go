package socketio

import (
	"strings"

	"github.com/sockeye-project/sockeye/event"
)

// end is what the reason that Socket.IO gives to "disconnect" says about the connection.
type end struct {
	initiator, errorType string
	// clean is how it ended, where known.
	clean event.Value
}

// ends are the server's reasons (https://socket.io/docs/v4/server-socket-instance/#disconnect). The server sees no Close
// frame, only what it makes of one, so everything here is a conclusion.
var ends = map[string]end{
	// Asked for by a packet or a call: both sides know.
	"client namespace disconnect": {initiator: event.InitiatorClient, clean: event.Bool(true)},
	"server namespace disconnect": {initiator: event.InitiatorServer, clean: event.Bool(true)},
	"server shutting down":        {initiator: event.InitiatorServer},
	// The client went without saying so.
	"transport close": {initiator: event.InitiatorClient, errorType: event.ConnectionLost, clean: event.Bool(false)},
	"ping timeout":    {initiator: event.InitiatorServer, errorType: event.ConnectionLost, clean: event.Bool(false)},
	"transport error": {errorType: event.OtherError, clean: event.Bool(false)},
	"parse error":     {initiator: event.InitiatorServer, errorType: event.OtherError, clean: event.Bool(false)},
	"forced close":    {initiator: event.InitiatorServer},
}

func endOf(reason string) end {
	e, ok := ends[reason]
	if !ok || e.initiator == "" {
		e.initiator = event.InitiatorUnknown
	}
	return e
}

// set writes e into a close.
func (e end) set(c *event.Event) {
	c.SetString(event.CloseInitiator, e.initiator)
	if e.errorType != "" {
		c.SetString(event.ErrorType, e.errorType)
	}
	c.Set(event.CloseClean, e.clean)
}

// refusal returns the error type of the text of an error that a middleware gave, or "" if it is not about who the client
// is. The text is the application's own, so this looks for the usual words.
func refusal(text string) string {
	text = strings.ToLower(text)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("expired"):
		return event.TokenExpired
	case has("forbidden", "not allowed"):
		return event.Forbidden
	case has("invalid token", "invalid signature", "jwt malformed"):
		return event.TokenInvalid
	case has("auth", "token", "credential", "login"):
		return event.Unauthenticated
	}
	return ""
}
