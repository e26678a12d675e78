package content_test

import (
	"fmt"
	"time"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/endpoint/content"
	"github.com/sockeye-project/sockeye/wire"
)

// A policy can be asked without an endpoint, as a backend's tests might.
func ExamplePolicy_Check() {
	policy, err := content.Load("testdata/chat")
	if err != nil {
		fmt.Println(err)
		return
	}
	anna := content.Sender{
		Subprotocol: "chat.v1",
		Identity:    auth.Identity{Subject: "anna", Scopes: auth.NewSet("chat.write")},
	}
	for _, text := range []string{
		`{"type": "post", "v": 2, "room": "lobby", "text": "hello"}`,
		`{"type": "post", "v": 2, "room": "lobby"}`,
		`{"type": "kick", "user": "bob"}`,
	} {
		v := policy.Check(&anna, wire.Message{Opcode: wire.OpText, Payload: []byte(text)}, time.Now())
		fmt.Printf("%q %q\n", v.Refused, v.Schema)
	}
	// Output:
	// "" "chat.v1/post@2"
	// "schema_invalid" "chat.v1/post@2"
	// "acl_denied" ""
}
