package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/wire"
)

func endpointCommand(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"endpoint"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// managedEndpoint serves clients, whose token is their name, and operators.
func managedEndpoint(t *testing.T) (e *endpoint.Endpoint, clients, operators string) {
	t.Helper()
	e, err := endpoint.New(endpoint.Config{
		Handle: func(_ context.Context, s *endpoint.Session) error {
			for m, err := range s.Messages() {
				if err != nil {
					return err
				}
				if err := s.Send(m.Opcode, m.Payload); err != nil {
					return err
				}
			}
			return nil
		},
		Authenticator: auth.AuthenticatorFunc(func(_ context.Context, c auth.Credential) (auth.Identity, error) {
			return auth.Identity{Subject: c.Token, Tenant: "acme"}, nil
		}),
		Origins: wire.Origins{AllowMissing: true}, HashKey: []byte("0123456789abcdef"),
		Revocations: auth.NewRevocations(0, nil), Blocks: endpoint.NewBlocks(0, nil),
	})
	require.NoError(t, err)
	server, err := e.Server(endpoint.ServerSettings{})
	require.NoError(t, err)
	admin, err := e.Admin(endpoint.AdminSettings{})
	require.NoError(t, err)
	listen := func(serve func(net.Listener) error) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		go func() { _ = serve(l) }()
		return l.Addr().String()
	}
	clients, operators = listen(server.Serve), listen(admin.Serve)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		_ = admin.Shutdown(ctx)
	})
	return e, "ws://" + clients, "http://" + operators
}

func TestEndpointCommands(t *testing.T) {
	e, clients, operators := managedEndpoint(t)
	enter := func(name string) (*websocket.Conn, int) {
		c, resp, err := websocket.DefaultDialer.Dial(clients+"/a%1b[31m", http.Header{"Authorization": {"Bearer " + name}})
		if c == nil {
			require.NotNil(t, resp, err)
			return nil, resp.StatusCode
		}
		t.Cleanup(func() { _ = c.Close() })
		require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
		require.NoError(t, c.WriteMessage(websocket.TextMessage, []byte("hello")))
		_, _, err = c.ReadMessage()
		require.NoError(t, err)
		return c, 101
	}
	closed := func(c *websocket.Conn) int {
		_, _, err := c.ReadMessage()
		var end *websocket.CloseError
		require.ErrorAs(t, err, &end)
		return end.Code
	}
	ask := func(args ...string) string {
		t.Helper()
		code, out, errs := endpointCommand(t, append(args, "--admin", operators)...)
		require.Zero(t, code, errs)
		return out
	}
	ann, _ := enter("ann")
	bob, _ := enter("bob")
	eve, _ := enter("eve")
	fay, _ := enter("fay")

	out := ask("connections")
	require.Equal(t, 5, strings.Count(out, "\n"), out)
	require.Contains(t, out, e.UserHash("ann"))
	require.Contains(t, out, `"/a\x1b[31m"`, "what a client chose does not move the terminal's cursor")
	require.NotContains(t, out, "\x1b")
	require.NotContains(t, out, "ann ")
	code, out, errs := endpointCommand(t, "connections", "--limit", "2", "--admin", operators)
	require.Zero(t, code)
	require.Equal(t, 3, strings.Count(out, "\n"))
	require.Equal(t, "there are more than 2; see --limit\n", errs)
	var list []endpoint.Connection
	require.NoError(t, json.Unmarshal([]byte(ask("connections", "--user-hash", e.UserHash("ann"), "--limit", "0", "-o", "json")), &list))
	require.Len(t, list, 1)
	require.Equal(t, "[]\n", ask("connections", "--tenant", "nobody", "--output", "json"))

	out = ask("inspect", list[0].ID)
	require.Regexp(t, `(?m)^state +open$`, out)
	require.Regexp(t, `(?m)^received +1 messages, \d+ bytes$`, out)
	require.Regexp(t, `(?m)^connections_per_user +31 of 32 left$`, out)
	require.NoError(t, json.Unmarshal([]byte(ask("inspect", list[0].ID, "--output", "json")), &endpoint.Connection{}))

	require.Equal(t, "closed 1 connection\n", ask("close", list[0].ID, "--code", "1012"))
	require.Equal(t, 1012, closed(ann))
	require.Equal(t, "revoked; closed 1 connection\n", ask("revoke", "--subject", "bob", "--tenant", "acme", "--for", "2h"))
	require.Equal(t, 3000, closed(bob))
	require.Equal(t, "blocked; closed 1 connection\n", ask("block", "--subject", "eve", "--reason", "abuse", "--for", "5m"))
	require.Equal(t, 1008, closed(eve))
	_, status := enter("eve")
	require.Equal(t, http.StatusForbidden, status)
	require.Regexp(t, `(?m)^- +`+e.UserHash("eve")+` +- +abuse +\d{4}-`, ask("blocks"))
	require.Contains(t, ask("blocks", "-o", "json"), `"reason": "abuse"`)
	require.Equal(t, "unblocked\n", ask("unblock", "--user-hash", e.UserHash("eve")))
	require.Equal(t, "[]\n", ask("blocks", "-o", "json"))
	_, status = enter("eve")
	require.Equal(t, http.StatusSwitchingProtocols, status)
	require.Equal(t, "closed 2 connections\n", ask("close", "--all"))
	require.Equal(t, 1008, closed(fay))
}

func TestEndpointCommandsThatFail(t *testing.T) {
	_, _, operators := managedEndpoint(t)
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	none := testenv.Address(t)
	for sentence, c := range map[string]struct {
		args []string
		want string
	}{
		"nobody listens": {[]string{"blocks", "--admin", "http://ann:hunter2@" + none},
			"no endpoint answers operators at " + none + ": connect: connection refused; is it running, and is this its admin.endpoint?"},
		"somebody else listens":         {[]string{"blocks", "--admin", other.URL}, "answers, but not like the operators' side of an endpoint (status 404)"},
		"an address that is none":       {[]string{"blocks", "--admin", "127.0.0.1:8444"}, "--admin: write it like http://127.0.0.1:8444"},
		"without TLS":                   {[]string{"blocks", "--admin", strings.Replace(operators, "http", "https", 1)}, "no endpoint answers operators at"},
		"half a certificate":            {[]string{"blocks", "--cert", "x"}, "--cert, --key: need each other"},
		"an authority that is not here": {[]string{"blocks", "--ca", "/none"}, "--ca: open /none"},
		"another form":                  {[]string{"blocks", "-o", "yaml"}, `--output: must be table or json, got "yaml"`},
		"what the endpoint refuses":     {[]string{"block", "--admin", operators, "--address", "0.0.0.0/0"}, "sockeye: address: a network must have at least /8\n"},
		"nothing to close":              {[]string{"close", "--admin", operators}, "say which connections to close"},
		"a connection that is not":      {[]string{"inspect", "../blocks", "--admin", operators}, "no"},
		"a block that is not":           {[]string{"unblock", "--tenant", "x", "--admin", operators}, "there is no such block"},
	} {
		t.Run(sentence, func(t *testing.T) {
			code, out, errs := endpointCommand(t, c.args...)
			require.Equal(t, 1, code, out)
			require.Contains(t, errs, c.want)
			require.NotContains(t, errs, "hunter2")
		})
	}
}
