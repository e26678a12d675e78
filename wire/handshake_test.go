package wire_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455 §1.3
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
	requestHead  = "GET /chat?room=1 HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: " + sampleKey + "\r\nSec-WebSocket-Version: 13\r\n\r\n"
	responseHead = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + sampleAccept + "\r\n\r\n"
)

// with replaces the line of a head that begins with field, or adds the line.
func with(head, field, line string) string {
	start := strings.Index(head, "\r\n"+field+":")
	if start < 0 {
		return strings.TrimSuffix(head, "\r\n") + line + "\r\n"
	}
	start += 2
	end := start + strings.Index(head[start:], "\r\n") + 2
	if line != "" && !strings.HasSuffix(line, "\n") {
		line += "\r\n"
	}
	return head[:start] + line + head[end:]
}

func add(head string, lines ...string) string {
	return strings.TrimSuffix(head, "\r\n") + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// requestRow is a head and what is wrong with it.
type requestRow struct {
	head string
	want wire.HandshakeViolation
}

var requestRows = map[string]requestRow{
	"the least that a client sends":          {head: requestHead},
	"Host with a port":                       {head: with(requestHead, "Host", "Host: 127.0.0.1:8080")},
	"Host is an IPv6 address":                {head: with(requestHead, "Host", "Host: [::1]:8080")},
	"tokens in any case":                     {head: with(with(requestHead, "Upgrade", "UPGRADE: WebSocket"), "Connection", "connection: keep-alive, uPgRade")},
	"a list of lists":                        {head: add(with(requestHead, "Connection", "Connection: keep-alive"), "Connection: , upgrade ,")},
	"several protocols to upgrade to":        {head: with(requestHead, "Upgrade", "Upgrade: h2c, websocket")},
	"an empty body by Content-Length":        {head: add(requestHead, "Content-Length: 0")},
	"spaces around values":                   {head: with(requestHead, "Sec-WebSocket-Key", "Sec-WebSocket-Key: \t "+sampleKey+" ")},
	"an absolute target":                     {head: strings.Replace(requestHead, "/chat", "http://server.example.com/chat", 1)},
	"HTTP/1.0":                               {strings.Replace(requestHead, "HTTP/1.1", "HTTP/1.0", 1), wire.WrongHTTPVersion},
	"another method":                         {strings.Replace(requestHead, "GET", "POST", 1), wire.WrongMethod},
	"the method in lower case":               {strings.Replace(requestHead, "GET", "get", 1), wire.WrongMethod},
	"CONNECT of HTTP/1.1":                    {strings.Replace(requestHead, "GET /chat?room=1", "CONNECT a.example:443", 1), wire.WrongMethod},
	"no Host":                                {with(requestHead, "Host", ""), wire.InvalidHost},
	"an empty Host":                          {with(requestHead, "Host", "Host:"), wire.InvalidHost},
	"two Hosts":                              {add(requestHead, "Host: server.example.com"), wire.InvalidHost},
	"Host with a path":                       {with(requestHead, "Host", "Host: a/b"), wire.InvalidHost},
	"Host with a user":                       {with(requestHead, "Host", "Host: a@b"), wire.InvalidHost},
	"Host is a list":                         {with(requestHead, "Host", "Host: a b"), wire.InvalidHost},
	"Host with a port that is none":          {with(requestHead, "Host", "Host: a:99999"), wire.InvalidHost},
	"no Upgrade":                             {with(requestHead, "Upgrade", ""), wire.NotUpgrade},
	"Upgrade to something else":              {with(requestHead, "Upgrade", "Upgrade: websocket2"), wire.NotUpgrade},
	"no Connection":                          {with(requestHead, "Connection", ""), wire.NoConnectionUpgrade},
	"Connection does not name Upgrade":       {with(requestHead, "Connection", "Connection: keep-alive"), wire.NoConnectionUpgrade},
	"no key":                                 {with(requestHead, "Sec-WebSocket-Key", ""), wire.InvalidKey},
	"an empty key":                           {with(requestHead, "Sec-WebSocket-Key", "Sec-WebSocket-Key:"), wire.InvalidKey},
	"a key of 15 bytes":                      {with(requestHead, "Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"), wire.InvalidKey},
	"a key of 17 bytes":                      {with(requestHead, "Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE="), wire.InvalidKey},
	"a key without padding":                  {with(requestHead, "Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"), wire.InvalidKey},
	"a key in the alphabet of URLs":          {with(requestHead, "Sec-WebSocket-Key", "Sec-WebSocket-Key: -_hlIHNhbXBsZSBub25jZQ=="), wire.InvalidKey},
	"two keys":                               {add(requestHead, "Sec-WebSocket-Key: "+sampleKey), wire.InvalidKey},
	"no version":                             {with(requestHead, "Sec-WebSocket-Version", ""), wire.WrongVersion},
	"an old version":                         {with(requestHead, "Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"), wire.WrongVersion},
	"a list of versions":                     {with(requestHead, "Sec-WebSocket-Version", "Sec-WebSocket-Version: 13, 8"), wire.WrongVersion},
	"the version with a zero in front":       {with(requestHead, "Sec-WebSocket-Version", "Sec-WebSocket-Version: 013"), wire.WrongVersion},
	"two versions":                           {add(requestHead, "Sec-WebSocket-Version: 13"), wire.WrongVersion},
	"a body":                                 {add(requestHead, "Content-Length: 5"), wire.UnexpectedBody},
	"a chunked body":                         {add(requestHead, "Transfer-Encoding: chunked"), wire.UnexpectedBody},
	"Content-Length is no number":            {add(requestHead, "Content-Length: +0"), wire.MalformedContentLength},
	"two Content-Lengths":                    {add(requestHead, "Content-Length: 0", "Content-Length: 5"), wire.MalformedContentLength},
	"two Origins":                            {add(requestHead, "Origin: http://a.example", "Origin: http://a.example"), wire.InvalidOrigin},
	"an empty Origin":                        {add(requestHead, "Origin:"), wire.InvalidOrigin},
	"Origin with a path":                     {add(requestHead, "Origin: http://a.example/"), wire.InvalidOrigin},
	"a list of Origins":                      {add(requestHead, "Origin: http://a.example http://b.example"), wire.InvalidOrigin},
	"a subprotocol is no token":              {add(requestHead, "Sec-WebSocket-Protocol: chat room"), wire.MalformedSubprotocols},
	"a subprotocol is there twice":           {add(requestHead, "Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: log, chat"), wire.MalformedSubprotocols},
	"no subprotocol in the field":            {add(requestHead, "Sec-WebSocket-Protocol: ,"), wire.MalformedSubprotocols},
	"65 subprotocols":                        {add(requestHead, "Sec-WebSocket-Protocol: "+tokens(65)), wire.MalformedSubprotocols},
	"an extension is malformed":              {add(requestHead, "Sec-WebSocket-Extensions: a;"), wire.MalformedExtensions},
	"a space before a colon":                 {add(requestHead, "X-A : b"), wire.MalformedHead},
	"a field without a name":                 {add(requestHead, ": b"), wire.MalformedHead},
	"a field without a colon":                {add(requestHead, "X-A"), wire.MalformedHead},
	"a folded field":                         {add(requestHead, "X-A: b", " c"), wire.MalformedHead},
	"a zero byte in a field":                 {add(requestHead, "X-A: b\x00"), wire.MalformedHead},
	"a line that ends in LF":                 {add(requestHead, "X-A: b\nX-B: c"), wire.MalformedHead},
	"a line that ends in CR":                 {add(requestHead, "X-A: b\rX-B: c"), wire.MalformedHead},
	"no target":                              {strings.Replace(requestHead, " /chat?room=1", "", 1), wire.MalformedRequestLine},
	"two spaces before the target":           {strings.Replace(requestHead, " /", "  /", 1), wire.MalformedRequestLine},
	"a target that is no URL":                {strings.Replace(requestHead, "/chat?room=1", "/%zz", 1), wire.MalformedRequestLine},
	"HTTP/2 in words":                        {strings.Replace(requestHead, "HTTP/1.1", "HTTP/2", 1), wire.MalformedRequestLine},
	"an empty line first":                    {"\r\n" + requestHead, wire.MalformedRequestLine},
	"101 fields":                             {add(requestHead, strings.TrimSuffix(strings.Repeat("X-A: b\r\n", 96), "\r\n")), wire.HeadTooLarge},
	"a head of more than it may have":        {add(requestHead, "X-A: "+strings.Repeat("b", wire.MaxHeadBytes)), wire.HeadTooLarge},
	"a head that does not end, over limit":   {"GET / HTTP/1.1\r\nX-A: " + strings.Repeat("b", wire.MaxHeadBytes), wire.HeadTooLarge},
	"an upgrade is told before a bad key":    {with(with(requestHead, "Upgrade", ""), "Sec-WebSocket-Key", ""), wire.NotUpgrade},
	"a method is told before a missing host": {with(strings.Replace(requestHead, "GET", "PUT", 1), "Host", ""), wire.WrongMethod},
}

func tokens(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat("x", i+1))
		b.WriteByte(',')
	}
	return b.String()
}

