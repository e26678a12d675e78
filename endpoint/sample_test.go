package endpoint_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// picky refuses messages by their first letter.
func picky(_ *endpoint.Session, m wire.Message) error {
	switch string(m.Payload[:1]) {
	case "{":
		return &endpoint.Rejection{Type: event.SchemaInvalid, Schema: "chat@1"}
	case "o":
		return &endpoint.Rejection{Type: event.UnknownType, Observed: true}
	case "a":
		return &endpoint.Rejection{Type: event.ACLDenied}
	}
	return nil
}

func TestWhatCouldNotBeParsedIsSampled(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		op            wire.Opcode
		payload, want string
		error         string
		off           bool
	}{
		"JSON that is broken":              {wire.OpText, `{"a":1,`, `{"a":1,`, event.SchemaInvalid, false},
		"what is only observed":            {wire.OpText, `other`, `other`, event.UnknownType, false},
		"text in a binary message":         {wire.OpBinary, `{"a":1`, `{"a":1`, event.SchemaInvalid, false},
		"a binary message":                 {wire.OpBinary, "{\xff\xfe", "", "", false},
		"what the client may not say":      {wire.OpText, `all`, "", "", false},
		"bytes that are no UTF-8":          {wire.OpText, "hello \xff\x00world", "hello \uFFFD\uFFFDworld", event.InvalidUTF8, false},
		"the beginning, up to a delimiter": {wire.OpText, `{"a":"` + strings.Repeat("b ", 30) + `4111111111111111"}`, `{"a":"` + strings.Repeat("b ", 29), event.SchemaInvalid, false},
		"nothing that may be half a value": {wire.OpText, "other" + strings.Repeat("1", 100), "", "", false},
		"nothing, by default":              {wire.OpText, `{"a":1,`, "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := config()
			set.Validate = picky
			if !tt.off {
				set.Samples.Bytes = 64
			}
			s := serve(t, set)
			c := s.open(t)
			c.send(string(c.writer.AppendMessage(nil, tt.op, []byte(tt.payload))))
			if tt.error != event.InvalidUTF8 {
				c.bye()
			}
			s.log.wait(event.Close, nil)
			if tt.want == "" {
				require.NoError(t, s.Shutdown(t.Context()))
				require.Empty(t, s.log.all(event.MessageSampled))
				return
			}
			sample := s.log.wait(event.MessageSampled, nil)
			require.Equal(t, tt.want, sample.String(event.MessageSample))
			require.Equal(t, tt.error, sample.String(event.ErrorType))
			require.Equal(t, int64(len(tt.payload)), sample.Get(event.MessageSize).Int())
			for _, e := range s.log.events {
				require.Equal(t, e.Name == event.MessageSampled, e.Has(event.MessageSample), e.Name)
			}
		})
	}
}

// What comes before a client is known may be its credential, and what no signature was verified of may be anybody's.
func TestWhatNobodyVouchesForIsNotSampled(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		signed bool
		say    func(*testing.T, *client)
	}{
		"a first message with a broken credential": {false, func(_ *testing.T, c *client) { c.text("{\"auth\":\"good-\xff\"}") }},
		"bytes before a signature is looked at":    {true, func(_ *testing.T, c *client) { c.text("hello \xff") }},
		"a message whose signature is wrong":       {true, func(_ *testing.T, c *client) { c.text(`{"a":1,`) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := withTokens()
			if tt.signed {
				set = signs()
			}
			set.FirstMessage, set.Validate, set.Samples.Bytes = !tt.signed, picky, 64
			s := serve(t, set)
			var c *client
			if tt.signed {
				c = s.open(t, ann)
				signed(t, c, annsSecret)
			} else {
				c = s.open(t)
			}
			tt.say(t, c)
			s.log.wait(event.Close, nil)
			require.NoError(t, s.Shutdown(t.Context()))
			require.Empty(t, s.log.all(event.MessageSampled))
		})
	}
}

func TestAFragmentThatIsNoTextIsSampled(t *testing.T) {
	t.Parallel()
	set := config()
	set.Samples.Bytes = 64
	s := serve(t, set)
	c := s.open(t)
	c.send("\x01\x85\x00\x00\x00\x00hello" + "\x00\x83\x00\x00\x00\x00\xff, ")
	s.log.wait(event.Close, nil)
	require.Equal(t, "\uFFFD, ", s.log.wait(event.MessageSampled, nil).String(event.MessageSample), "the piece with the bad byte")
}

func TestSamplesAreFew(t *testing.T) {
	t.Parallel()
	set := config()
	set.Validate = picky
	set.Samples = endpoint.Sampling{Bytes: 64, Rate: endpoint.Rate{PerSecond: 0.001, Burst: 3}}
	s := serve(t, set)
	for range 6 {
		c := s.open(t)
		for range 20 {
			c.text(`{"a":1,`)
		}
		c.works()
		c.bye()
	}
	require.NoError(t, s.Shutdown(t.Context()))
	ids := map[string]bool{}
	for _, e := range s.log.all(event.MessageSampled) {
		ids[e.String(event.ConnectionID)] = true
	}
	require.Len(t, s.log.all(event.MessageSampled), 3)
	require.Len(t, ids, 3, "one of each connection")
	require.Len(t, s.log.all(event.MessageRejected), 120)
}

func TestSamplesHaveABound(t *testing.T) {
	t.Parallel()
	set := config()
	set.Samples.Bytes = 1 << 20
	_, err := endpoint.New(set)
	require.EqualError(t, err, "Samples: Bytes must be from 0 to 16384")
}
