package auth_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/wire"
)

// issuer returns an issuer's key, as its JWK Set would have it, and a token that it signed.
func issuer() (auth.Key, string) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	key, err := auth.NewKey("2026-03", public)
	if err != nil {
		panic(err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": "https://id.example.com", "aud": "wss://chat.example.com", "sub": "alice", "org": "acme",
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "scope": "read write",
	})
	token.Header["kid"] = "2026-03"
	text, err := token.SignedString(private)
	if err != nil {
		panic(err)
	}
	return key, text
}

// A server verifies the token of a handshake. In production the keys are auth.NewRemoteKeys, with the issuer's URL.
func Example() {
	key, token := issuer()
	tokens, err := auth.NewJWT(auth.JWTConfig{
		Keys:       auth.NewKeySet(key),
		Algorithms: []string{"EdDSA"},
		Issuer:     "https://id.example.com",
		Audiences:  []string{"wss://chat.example.com"},
		Claims:     auth.ClaimNames{Tenant: "org"},
	})
	if err != nil {
		panic(err)
	}

	// A page cannot set Authorization for a WebSocket, but it can offer subprotocols.
	r := httptest.NewRequest(http.MethodGet, "/chat", nil)
	r.Header.Set("Sec-WebSocket-Protocol", "chat.v1, bearer, "+token)

	c, err := auth.DefaultSources().FromRequest(r, "")
	if err != nil {
		panic(err)
	}
	id, err := tokens.Authenticate(context.Background(), c)
	fmt.Println(id.Subject, id.Tenant, id.Scopes.Has("write"), id.Method, err)

	c.Token += "x"
	_, err = tokens.Authenticate(context.Background(), c)
	f := auth.FailureOf(err)
	fmt.Println(f.Rule(), f.Status(), f.Fault(), f.CloseCode())
	// Output:
	// alice acme true subprotocol <nil>
	// malformed_token 401 client 3000
}

// A page gets a ticket over HTTPS, and shows it in the URL of the handshake.
func ExampleTickets() {
	key, token := issuer()
	tokens, err := auth.NewJWT(auth.JWTConfig{
		Keys: auth.NewKeySet(key), Algorithms: []string{"EdDSA"},
		Issuer: "https://id.example.com", Audiences: []string{"wss://chat.example.com"},
	})
	if err != nil {
		panic(err)
	}
	tickets, err := auth.NewTickets(auth.TicketsConfig{})
	if err != nil {
		panic(err)
	}
	origins, err := wire.ParseOrigins("https://app.example.com")
	if err != nil {
		panic(err)
	}
	http.Handle("/ticket", &auth.TicketHandler{Tickets: tickets, Authenticator: tokens, Origins: origins})

	// What the handler does for a request of alice's:
	id, err := tokens.Authenticate(context.Background(), auth.Credential{Method: auth.Bearer, Token: token})
	if err != nil {
		panic(err)
	}
	ticket, err := tickets.Issue(id, "https://app.example.com", netip.Addr{})
	if err != nil {
		panic(err)
	}

	// What an endpoint does, with auth.Chain(tokens, tickets) as its Authenticator:
	r := httptest.NewRequest(http.MethodGet, "/chat?ticket="+ticket, nil)
	c, err := auth.DefaultSources().FromRequest(r, "https://app.example.com")
	if err != nil {
		panic(err)
	}
	for range 2 {
		id, err = auth.Chain(tokens, tickets).Authenticate(context.Background(), c)
		fmt.Println(id.Subject, err)
	}
	fmt.Println(auth.RedactQuery(r.URL.RawQuery))
	// Output:
	// alice <nil>
	//  auth: ticket used before
	// ticket=REDACTED
}

// Revocations end what is live as well.
func ExampleRevocations() {
	list := auth.NewRevocations(0, nil)
	stop := list.Watch(func(r auth.Revocation) {
		live := auth.Identity{Subject: "alice", TokenID: "t1"}
		fmt.Println("ends:", r.Matches(live))
	})
	defer stop()
	err := list.Add(auth.Revocation{Subject: "alice"})
	fmt.Println(list.Revoked(auth.Identity{Subject: "alice"}), err)
	// Output:
	// ends: true
	// true <nil>
}

// A client signs what it sends, and the server finds out what was sent twice.
func ExampleMessageKey() {
	secret := []byte("32 random bytes of this session!")
	client, err := auth.NewMessageKey(secret, wire.Client)
	if err != nil {
		panic(err)
	}
	server, err := auth.NewMessageKey(secret, wire.Client)
	if err != nil {
		panic(err)
	}
	message := client.Sign(nil, wire.OpText, []byte("sell 10"))
	fmt.Printf("%s\n", message)
	for range 2 {
		payload, err := server.Verify(wire.OpText, message)
		fmt.Printf("%q %v\n", payload, err)
	}
	// Output:
	// 1.UDi2qDg4cyvS-0Ya3BJqDIMF_xvHchosfhZjbB4hH-o.sell 10
	// "sell 10" <nil>
	// "" auth: message repeated, or one before it missing
}