// checkRaw is what a tap does with the bytes of a request.
func checkRaw(head string) (wire.Offer, error) {
	r, n, err := wire.ParseRequest([]byte(head))
	if err != nil {
		return wire.Offer{}, err
	}
	if n > len(head) {
		return wire.Offer{}, errors.New("more bytes than there are")
	}
	return wire.CheckRequest(r)
}

func TestRequest(t *testing.T) {
	t.Parallel()
	for name, c := range requestRows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			offer, err := checkRaw(c.head)
			if c.want == 0 {
				require.NoError(t, err)
				require.Equal(t, sampleKey, offer.Key)
				return
			}
			require.ErrorIs(t, err, c.want)
			require.Zero(t, offer)
			require.Contains(t, err.Error(), c.want.Section())
		})
	}
}

func TestWhatNetHTTPLetsThroughIsJudgedTheSame(t *testing.T) {
	t.Parallel()
	for name, c := range requestRows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(c.head)))
			if err != nil {
				require.NotZero(t, c.want, "net/http refuses what we take: %v", err)
				return
			}
			switch c.want {
			case wire.MalformedHead, wire.MalformedRequestLine, wire.MalformedContentLength, wire.HeadTooLarge:
				return // a parser's affair
			}
			if name == "two Hosts" {
				return // http.Server refuses it
			}
			_, err = wire.CheckRequest(r)
			if c.want == 0 {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestAnIncompleteHeadAsksForMore(t *testing.T) {
	t.Parallel()
	for n := range len(requestHead) {
		_, _, err := wire.ParseRequest([]byte(requestHead[:n]))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
	for n := range len(responseHead) {
		_, _, err := wire.ParseResponse([]byte(responseHead[:n]))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
	_, n, err := wire.ParseRequest([]byte(requestHead + "\x81\x85"))
	require.NoError(t, err)
	require.Equal(t, len(requestHead), n)
	_, n, err = wire.ParseResponse([]byte(responseHead + "\x81\x05"))
	require.NoError(t, err)
	require.Equal(t, len(responseHead), n)
}

func TestOfferHasWhatTheClientSent(t *testing.T) {
	t.Parallel()
	offer, err := checkRaw(add(requestHead, "Origin: https://App.example.com", "Sec-WebSocket-Protocol: chat.v2, chat.v1",
		"Sec-WebSocket-Protocol: log", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x"))
	require.NoError(t, err)
	require.Equal(t, wire.Offer{
		Key: sampleKey, Host: "server.example.com", Origin: "https://App.example.com",
		Subprotocols: []string{"chat.v2", "chat.v1", "log"},
		Extensions: []wire.Extension{
			{Name: "permessage-deflate", Parameters: []wire.Parameter{{Name: "client_max_window_bits"}}}, {Name: "x"},
		},
	}, offer)
}

func TestExtendedConnect(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   wire.HandshakeViolation
	}{
		"as a browser sends it":         {change: func(*http.Request) {}},
		"of HTTP/3":                     {change: func(r *http.Request) { r.Proto, r.ProtoMajor = "HTTP/3.0", 3 }},
		"a key is not looked at":        {change: func(r *http.Request) { r.Header["Sec-Websocket-Key"] = []string{"x"} }},
		"GET in HTTP/2":                 {func(r *http.Request) { r.Method = http.MethodGet }, wire.WrongHTTPVersion},
		"a plain CONNECT":               {func(r *http.Request) { delete(r.Header, ":protocol") }, wire.WrongProtocol},
		"another protocol":              {func(r *http.Request) { r.Header[":protocol"] = []string{"connect-udp"} }, wire.WrongProtocol},
		"no path":                       {func(r *http.Request) { r.URL = &url.URL{Host: "a.example"} }, wire.IncompleteConnect},
		"Upgrade is of HTTP/1.1":        {func(r *http.Request) { r.Header["Upgrade"] = []string{"websocket"} }, wire.ConnectionFields},
		"Connection is of HTTP/1.1":     {func(r *http.Request) { r.Header["Connection"] = []string{"upgrade"} }, wire.ConnectionFields},
		"a body":                        {func(r *http.Request) { r.Header["Content-Length"] = []string{"0"} }, wire.UnexpectedBody},
		"no authority":                  {func(r *http.Request) { r.Host = "" }, wire.InvalidHost},
		"the version is looked at":      {func(r *http.Request) { delete(r.Header, "Sec-Websocket-Version") }, wire.WrongVersion},
		"the subprotocol is looked at":  {func(r *http.Request) { r.Header["Sec-Websocket-Protocol"] = []string{"a b"} }, wire.MalformedSubprotocols},
		"the extensions are looked at":  {func(r *http.Request) { r.Header["Sec-Websocket-Extensions"] = []string{"="} }, wire.MalformedExtensions},
		"the Origin is looked at":       {func(r *http.Request) { r.Header["Origin"] = []string{"x"} }, wire.InvalidOrigin},
		"HTTP/2 with Transfer-Encoding": {func(r *http.Request) { r.TransferEncoding = []string{"chunked"} }, wire.UnexpectedBody},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{
				Method: http.MethodConnect, Proto: "HTTP/2.0", ProtoMajor: 2, Host: "a.example", ContentLength: -1,
				URL:    &url.URL{Path: "/chat"},
				Header: http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}},
			}
			c.change(r)
			offer, err := wire.CheckRequest(r)
			if c.want == 0 {
				require.NoError(t, err)
				require.True(t, offer.Extended)
				require.Empty(t, offer.Key)
				return
			}
			require.ErrorIs(t, err, c.want)
		})
	}
}

