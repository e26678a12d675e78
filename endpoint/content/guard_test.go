package content_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/endpoint/content"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// directory copies testdata/chat, with changes to its files.
func directory(t testing.TB, changes ...string) string {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/chat")))
	edit(t, dir, "content.yaml", changes...)
	return dir
}

// edit replaces texts in a file: each by the next. The file changes at once.
func edit(t testing.TB, dir, name string, changes ...string) {
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := 0; i < len(changes); i += 2 {
		require.Contains(t, string(text), changes[i])
	}
	next := filepath.Join(dir, ".next")
	require.NoError(t, os.WriteFile(next, []byte(strings.NewReplacer(changes...).Replace(string(text))), 0o600))
	require.NoError(t, os.Rename(next, path))
}

// service is an endpoint that echoes what its guard lets through.
type service struct {
	guard *content.Guard
	addr  string
	mu    sync.Mutex
	told  []*event.Event
}

func serve(t testing.TB, set content.Settings, changes ...func(*endpoint.Config)) *service {
	s := &service{}
	var err error
	set.Now = func() time.Time { return time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC) }
	s.guard, err = content.New(set)
	require.NoError(t, err)
	config := endpoint.Config{
		Authenticator: auth.AuthenticatorFunc(func(context.Context, auth.Credential) (auth.Identity, error) {
			return auth.Identity{Subject: "anna", Tenant: "acme", Scopes: auth.NewSet("chat.write")}, nil
		}),
		Origins: wire.Origins{AllowMissing: true}, Subprotocols: []string{"chat.v1"},
		Validate: s.guard.Validate,
		Limits:   endpoint.Limits{Connection: endpoint.Quota{Messages: endpoint.NoRate, Bytes: endpoint.NoRate}},
		Observer: endpoint.ObserverFunc(func(e *event.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if err := e.Validate(); err != nil {
				t.Error(err)
			}
			copied := e.Clone()
			s.told = append(s.told, &copied)
		}),
		Handle: func(_ context.Context, session *endpoint.Session) error {
			for m, err := range session.Messages() {
				if err != nil {
					return err
				}
				if err := session.Send(m.Opcode, m.Payload); err != nil {
					return err
				}
			}
			return nil
		},
	}
	for _, change := range changes {
		change(&config)
	}
	e, err := endpoint.New(config)
	require.NoError(t, err)
	server, err := e.Server(endpoint.ServerSettings{})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		require.NoError(t, <-served)
	})
	s.addr = listener.Addr().String()
	return s
}

// dial opens a connection.
func (s *service) dial(t testing.TB) (net.Conn, *bufio.Reader) {
	conn, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	offer := wire.Offer{Host: "chat", Key: wire.NewKey(), Subprotocols: []string{"chat.v1"}}
	request, err := wire.AppendRequest(nil, "/", offer, http.Header{"Authorization": {"Bearer x"}})
	require.NoError(t, err)
	_, err = conn.Write(request)
	require.NoError(t, err)
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	return conn, in
}

// exchange sends messages and a last one that is accepted, and returns what comes back until that one does.
func (s *service) exchange(t testing.TB, messages ...string) (back []string, closed wire.CloseCode) {
	conn, in := s.dial(t)
	defer conn.Close()
	const last = `{"type":"ping","last":true}`
	writer := wire.NewWriter(wire.WriterSettings{})
	var out []byte
	for _, m := range append(messages, last) {
		out = writer.AppendMessage(out, wire.OpText, []byte(m))
	}
	_, err := conn.Write(out)
	require.NoError(t, err)
	reader := wire.NewMessageReader(wire.ReaderSettings{From: wire.Server})
	defer reader.Release()
	buffer := make([]byte, 64<<10)
	for {
		n, err := in.Read(buffer)
		require.NoError(t, err)
		for rest := buffer[:n]; ; {
			var m wire.Message
			m, rest, err = reader.Next(rest)
			require.NoError(t, err)
			if !m.Ready() {
				break
			}
			if m.Opcode == wire.OpClose {
				code, _, _ := wire.ParseClose(m.Payload)
				return back, code
			}
			if string(m.Payload) == last {
				return back, 0
			}
			back = append(back, string(m.Payload))
		}
	}
}

// events waits until there are n of a name.
func (s *service) events(t testing.TB, name event.Name, n int) (found []*event.Event) {
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		found = nil
		for _, e := range s.told {
			if e.Name == name {
				found = append(found, e)
			}
		}
		return len(found) >= n
	}, 10*time.Second, 5*time.Millisecond)
	require.Len(t, found, n)
	return found
}

const (
	good = `{"type":"post","v":2,"room":"lobby","text":"hello"}`
	bad  = `{"type":"post","v":2,"room":"lobby","text":"hello","mood":"secret"}`
	kick = `{"type":"kick","user":"x"}`
)

