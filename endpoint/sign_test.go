package endpoint_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// signer is the client's side of a connection whose messages are signed.
type signer struct {
	*client
	id           string
	sign, verify *auth.MessageKey
}

var annsSecret = bytes.Repeat([]byte("s"), 32)

func signs() endpoint.Config {
	set := withTokens()
	set.MessageSecret = func(id auth.Identity) []byte {
		if id.Subject != "ann" {
			return nil
		}
		return annsSecret
	}
	return set
}

// signed reads the first message and makes the keys.
func signed(t *testing.T, c *client, secret []byte) *signer {
	t.Helper()
	first := string(c.next().Payload)
	id, ok := strings.CutPrefix(first, `{"session":"`)
	require.True(t, ok, first)
	s := &signer{client: c, id: strings.TrimSuffix(id, `"}`)}
	session, err := auth.SessionSecret(secret, s.id)
	require.NoError(t, err)
	s.sign, err = auth.NewMessageKey(session, wire.Client)
	require.NoError(t, err)
	s.verify, err = auth.NewMessageKey(session, wire.Server)
	require.NoError(t, err)
	return s
}

func (s *signer) say(text string) { s.text(string(s.sign.Sign(nil, wire.OpText, []byte(text)))) }

func (s *signer) hears(want string) {
	s.t.Helper()
	m := s.next()
	payload, err := s.verify.Verify(m.Opcode, m.Payload)
	require.NoError(s.t, err)
	require.Equal(s.t, want, string(payload))
}

func TestSignedMessagesComeAndGoWithoutTheirSignatures(t *testing.T) {
	t.Parallel()
	set := signs()
	set.FirstMessage, set.InBandRefresh = true, true
	set.Deflate = &wire.Deflate{}
	s := serve(t, set)
	for _, first := range []bool{false, true} {
		var c *client
		if first {
			c = s.open(t)
			c.text(`{"auth":"good-ann"}`)
		} else {
			c = s.open(t, ann)
		}
		me := signed(t, c, annsSecret)
		for i := range 20 {
			me.say(fmt.Sprint("message ", i))
		}
		me.say(`{"auth":"good-ann"}`) // refreshes, and is signed too
		me.send(string(c.writer.AppendMessage(nil, wire.OpBinary, me.sign.Sign(nil, wire.OpBinary, []byte{1}))))
		for i := range 20 {
			me.hears(fmt.Sprint("message ", i))
		}
		me.hears("\x01")
		s.Sessions(func(other *endpoint.Session) bool {
			if other.ID() == me.id {
				require.NoError(t, other.Post(wire.OpText, []byte("news")))
			}
			return true
		})
		me.hears("news")
		me.bye()
	}
	s.log.wait(event.AuthRefreshed, nil)
	require.Empty(t, s.log.all(event.MessageRejected))
}

func TestAMessageThatIsNotWhatWasSignedClosesTheConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, signs())
	other := signed(t, s.open(t, ann), annsSecret)
	recorded := string(other.sign.Sign(nil, wire.OpText, []byte("pay")))
	other.text(recorded)
	other.hears("pay")
	for sentence, c := range map[string]struct {
		send   func(*signer)
		reason auth.Failure
	}{
		"not signed": {func(me *signer) { me.text("hello") }, auth.MessageUnsigned},
		"changed": {func(me *signer) {
			me.text(string(me.sign.Sign(nil, wire.OpText, []byte("pay 1"))) + "000")
		}, auth.MessageForged},
		"repeated": {func(me *signer) {
			text := string(me.sign.Sign(nil, wire.OpText, []byte("pay")))
			me.text(text)
			me.hears("pay")
			me.text(text)
		}, auth.MessageOutOfOrder},
		"after one that was held back": {func(me *signer) {
			me.sign.Sign(nil, wire.OpText, []byte("do not"))
			me.say("pay")
		}, auth.MessageOutOfOrder},
		"of another session":  {func(me *signer) { me.text(recorded) }, auth.MessageForged},
		"our own, sent back":  {func(me *signer) { me.say("x"); me.text(string(me.next().Payload)) }, auth.MessageForged},
		"with another code":   {func(me *signer) { me.text(recorded[:2] + "A" + recorded[3:]) }, auth.MessageForged},
		"a token, not signed": {func(me *signer) { me.text(`{"auth":"good-ann"}`) }, auth.MessageUnsigned},
		"another type of frame": {func(me *signer) {
			me.send(string(me.writer.AppendMessage(nil, wire.OpBinary, []byte(recorded))))
		}, auth.MessageForged},
	} {
		t.Run(sentence, func(t *testing.T) {
			me := signed(t, s.open(t, ann), annsSecret)
			c.send(me)
			me.text("what comes behind is not looked at")
			code, why := me.closed()
			require.Equal(t, wire.ClosePolicyViolation, code)
			require.Equal(t, c.reason.Reason(), why)
			mine := has(event.ConnectionID, me.id)
			rejected := s.log.wait(event.MessageRejected, mine)
			require.Equal(t, event.SignatureInvalid, rejected.String(event.ErrorType))
			require.Equal(t, event.FaultClient, rejected.Facts().Fault)
		})
	}
	other.say("goes on")
	other.hears("goes on")
}