func sampleOffer(extensions ...wire.Extension) wire.Offer {
	return wire.Offer{Key: sampleKey, Host: "server.example.com", Subprotocols: []string{"chat", "log"}, Extensions: extensions}
}

func TestResponse(t *testing.T) {
	t.Parallel()
	deflate := wire.Deflate{ServerMaxWindowBits: 12}.Offer()
	const extensions = "Sec-WebSocket-Extensions: "
	for name, c := range map[string]struct {
		head string
		want wire.HandshakeViolation
	}{
		"the least that a server sends":        {head: responseHead},
		"without a reason":                     {head: strings.Replace(responseHead, " Switching Protocols", "", 1)},
		"an empty body by Content-Length":      {head: add(responseHead, "Content-Length: 0")},
		"a subprotocol that was offered":       {head: add(responseHead, "Sec-WebSocket-Protocol: log")},
		"an extension that was offered":        {head: add(responseHead, extensions+"permessage-deflate; server_max_window_bits=11")},
		"tokens in any case":                   {head: with(with(responseHead, "Upgrade", "upgrade: WebSocket"), "Connection", "connection: UPGRADE")},
		"a refusal":                            {strings.Replace(responseHead, "101", "403", 1), wire.NotSwitched},
		"200":                                  {strings.Replace(responseHead, "101", "200", 1), wire.NotSwitched},
		"HTTP/1.0":                             {strings.Replace(responseHead, "HTTP/1.1", "HTTP/1.0", 1), wire.NotSwitched},
		"no Upgrade":                           {with(responseHead, "Upgrade", ""), wire.WrongResponseUpgrade},
		"Upgrade to several protocols":         {with(responseHead, "Upgrade", "Upgrade: websocket, h2c"), wire.WrongResponseUpgrade},
		"no Connection":                        {with(responseHead, "Connection", ""), wire.NoResponseConnectionUpgrade},
		"no accept":                            {with(responseHead, "Sec-WebSocket-Accept", ""), wire.WrongAccept},
		"two accepts":                          {add(responseHead, "Sec-WebSocket-Accept: "+sampleAccept), wire.WrongAccept},
		"an accept for another key":            {with(responseHead, "Sec-WebSocket-Accept", "Sec-WebSocket-Accept: "+wire.Accept(wire.NewKey())), wire.WrongAccept},
		"an accept in another case":            {with(responseHead, "Sec-WebSocket-Accept", "Sec-WebSocket-Accept: "+strings.ToLower(sampleAccept)), wire.WrongAccept},
		"a body":                               {add(responseHead, "Content-Length: 1"), wire.UnexpectedResponseBody},
		"a chunked body":                       {add(responseHead, "Transfer-Encoding: chunked"), wire.UnexpectedResponseBody},
		"a subprotocol that was not offered":   {add(responseHead, "Sec-WebSocket-Protocol: Chat"), wire.WrongSubprotocol},
		"two subprotocols":                     {add(responseHead, "Sec-WebSocket-Protocol: chat, log"), wire.WrongSubprotocol},
		"two lines of subprotocols":            {add(responseHead, "Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: chat"), wire.WrongSubprotocol},
		"an empty subprotocol":                 {add(responseHead, "Sec-WebSocket-Protocol:"), wire.WrongSubprotocol},
		"an extension that was not offered":    {add(responseHead, extensions+"x"), wire.WrongExtensions},
		"an extension there twice":             {add(responseHead, extensions+"permessage-deflate; server_max_window_bits=12, permessage-deflate; server_max_window_bits=12"), wire.WrongExtensions},
		"an extension is malformed":            {add(responseHead, extensions+"permessage-deflate; ="), wire.WrongExtensions},
		"a parameter is not answered":          {add(responseHead, extensions+"permessage-deflate"), wire.WrongDeflateParameters},
		"a window larger than was asked for":   {add(responseHead, extensions+"permessage-deflate; server_max_window_bits=13"), wire.WrongDeflateParameters},
		"a parameter that was not offered":     {add(responseHead, extensions+"permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"), wire.WrongDeflateParameters},
		"a parameter is unknown":               {add(responseHead, extensions+"permessage-deflate; server_max_window_bits=12; x"), wire.WrongDeflateParameters},
		"the status line has a bad version":    {strings.Replace(responseHead, "HTTP/1.1", "HTTP/11", 1), wire.MalformedStatusLine},
		"the status has four digits":           {strings.Replace(responseHead, "101", "1010", 1), wire.MalformedStatusLine},
		"the status is below 100":              {strings.Replace(responseHead, "101", "099", 1), wire.MalformedStatusLine},
		"the status line is empty":             {"\r\n" + responseHead, wire.MalformedStatusLine},
		"a field is malformed":                 {add(responseHead, "X A: b"), wire.MalformedResponseHead},
		"Content-Length is no number":          {add(responseHead, "Content-Length: x"), wire.MalformedResponseHead},
		"a head of more than it may have":      {add(responseHead, "X-A: "+strings.Repeat("b", wire.MaxHeadBytes)), wire.ResponseHeadTooLarge},
		"101 fields":                           {add(responseHead, strings.TrimSuffix(strings.Repeat("X-A: b\r\n", 98), "\r\n")), wire.ResponseHeadTooLarge},
		"the response to what offered nothing": {head: responseHead},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _, err := wire.ParseResponse([]byte(c.head))
			if err == nil {
				_, err = wire.CheckResponse(r, sampleOffer(deflate))
			}
			if c.want == 0 {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.want)
			require.Equal(t, http.StatusBadGateway, c.want.Status())
		})
	}
}

