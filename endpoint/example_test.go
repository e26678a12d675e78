package endpoint_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// An echo with authentication, limits and events. Instead of the function, [auth] has JWT, tickets and client certificates.
func Example() {
	e, err := endpoint.New(endpoint.Config{
		Authenticator: auth.AuthenticatorFunc(func(_ context.Context, c auth.Credential) (auth.Identity, error) {
			if c.Token != "let-me-in" {
				return auth.Identity{}, auth.Refused
			}
			return auth.Identity{Subject: "ann"}, nil
		}),
		Origins: wire.Origins{AllowMissing: true}, // this client is no browser
		Handle: func(ctx context.Context, s *endpoint.Session) error {
			for m, err := range s.Messages() {
				if err != nil {
					return err
				}
				if err := s.Send(m.Opcode, append([]byte(s.Identity().Subject+" said "), m.Payload...)); err != nil {
					return err
				}
			}
			return nil
		},
		Observer: endpoint.ObserverFunc(func(e *event.Event) { fmt.Println(e.Name) }),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := e.Server(endpoint.ServerSettings{}) // with CertFile and KeyFile: wss
	if err != nil {
		fmt.Println(err)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go server.Serve(listener)

	client, _, err := websocket.DefaultDialer.Dial("ws://"+listener.Addr().String(),
		http.Header{"Authorization": {"Bearer let-me-in"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	if err := client.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		fmt.Println(err)
		return
	}
	_, answer, err := client.ReadMessage()
	if err != nil {
		fmt.Println(err)
		return
	}
	go client.ReadMessage() // which answers the Close frame

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%s\n", answer)
	// Output:
	// websocket.auth
	// websocket.open
	// websocket.policy.changed
	// websocket.message
	// websocket.message
	// websocket.close
	// ann said hello
}

// Operators are served at a loopback address, or elsewhere with certificates of theirs.
func ExampleEndpoint_Admin() {
	blocks := endpoint.NewBlocks(0, nil)
	e, err := endpoint.New(endpoint.Config{
		Authenticator: auth.AuthenticatorFunc(func(context.Context, auth.Credential) (auth.Identity, error) {
			return auth.Identity{Subject: "ann"}, nil
		}),
		Handle:  func(context.Context, *endpoint.Session) error { return nil },
		HashKey: []byte("sixteen bytes or more"),
		Blocks:  blocks,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Shutdown(context.Background())
	admin, err := e.Admin(endpoint.AdminSettings{})
	if err != nil {
		fmt.Println(err)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") // 127.0.0.1:8444 is where `sockeye endpoint` asks
	if err != nil {
		fmt.Println(err)
		return
	}
	go admin.Serve(listener)
	defer admin.Shutdown(context.Background())

	response, err := http.Post("http://"+listener.Addr().String()+"/v1/block", "application/json",
		strings.NewReader(`{"address": "203.0.113.0/24", "reason": "flood", "for": "30m"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	fmt.Println(response.Status)
	for _, b := range blocks.All() {
		fmt.Println(b.Address, b.Reason)
	}
	http.DefaultClient.CloseIdleConnections()
	// Output:
	// 200 OK
	// 203.0.113.0/24 flood
}