func TestWhatIsRefusedDoesNotReachTheHandlerAndIsTold(t *testing.T) {
	t.Parallel()
	s := serve(t, content.Settings{Directory: directory(t)})
	back, _ := s.exchange(t, good, bad, kick, `{"type":"post","v":9}`)
	require.Equal(t, []string{good}, back)
	var got []string
	for _, e := range s.events(t, event.MessageRejected, 3) {
		got = append(got, e.String(event.ErrorType)+" "+e.String(event.SchemaID))
		require.Equal(t, event.DirectionReceive, e.String(event.Direction))
		require.NotContains(t, string(e.AppendJSON(nil)), "secret")
	}
	require.Equal(t, []string{"schema_invalid chat.v1/post@2", "acl_denied ", "unsupported_version "}, got)
	require.Equal(t, map[string]int64{"schema_invalid": 1, "acl_denied": 1, "unsupported_version": 1}, s.guard.Stats().Refused)
}

func TestWhatIsObservedPassesAndIsTold(t *testing.T) {
	t.Parallel()
	s := serve(t, content.Settings{Directory: directory(t, "mode: enforce", "mode: observe\non_refusal: close")})
	back, _ := s.exchange(t, good, bad, kick)
	require.Equal(t, []string{good, bad, kick}, back)
	flagged := s.events(t, event.MessageFlagged, 2)
	require.Equal(t, event.SchemaInvalid, flagged[0].String(event.ErrorType))
	require.Equal(t, "chat.v1/post@2", flagged[0].String(event.SchemaID))
	require.Equal(t, event.OutcomeUnknown, flagged[0].Facts().Outcome, "an indicator must not count it as a refusal")
	s.events(t, event.MessageRejected, 0)
	require.Equal(t, content.Stats{
		Refused: map[string]int64{}, Observed: map[string]int64{"schema_invalid": 1, "acl_denied": 1},
	}, s.guard.Stats())
}

func TestARefusalMayCloseTheConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, content.Settings{Directory: directory(t, "mode: enforce", "mode: enforce\non_refusal: close")})
	back, code := s.exchange(t, good, bad)
	require.Equal(t, []string{good}, back)
	require.Equal(t, wire.ClosePolicyViolation, code)
}

func TestACanaryKeepsAConnectionOnOneSide(t *testing.T) {
	t.Parallel()
	s := serve(t, content.Settings{Directory: directory(t, "mode: enforce", "mode: enforce\nenforce_percent: 50")})
	sides := map[int]int{}
	for range 30 {
		back, _ := s.exchange(t, bad, bad, bad)
		sides[len(back)]++
	}
	require.Equal(t, 30, sides[0]+sides[3], "%v", sides)
	require.NotZero(t, sides[0])
	require.NotZero(t, sides[3])
}

func TestACustomValidatorIsAskedLast(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	s := serve(t, content.Settings{Directory: directory(t), Custom: func(session *endpoint.Session, m content.Message) error {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, session.Subprotocol()+" "+m.Type+" "+m.Version+" "+m.Schema)
		switch {
		case strings.Contains(string(m.Payload), "quota"):
			return &endpoint.Rejection{Type: event.QuotaExceeded}
		case strings.Contains(string(m.Payload), "hello"):
			return errors.New("no greetings")
		}
		return nil
	}})
	back, _ := s.exchange(t, bad, good, strings.Replace(good, "hello", "quota", 1))
	require.Empty(t, back)
	rejected := s.events(t, event.MessageRejected, 3)
	require.Equal(t, event.SchemaInvalid, rejected[1].String(event.ErrorType))
	require.Equal(t, "chat.v1/post@2", rejected[1].String(event.SchemaID))
	require.Equal(t, event.QuotaExceeded, rejected[2].String(event.ErrorType))
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []string{"chat.v1 post 2 chat.v1/post@2", "chat.v1 post 2 chat.v1/post@2", "chat.v1 ping  chat.v1/ping"}, asked)
}

func TestAReloadIsWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	dir := directory(t)
	s := serve(t, content.Settings{Directory: dir})
	var traffic sync.WaitGroup
	for range 4 {
		traffic.Go(func() {
			for range 5 {
				back, _ := s.exchange(t, good, bad)
				if len(back) == 0 || back[0] != good {
					t.Errorf("a good message was refused during a reload")
				}
			}
		})
	}
	before := s.guard.Policy()
	edit(t, dir, "post.v2.json", `"const": 2`, `"const": 2,`)
	err := s.guard.Reload()
	var faults content.Faults
	require.ErrorAs(t, err, &faults)
	require.ErrorContains(t, err, "post.v2.json:6:22: not valid JSON: ")
	require.Same(t, before, s.guard.Policy(), "the old policy stays")
	edit(t, dir, "post.v2.json", `"const": 2,`, `"const": 2`, `"happy", `, `"happy", "secret", `)
	for range 20 {
		require.NoError(t, s.guard.Reload())
	}
	traffic.Wait()
	back, _ := s.exchange(t, bad)
	require.Equal(t, []string{bad}, back, "the new policy is in force")
}
