package endpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/wire"
)

// crowded is an endpoint that is served, with n connections besides: they have no socket, since a process may not have so
// many, and nobody looks at them but the sweep.
func crowded(t testing.TB, n int) (e *Endpoint, addr string) {
	t.Helper()
	e, err := New(Config{
		Handle: func(_ context.Context, s *Session) error {
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
		InsecureAnonymous: true, Origins: wire.Origins{AllowMissing: true}, HashKey: []byte("0123456789abcdef"),
		Timeouts: Timeouts{Ping: -1, Idle: -1, Lifetime: -1}, Limits: Limits{Connection: Quota{Messages: NoRate, Bytes: NoRate}},
	})
	require.NoError(t, err)
	crowd := make([]*Session, n)
	for i := range crowd {
		s := &Session{e: e, subprotocol: "chat.v1", opened: e.nanos()}
		e.random(s.peer.id[:])
		s.peer.path = "/rooms/" + strings.Repeat("x", i%64)
		s.peer.client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
		s.tier.Store(e.standard)
		s.setIdentity(auth.Identity{Subject: "user", Tenant: "acme"})
		e.active.Add(1)
		e.join(s)
		crowd[i] = s
	}
	server, err := e.Server(ServerSettings{})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		for _, s := range crowd {
			e.leave(s)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		require.NoError(t, <-served)
	})
	return e, listener.Addr().String()
}

// talk has messages echoed on a connection of its own until stop is closed, and returns how many were.
func talk(addr string, stop <-chan struct{}) (n int, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: chat.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	b, head := make([]byte, 4096), ""
	for !strings.Contains(head, "\r\n\r\n") {
		got, err := conn.Read(b)
		if err != nil {
			return 0, err
		}
		head += string(b[:got])
	}
	w := wire.NewWriter(wire.WriterSettings{})
	for {
		select {
		case <-stop:
			return n, nil
		default:
		}
		if err = conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return n, err
		}
		if _, err = conn.Write(w.AppendMessage(nil, wire.OpText, []byte("hello"))); err != nil {
			return n, err
		}
		if _, err = io.ReadFull(conn, b[:2+5]); err != nil {
			return n, err
		}
		n++
	}
}

// Operators list 10,000 connections, by all that there is to filter by, while messages come and go.
func TestListingManyConnections(t *testing.T) {
	t.Parallel()
	e, addr := crowded(t, 10_000)
	stop, talked := make(chan struct{}), make(chan error, 1)
	var echoes int
	go func() {
		var err error
		echoes, err = talk(addr, stop)
		talked <- err
	}()
	seen, after, pages := map[string]bool{}, "", 0
	for {
		page, next := e.Connections(Filter{UserHash: e.UserHash("user"), Tenant: "acme", Subprotocol: "chat.v1"}, after, 0)
		pages++
		require.LessOrEqual(t, len(page), maxPage)
		text, err := json.Marshal(page)
		require.NoError(t, err)
		require.Less(t, len(text), 1<<20)
		for _, c := range page {
			require.False(t, seen[c.ID])
			seen[c.ID] = true
		}
		if after = next; after == "" {
			break
		}
	}
	require.Len(t, seen, 10_000)
	require.Equal(t, 10, pages)
	close(stop)
	require.NoError(t, <-talked)
	t.Logf("%d echoes meanwhile", echoes)
}

func BenchmarkListConnections(b *testing.B) {
	e, _ := crowded(b, 10_000)
	for name, f := range map[string]Filter{
		"all": {}, "by user": {UserHash: e.UserHash("nobody")}, "by address": {Address: netip.MustParsePrefix("10.0.1.0/24")},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.Connections(f, "", 100)
			}
		})
	}
}

// FuzzAdminRequest reads requests as they come. What is taken is within bounds; what is refused is not quoted.
func FuzzAdminRequest(f *testing.F) {
	for _, text := range []string{
		`{"id":"9f3c61d0a2b44e079f3c61d0a2b44e07","code":4001,"reason":"bye"}`, `{"filter":{"address":"203.0.113.0/24"}}`,
		`{"all":true}`, `{"subject":"ann","tenant":"acme","before":"2026-11-22T10:00:11Z","for":"1h"}`,
		`{"address":"2001:db8::1","reason":"flood","for":"10m"}`, `{"user_hash":"p1:abcdefgh:abcdefghijklmnopqrstuvwxya"}`,
		`limit=10&after=9f3c61d0a2b44e079f3c61d0a2b44e07&address=203.0.113.7&path=/chat`, `{"tenant":"` + "\xff" + `"}`, `{}{}`, `[`,
	} {
		f.Add([]byte(text))
	}
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, text []byte) {
		refused := func(err error) bool {
			var answer *adminError
			if err != nil && (!errors.As(err, &answer) || len(err.Error()) > 400) {
				t.Fatalf("%v", err)
			}
			return err != nil
		}
		if q, err := parseList(string(text)); !refused(err) && (q.limit < 1 || q.limit > maxPage) {
			t.Fatalf("%+v", q)
		}
		if q, err := decodeBody[closeRequest](bytes.NewReader(text), "…"); !refused(err) {
			if f, err := q.parse(); !refused(err) {
				if !wire.CloseCode(q.Code).Sendable() || f == (Filter{}) && q.ID == "" && !q.All {
					t.Fatalf("%+v", q)
				}
				w := wire.NewWriter(wire.WriterSettings{Side: wire.Server})
				w.AppendClose(nil, wire.CloseCode(q.Code), q.Reason)
			}
		}
		if q, err := decodeBody[revokeRequest](bytes.NewReader(text), "…"); !refused(err) {
			if r, err := q.parse(now); !refused(err) {
				list := auth.NewRevocations(1, func() time.Time { return now })
				if err := list.Add(r); err != nil || list.Len() != 1 {
					t.Fatalf("%+v: %v", r, err)
				}
			}
		}
		if q, err := decodeBody[blockRequest](bytes.NewReader(text), "…"); !refused(err) {
			if b, err := q.parse(now, func(string) string { return "hash" }); !refused(err) {
				list := NewBlocks(1, func() time.Time { return now })
				if err := list.Add(b); err != nil || len(list.All()) != 1 || b.Until.After(now.Add(maxAdminFor)) {
					t.Fatalf("%+v: %v", b, err)
				}
				if b.Address.IsValid() && !list.address(b.Address.Addr()) || !list.Lift(b) {
					t.Fatalf("%+v", b)
				}
			}
		}
	})
}