func TestResponseToExtendedConnect(t *testing.T) {
	t.Parallel()
	offer := wire.Offer{Extended: true, Subprotocols: []string{"chat"}}
	a, err := wire.CheckResponse(&http.Response{StatusCode: http.StatusOK, Header: http.Header{"Sec-Websocket-Protocol": {"chat"}}}, offer)
	require.NoError(t, err)
	require.Equal(t, "chat", a.Subprotocol)
	_, err = wire.CheckResponse(&http.Response{StatusCode: http.StatusSwitchingProtocols}, offer)
	require.ErrorIs(t, err, wire.NotSwitched)
}

func TestAcceptIsThatOfTheStandard(t *testing.T) {
	t.Parallel()
	_, err := checkRaw(with(requestHead, "Sec-WebSocket-Key", "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC=="))
	require.NoError(t, err, "the example of RFC 6455 §4.1, whose padding is not zero")
	require.Equal(t, sampleAccept, wire.Accept(sampleKey))
	require.NotEqual(t, wire.NewKey(), wire.NewKey())
	require.Len(t, wire.NewKey(), 24)
}

func TestWhatIsAppendedIsWhatWasAgreed(t *testing.T) {
	t.Parallel()
	want := sampleOffer(wire.Deflate{ClientMaxWindowBits: 15}.Offer(), wire.Extension{Name: "x", Parameters: []wire.Parameter{{Name: "a", Value: "b"}}})
	want.Origin = "https://app.example.com"
	head, err := wire.AppendRequest(nil, "/chat?a=b", want, http.Header{"Cookie": {"a=b"}, "Authorization": {"x"}})
	require.NoError(t, err)
	require.Contains(t, string(head), "permessage-deflate; client_max_window_bits, x; a=b\r\nAuthorization: x\r\nCookie: a=b\r\n\r\n")
	offer, err := checkRaw(string(head))
	require.NoError(t, err)
	require.Equal(t, want, offer)

	chosen := wire.Agreement{Subprotocol: "log", Extensions: []wire.Extension{wire.Deflate{ClientMaxWindowBits: 9}.Response()}}
	head, err = wire.AppendResponse([]byte("before"), offer, chosen, http.Header{"Set-Cookie": {"a", "b"}})
	require.NoError(t, err)
	require.Equal(t, "beforeHTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
		sampleAccept+"\r\nSec-WebSocket-Protocol: log\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9\r\n"+
		"Set-Cookie: a\r\nSet-Cookie: b\r\n\r\n", string(head))
	r, n, err := wire.ParseResponse(head[len("before"):])
	require.NoError(t, err)
	require.Equal(t, len(head)-len("before"), n)
	agreed, err := wire.CheckResponse(r, offer)
	require.NoError(t, err)
	require.Equal(t, chosen, agreed)
}