func TestWhoHasNoSecretIsNotLetIn(t *testing.T) {
	t.Parallel()
	set := signs()
	set.FirstMessage = true
	s := serve(t, set)
	refused := s.dial(t, handshake+"Authorization: Bearer good-bob\r\n\r\n")
	require.Equal(t, http.StatusForbidden, refused.status())
	require.Equal(t, event.Forbidden, s.log.wait(event.Auth, nil).String(event.ErrorType))
	c := s.open(t)
	var waits *endpoint.Session
	s.eventually(t, "the session is listed, which may be after its client has the answer", func() bool {
		s.Sessions(func(each *endpoint.Session) bool {
			waits = each
			return true
		})
		return waits != nil
	})
	require.ErrorContains(t, waits.Post(wire.OpText, []byte("news")), "must be signed")
	c.text(`{"auth":"good-bob"}`)
	code, _ := c.closed()
	require.Equal(t, wire.CloseCode(3003), code)

	set.Authenticator, set.InsecureAnonymous, set.FirstMessage = nil, true, false
	set.Queue.Slow = endpoint.DropOldest
	_, err := endpoint.New(set)
	require.EqualError(t, err, "MessageSecret: needs an Authenticator\n"+
		"MessageSecret: goes not with DropOldest, since a client takes what was dropped for an attack")
}

// A signed message over its rate is dropped and no hole: those behind it are in order.
// A client is not to blame for a secret that is taken away while it shakes hands.
func TestASecretThatGoesDuringTheHandshake(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	set := signs()
	set.MessageSecret = func(auth.Identity) []byte {
		if asked.Add(1) > 1 {
			return nil
		}
		return annsSecret
	}
	s := serve(t, set)
	require.Zero(t, s.dial(t, handshake+ann+"\r\n").status())
	require.Equal(t, event.OtherError, s.log.wait(event.HandshakeRejected, nil).String(event.ErrorType))
	require.Eventually(t, func() bool { return s.Stats().Connections == 0 }, patience, 5*time.Millisecond)
}

func TestSignedMessagesMayBeDropped(t *testing.T) {
	t.Parallel()
	set := signs()
	set.Limits.Connection.Allowance.Messages = 2
	set.Limits.Connection.Allowance.Bytes = 1 << 20
	set.Limits.Period = 1 << 62
	set.Limits.Excess = endpoint.DropOnExcess
	s := serve(t, set)
	me := signed(t, s.open(t, ann), annsSecret)
	for range 5 {
		me.say("x")
	}
	me.hears("x")
	me.hears("x")
	me.bye()
	rejected := s.log.wait(event.MessageRejected, nil)
	require.Equal(t, event.QuotaExceeded, rejected.String(event.ErrorType))
	require.EqualValues(t, 3, rejected.Get(event.MessageCount).Int())
}

var exampleInDocs = regexp.MustCompile("(?m)^    (secret|session|client|server): (.*)$")

// TestTheExampleOfTheDocumentationIsRight: others write clients by it.
func TestTheExampleOfTheDocumentationIsRight(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/signed-messages.md")
	require.NoError(t, err)
	lines := map[string]string{}
	for _, m := range exampleInDocs.FindAllStringSubmatch(string(text), -1) {
		lines[m[1]] = m[2]
	}
	require.Len(t, lines, 4)
	session, err := auth.SessionSecret([]byte(lines["secret"]), lines["session"])
	require.NoError(t, err)
	for name, from := range map[string]wire.Side{"client": wire.Client, "server": wire.Server} {
		key, err := auth.NewMessageKey(session, from)
		require.NoError(t, err)
		require.Equal(t, lines[name], string(key.Sign(nil, wire.OpText, []byte("hello"))))
	}
}
