package wire_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

// FuzzParseRequest: what we take as a handshake, net/http takes too and reads the same; the verdict does not depend on
// how the bytes are cut.
func FuzzParseRequest(f *testing.F) {
	for _, c := range requestRows {
		if len(c.head) < 4<<10 {
			f.Add([]byte(c.head))
		}
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		r, n, err := wire.ParseRequest(head)
		if err != nil {
			requireViolation(t, err)
			return
		}
		require.LessOrEqual(t, n, len(head))
		_, _, err = wire.ParseRequest(head[:n-1])
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		offer, err := wire.CheckRequest(r)
		if err != nil {
			requireViolation(t, err)
			return
		}
		std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
		require.NoError(t, err)
		theirs, err := wire.CheckRequest(std)
		require.NoError(t, err)
		require.Equal(t, theirs, offer)

		again, err := wire.AppendRequest(nil, "/", offer, nil)
		require.NoError(t, err)
		parsed, err := checkRaw(string(again))
		require.NoError(t, err)
		require.Equal(t, offer, parsed)
	})
}

// FuzzParseResponse: what is accepted answers the offer, and nothing that a server chose ends a line.
func FuzzParseResponse(f *testing.F) {
	f.Add([]byte(responseHead))
	f.Add([]byte(add(responseHead, "Sec-WebSocket-Protocol: log", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9")))
	f.Add([]byte(strings.Replace(responseHead, "101", "200", 1)))
	f.Fuzz(func(t *testing.T, head []byte) {
		offer := sampleOffer(wire.Deflate{ClientMaxWindowBits: 15}.Offer())
		r, n, err := wire.ParseResponse(head)
		if err != nil {
			requireViolation(t, err)
			return
		}
		require.LessOrEqual(t, n, len(head))
		a, err := wire.CheckResponse(r, offer)
		if err != nil {
			requireViolation(t, err)
			return
		}
		_, err = http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
		require.NoError(t, err)
		written, err := wire.AppendResponse(nil, offer, a, nil)
		require.NoError(t, err)
		r, _, err = wire.ParseResponse(written)
		require.NoError(t, err)
		again, err := wire.CheckResponse(r, offer)
		require.NoError(t, err)
		require.Equal(t, a, again)
	})
}

func requireViolation(t *testing.T, err error) {
	t.Helper()
	if v := wire.HandshakeViolation(0); !errors.Is(err, io.ErrUnexpectedEOF) {
		require.ErrorAs(t, err, &v)
		require.NotEmpty(t, v.Section())
	}
}

// FuzzExtensions: what is parsed can be written and parsed again, and what a server chooses its client accepts.
func FuzzExtensions(f *testing.F) {
	for _, seed := range []string{
		"permessage-deflate; client_max_window_bits", `permessage-deflate; server_max_window_bits="10"; server_no_context_takeover`,
		"a; b=1, c,, d", `a; b="\1\0"`, "permessage-deflate; client_max_window_bits=8, permessage-deflate; x",
	} {
		f.Add(seed, false, 0, 0)
		f.Add(seed, true, 9, 10)
	}
	f.Fuzz(func(t *testing.T, line string, noContext bool, serverBits, clientBits int) {
		list, err := wire.ParseExtensions([]string{line})
		if err != nil {
			require.ErrorIs(t, err, wire.MalformedExtensions)
			return
		}
		var written []string
		for _, e := range list {
			written = append(written, e.String())
		}
		again, err := wire.ParseExtensions(written)
		require.NoError(t, err)
		require.Equal(t, list, again)

		want := wire.Deflate{ServerNoContextTakeover: noContext, ClientNoContextTakeover: noContext,
			ServerMaxWindowBits: bits(serverBits), ClientMaxWindowBits: bits(clientBits)}
		chosen, ok := wire.ChooseDeflate(list, want)
		if !ok {
			return
		}
		accepted, ok, err := wire.AcceptDeflate(wire.Agreement{Extensions: []wire.Extension{chosen.Response()}}, wire.Offer{Extensions: list})
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, chosen, accepted)
	})
}

// bits is no window or a valid one.
func bits(n int) int {
	if n < wire.MinWindowBits || n > wire.MaxWindowBits {
		return 0
	}
	return n
}

// FuzzOrigins: a page that is let in has a scheme and a host that the pattern or the service's own address name.
func FuzzOrigins(f *testing.F) {
	f.Add("https://*.example.com", "https://a.example.com", "api.example.com", true)
	f.Add("https://app.example.com:8443", "https://app.example.com:8443", "a", false)
	f.Add("http://[::1]:1", "http://[::1]:1", "[::1]:1", false)
	f.Add("null", "null", "null", false)
	f.Fuzz(func(t *testing.T, pattern, origin, host string, secure bool) {
		origins, err := wire.ParseOrigins(pattern)
		if err != nil {
			return
		}
		if origins.Check(wire.Offer{Origin: origin, Host: host, Secure: secure}) != nil {
			return
		}
		if origin == "null" {
			require.Equal(t, "null", pattern)
			return
		}
		// url.Parse is another reader of the same text, and the one that programs ask.
		from, err := url.Parse(strings.ToLower(origin))
		if err != nil { // url.Parse knows more of addresses in brackets and of percent signs
			return
		}
		require.Empty(t, from.Path+from.RawQuery+from.Fragment)
		require.Nil(t, from.User)
		sameHost := strings.EqualFold(from.Hostname(), strings.ToLower((&url.URL{Host: host}).Hostname()))
		listed, err := url.Parse(strings.ToLower(pattern))
		inList := false
		if err == nil && listed.Scheme == from.Scheme {
			suffix, wild := strings.CutPrefix(listed.Hostname(), "*")
			inList = from.Hostname() == listed.Hostname() || wild && strings.HasSuffix(from.Hostname(), suffix)
		}
		require.True(t, sameHost || inList)
	})
}