func TestNobodyWritesIntoAHead(t *testing.T) {
	t.Parallel()
	const evil = "a\r\nSet-Cookie: b"
	for name, c := range map[string]struct {
		agreement wire.Agreement
		extra     http.Header
		offer     func(*wire.Offer)
		want      wire.HandshakeViolation
	}{
		"a subprotocol nobody offered":    {agreement: wire.Agreement{Subprotocol: "x"}, want: wire.NotOffered},
		"a subprotocol with a line":       {agreement: wire.Agreement{Subprotocol: evil}, want: wire.NotOffered, offer: func(o *wire.Offer) { o.Subprotocols = []string{evil} }},
		"an extension nobody offered":     {agreement: wire.Agreement{Extensions: []wire.Extension{{Name: "x"}}}, want: wire.NotOffered},
		"parameters nobody offered":       {agreement: wire.Agreement{Extensions: []wire.Extension{wire.Deflate{ClientMaxWindowBits: 9}.Response()}}, offer: func(o *wire.Offer) { o.Extensions = []wire.Extension{{Name: wire.DeflateName}} }, want: wire.NotOffered},
		"an extension twice":              {agreement: wire.Agreement{Extensions: []wire.Extension{{Name: "y"}, {Name: "y"}}}, want: wire.NotOffered},
		"an extension with a line":        {agreement: wire.Agreement{Extensions: []wire.Extension{{Name: evil}}}, want: wire.MalformedExtensions},
		"a parameter with a line":         {agreement: wire.Agreement{Extensions: []wire.Extension{{Name: "y", Parameters: []wire.Parameter{{Name: evil}}}}}, want: wire.MalformedExtensions},
		"a value with a line":             {agreement: wire.Agreement{Extensions: []wire.Extension{{Name: "y", Parameters: []wire.Parameter{{Name: "a", Value: evil}}}}}, want: wire.MalformedExtensions},
		"a key with a line":               {offer: func(o *wire.Offer) { o.Key = evil }, want: wire.InvalidKey},
		"a field's value with a line":     {extra: http.Header{"X-A": {evil}}, want: wire.ForbiddenField},
		"a field's name with a line":      {extra: http.Header{evil: {"a"}}, want: wire.ForbiddenField},
		"a field without a name":          {extra: http.Header{"": {"a"}}, want: wire.ForbiddenField},
		"a field of the handshake":        {extra: http.Header{"sec-websocket-accept": {"a"}}, want: wire.ForbiddenField},
		"a field of the protocol":         {extra: http.Header{"upgrade": {"a"}}, want: wire.ForbiddenField},
		"a field that says where it ends": {extra: http.Header{"Content-Length": {"1"}}, want: wire.ForbiddenField},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			offer := sampleOffer(wire.Extension{Name: "y"})
			if c.offer != nil {
				c.offer(&offer)
			}
			head, err := wire.AppendResponse([]byte("as before"), offer, c.agreement, c.extra)
			require.ErrorIs(t, err, c.want)
			require.Equal(t, "as before", string(head))
			if c.agreement.Subprotocol == "" && c.agreement.Extensions == nil {
				_, err = wire.AppendRequest(nil, "/", offer, c.extra)
				require.ErrorIs(t, err, c.want)
			}
		})
	}
	for name, c := range map[string]struct {
		target string
		change func(*wire.Offer)
		want   wire.HandshakeViolation
	}{
		"a target with a line":      {target: "/ HTTP/1.1\r\nA: b", want: wire.InvalidTarget},
		"a target without a slash":  {target: "a", want: wire.InvalidTarget},
		"no target":                 {want: wire.InvalidTarget},
		"a target with a fragment":  {target: "/a#b", want: wire.InvalidTarget},
		"a host with a line":        {target: "/", change: func(o *wire.Offer) { o.Host = evil }, want: wire.InvalidHost},
		"an origin with a line":     {target: "/", change: func(o *wire.Offer) { o.Origin = "http://" + evil }, want: wire.InvalidOrigin},
		"a subprotocol with a line": {target: "/", change: func(o *wire.Offer) { o.Subprotocols = []string{evil} }, want: wire.MalformedSubprotocols},
		"an extension with a line":  {target: "/", change: func(o *wire.Offer) { o.Extensions = []wire.Extension{{Name: evil}} }, want: wire.MalformedExtensions},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			offer := sampleOffer()
			if c.change != nil {
				c.change(&offer)
			}
			_, err := wire.AppendRequest(nil, c.target, offer, nil)
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestARefusalIsAWholeResponse(t *testing.T) {
	t.Parallel()
	for v := wire.HandshakeViolation(1); v.Section() != ""; v++ {
		r, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(v.AppendResponse(nil)))), nil)
		require.NoError(t, err)
		require.Equal(t, v.Status(), r.StatusCode)
		require.True(t, r.Close, "a client must not send more on this connection")
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, v.Reason()+"\n", string(body))

		recorder := httptest.NewRecorder()
		v.Refuse(recorder, &http.Request{ProtoMajor: 1})
		recorded := recorder.Result()
		require.Equal(t, r.StatusCode, recorded.StatusCode)
		require.Equal(t, string(body), recorder.Body.String())
		recorder = httptest.NewRecorder()
		v.Refuse(recorder, &http.Request{ProtoMajor: 2})
		require.Empty(t, recorder.Result().Header["Connection"], "HTTP/2 has no such field")
		require.Empty(t, recorder.Result().Header["Upgrade"], "nor this")
		switch v {
		case wire.WrongVersion, wire.NotUpgrade:
			require.Equal(t, "13", r.Header.Get("Sec-WebSocket-Version"))
			require.Equal(t, "websocket", r.Header.Get("Upgrade"))
		case wire.WrongMethod:
			require.Equal(t, "GET", r.Header.Get("Allow"))
		}
		require.NotEmpty(t, v.Rule())
		require.NotEmpty(t, v.Reason())
		require.Contains(t, v.Section(), "§")
	}
	require.Equal(t, "unknown", wire.HandshakeViolation(255).Rule())
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	origins, err := wire.ParseOrigins("https://app.example.com", "https://*.example.org", "http://localhost:3000", "https://*.Example.net:8443", "tauri://localhost")
	require.NoError(t, err)
	const host = "api.example.com"
	for name, c := range map[string]struct {
		origin, host string
		secure       bool
		want         wire.HandshakeViolation
	}{
		"the same host":                            {origin: "https://api.example.com", host: host},
		"the same host over TLS":                   {origin: "https://api.example.com", host: host, secure: true},
		"the same host without TLS":                {origin: "http://api.example.com", host: host},
		"a page without TLS, a connection with":    {origin: "http://api.example.com", host: host, secure: true, want: wire.ForbiddenOrigin},
		"the same host in another case":            {origin: "HTTPS://API.example.com", host: "Api.Example.Com"},
		"the default port written out":             {origin: "https://api.example.com", host: host + ":443"},
		"the default port of the page written out": {origin: "https://api.example.com:443", host: host},
		"the same port":                            {origin: "http://127.0.0.1:8080", host: "127.0.0.1:8080"},
		"an IPv6 address":                          {origin: "http://[::1]:8080", host: "[::1]:8080"},
		"another port":                             {origin: "http://127.0.0.1:8081", host: "127.0.0.1:8080", want: wire.ForbiddenOrigin},
		"no port where there is one":               {origin: "http://127.0.0.1", host: "127.0.0.1:8080", want: wire.ForbiddenOrigin},
		"another host":                             {origin: "https://evil.example", host: host, want: wire.ForbiddenOrigin},
		"a host that begins the same":              {origin: "https://api.example.com.evil.example", host: host, want: wire.ForbiddenOrigin},
		"a host that ends the same":                {origin: "https://evilapi.example.com", host: host, want: wire.ForbiddenOrigin},
		"another scheme":                           {origin: "ftp://api.example.com", host: host, want: wire.ForbiddenOrigin},
		"a page of a socket's scheme":              {origin: "wss://api.example.com", host: host, want: wire.ForbiddenOrigin},
		"an origin that is listed":                 {origin: "https://app.example.com", host: host},
		"listed, with another scheme":              {origin: "http://app.example.com", host: host, want: wire.ForbiddenOrigin},
		"listed, with another port":                {origin: "https://app.example.com:8443", host: host, want: wire.ForbiddenOrigin},
		"below what is listed":                     {origin: "https://a.app.example.com", host: host, want: wire.ForbiddenOrigin},
		"below a wildcard":                         {origin: "https://a.example.org", host: host},
		"far below a wildcard":                     {origin: "https://a.b.example.org", host: host},
		"the wildcard's own domain":                {origin: "https://example.org", host: host, want: wire.ForbiddenOrigin},
		"a wildcard needs its dot":                 {origin: "https://evilexample.org", host: host, want: wire.ForbiddenOrigin},
		"nothing before the wildcard's dot":        {origin: "https://.example.org", host: host, want: wire.ForbiddenOrigin},
		"a wildcard's port":                        {origin: "https://a.example.net:8443", host: host},
		"not a wildcard's port":                    {origin: "https://a.example.net", host: host, want: wire.ForbiddenOrigin},
		"a scheme of its own":                      {origin: "tauri://localhost", host: host},
		"an opaque origin":                         {origin: "null", host: host, want: wire.ForbiddenOrigin},
		"an opaque origin of a host named null":    {origin: "null", host: "null", want: wire.ForbiddenOrigin},
		"no origin":                                {host: host, want: wire.MissingOrigin},
		"a path":                                   {origin: "https://app.example.com/", host: host, want: wire.InvalidOrigin},
		"a user":                                   {origin: "https://app.example.com@evil.example", host: host, want: wire.InvalidOrigin},
		"a query":                                  {origin: "https://app.example.com?.example.org", host: host, want: wire.InvalidOrigin},
		"a backslash":                              {origin: `https://evil.example\.example.org`, host: host, want: wire.InvalidOrigin},
		"a port that is none":                      {origin: "https://app.example.com:", host: host, want: wire.InvalidOrigin},
		"two ports":                                {origin: "https://app.example.com:1:443", host: host, want: wire.InvalidOrigin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := origins.Check(wire.Offer{Origin: c.origin, Host: c.host, Secure: c.secure})
			if c.want == 0 {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.want)
			require.Equal(t, http.StatusForbidden, c.want.Status())
		})
	}
	for _, pattern := range []string{"", "*", "https://*", "https://*.com", "https://a.*.example", "https://**.example.com", "*.example.com",
		"example.com", "https://example.com/", "https://exämple.com", "https://example.com:0", "https://*example.com", "https://[::1"} {
		_, err := wire.ParseOrigins("https://a.example", pattern)
		require.ErrorContains(t, err, "origin pattern 2: must be null or scheme://host[:port]", pattern)
		if len(pattern) > 1 {
			require.NotContains(t, err.Error(), pattern)
		}
	}
	require.NoError(t, wire.Origins{AllowMissing: true}.Check(wire.Offer{Host: host}))
	require.ErrorIs(t, wire.Origins{AllowMissing: true}.Check(wire.Offer{Host: host, Origin: "https://b.example"}), wire.ForbiddenOrigin)
	opaque, err := wire.ParseOrigins("null")
	require.NoError(t, err)
	require.NoError(t, opaque.Check(wire.Offer{Host: host, Origin: "null"}))
}

func TestSubprotocolIsTheServersFirst(t *testing.T) {
	t.Parallel()
	require.Equal(t, "b", wire.ChooseSubprotocol([]string{"a", "b"}, []string{"c", "b", "a"}))
	require.Empty(t, wire.ChooseSubprotocol([]string{"a"}, []string{"A"}))
	require.Empty(t, wire.ChooseSubprotocol(nil, []string{"a"}))
}

// BenchmarkHandshake is all that a server does between the bytes of a request and those of its answer.
func BenchmarkHandshake(b *testing.B) {
	head := []byte(add(requestHead, "Origin: https://server.example.com", "User-Agent: Mozilla/5.0 (X11; Linux x86_64)",
		"Accept-Encoding: gzip, deflate, br", "Accept-Language: en", "Cache-Control: no-cache", "Pragma: no-cache", "Cookie: a=b",
		"Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"))
	var origins wire.Origins
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		r, _, err := wire.ParseRequest(head)
		if err != nil {
			b.Fatal(err)
		}
		offer, err := wire.CheckRequest(r)
		if err != nil || origins.Check(offer) != nil {
			b.Fatal(err)
		}
		deflate, _ := wire.ChooseDeflate(offer.Extensions, wire.Deflate{})
		agreed := wire.Agreement{Subprotocol: wire.ChooseSubprotocol(offer.Subprotocols, []string{"chat"}), Extensions: []wire.Extension{deflate.Response()}}
		if out, err = wire.AppendResponse(out[:0], offer, agreed, nil); err != nil {
			b.Fatal(err)
		}
	}
}
