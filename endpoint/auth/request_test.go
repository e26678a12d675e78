package auth

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// jwtLike looks like a token, and has the canary.
const jwtLike = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIifQ." + canary

func handshake(target string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func TestFromRequest(t *testing.T) {
	t.Parallel()
	all := Sources{Header: true, Subprotocol: true, Cookie: "session", Ticket: "ticket", Certificate: true, InsecureQuery: "access_token", MaxBytes: 200}
	k8s := func(s string) string {
		return SubprotocolBearerPrefix + base64.RawURLEncoding.EncodeToString([]byte(s))
	}
	const auth, sub, cookie = "Authorization", "Sec-WebSocket-Protocol", "Cookie"
	withCert := func(r *http.Request) *http.Request {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
		return r
	}
	for sentence, test := range map[string]struct {
		s      Sources
		r      *http.Request
		origin string
		method Method
		token  string
		err    error
	}{
		"nothing":                                   {all, handshake("/"), page, "", "", MissingCredential},
		"a header":                                  {all, handshake("/", auth, "Bearer "+canary), "", Bearer, canary, nil},
		"a scheme in capitals, two spaces":          {all, handshake("/", auth, "BEARER  "+canary), "", Bearer, canary, nil},
		"a header that is not looked at":            {Sources{Ticket: "t"}, handshake("/", auth, "Bearer "+canary), "", "", "", MissingCredential},
		"another scheme":                            {all, handshake("/", auth, "Basic "+canary), "", "", "", MissingCredential},
		"another scheme, and a cookie":              {all, handshake("/", auth, "Basic x", cookie, "session=c"), page, Cookie, "c", nil},
		"a scheme alone":                            {all, handshake("/", auth, "Bearer"), "", "", "", MalformedCredential},
		"a scheme and spaces":                       {all, handshake("/", auth, "Bearer   "), "", "", "", MalformedCredential},
		"two tokens in a header":                    {all, handshake("/", auth, "Bearer a b"), "", "", "", MalformedCredential},
		"tokens with a comma between":               {all, handshake("/", auth, "Bearer a,Bearer b"), "", "", "", MalformedCredential},
		"a token in quotes":                         {all, handshake("/", auth, `Bearer "a"`), "", "", "", MalformedCredential},
		"two headers":                               {all, handshake("/", auth, "Bearer a", auth, "Bearer a"), "", "", "", AmbiguousCredential},
		"two headers of which one is ours":          {all, handshake("/", auth, "Basic a", auth, "Bearer a"), "", "", "", AmbiguousCredential},
		"too long a token":                          {all, handshake("/", auth, "Bearer "+strings.Repeat("a", 201)), "", "", "", CredentialTooLong},
		"the longest token":                         {all, handshake("/", auth, "Bearer "+strings.Repeat("a", 200)), "", Bearer, strings.Repeat("a", 200), nil},
		"a pair of subprotocols":                    {all, handshake("/", sub, "bearer, "+jwtLike), "", Subprotocol, jwtLike, nil},
		"a pair among others":                       {all, handshake("/", sub, "chat, bearer, "+jwtLike+", other"), "", Subprotocol, jwtLike, nil},
		"a pair in two lines":                       {all, handshake("/", sub, "bearer", sub, canary), "", Subprotocol, canary, nil},
		"bearer at the end":                         {all, handshake("/", sub, "chat, bearer"), "", "", "", MalformedCredential},
		"the name of a token in other letters":      {all, handshake("/", sub, "Bearer, x"), "", "", "", MissingCredential},
		"a token as Kubernetes has it":              {all, handshake("/", sub, "v4.channel.k8s.io, "+k8s(canary)), "", Subprotocol, canary, nil},
		"one that is not base64url":                 {all, handshake("/", sub, SubprotocolBearerPrefix+"a+b"), "", "", "", MalformedCredential},
		"one with stray bits":                       {all, handshake("/", sub, SubprotocolBearerPrefix+"QR"), "", "", "", MalformedCredential},
		"one that is not text":                      {all, handshake("/", sub, k8s("\xff\xfe")), "", "", "", MalformedCredential},
		"one that is empty":                         {all, handshake("/", sub, SubprotocolBearerPrefix), "", "", "", MalformedCredential},
		"one that is too long":                      {all, handshake("/", sub, k8s(strings.Repeat("a", 201))), "", "", "", CredentialTooLong},
		"tokens of both kinds":                      {all, handshake("/", sub, "bearer, x, "+k8s("y")), "", "", "", AmbiguousCredential},
		"subprotocols that are malformed":           {all, handshake("/", sub, "bearer, a b"), "", "", "", MalformedCredential},
		"subprotocols that are not looked at":       {Sources{Header: true}, handshake("/", sub, "bearer, x"), "", "", "", MissingCredential},
		"a header and a subprotocol":                {all, handshake("/", auth, "Bearer a", sub, "bearer, a"), "", "", "", AmbiguousCredential},
		"a cookie":                                  {all, handshake("/", cookie, "a=b; session="+canary+"; c=d"), page, Cookie, canary, nil},
		"a cookie without an Origin":                {all, handshake("/", cookie, "session="+canary), "", "", "", UncheckedOrigin},
		"a cookie of an opaque Origin":              {all, handshake("/", cookie, "session="+canary), "null", "", "", UncheckedOrigin},
		"two cookies of the name":                   {all, handshake("/", cookie, "session=a; session=b"), page, "", "", AmbiguousCredential},
		"two cookies in two lines":                  {all, handshake("/", cookie, "session=a", cookie, "session=a"), page, "", "", AmbiguousCredential},
		"an empty cookie":                           {all, handshake("/", cookie, "session="), page, "", "", MalformedCredential},
		"a cookie of another name":                  {all, handshake("/", cookie, "Session=a; xsession=b"), page, "", "", MissingCredential},
		"a cookie that is not looked at":            {DefaultSources(), handshake("/", cookie, "session=a"), page, "", "", MissingCredential},
		"a cookie that came along with a ticket":    {all, handshake("/?ticket=t", cookie, "session=a"), page, Ticket, "t", nil},
		"a ticket":                                  {DefaultSources(), handshake("/?room=1&ticket=" + canary), page, Ticket, canary, nil},
		"a ticket that is empty":                    {all, handshake("/?ticket="), "", "", "", MalformedCredential},
		"a ticket without a value":                  {all, handshake("/?ticket"), "", "", "", MalformedCredential},
		"two tickets":                               {all, handshake("/?ticket=a&ticket=a"), "", "", "", AmbiguousCredential},
		"two tickets, one escaped":                  {all, handshake("/?ticket=a&%74icket=b"), "", "", "", AmbiguousCredential},
		"a ticket and a header":                     {all, handshake("/?ticket=a", auth, "Bearer b"), "", "", "", AmbiguousCredential},
		"a ticket with a bad escape":                {all, queried("ticket=%zz" + canary), "", "", "", MalformedCredential},
		"a token in the URL":                        {DefaultSources(), handshake("/?access_token=" + canary), "", "", "", TokenInURL},
		"one under another name":                    {DefaultSources(), handshake("/?Token=" + canary), "", "", "", TokenInURL},
		"one under an escaped name":                 {DefaultSources(), handshake("/?%74oken=" + canary), "", "", "", TokenInURL},
		"one under any name":                        {DefaultSources(), handshake("/?x=" + jwtLike), "", "", "", TokenInURL},
		"one beside a good header":                  {DefaultSources(), handshake("/?token="+canary, auth, "Bearer x"), "", "", "", TokenInURL},
		"a token in the URL, by choice":             {all, handshake("/?access_token=" + jwtLike), "", Query, jwtLike, nil},
		"by choice, under another name":             {all, handshake("/?token=" + canary), "", "", "", TokenInURL},
		"an ordinary query":                         {all, handshake("/?room=1&x&=y&&z=%zz"), "", "", "", MissingCredential},
		"a certificate":                             {all, withCert(handshake("/")), "", MTLS, "", nil},
		"a certificate and a header":                {all, withCert(handshake("/", auth, "Bearer a")), "", Bearer, "a", nil},
		"a certificate that is not looked at":       {DefaultSources(), withCert(handshake("/")), "", "", "", MissingCredential},
		"nowhere to look":                           {Sources{}, withCert(handshake("/?ticket=a", auth, "Bearer a", cookie, "session=a")), page, "", "", MissingCredential},
		"the parameter of a source without a name ": {Sources{Header: true}, handshake("/?=a"), "", "", "", MissingCredential},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			c, err := test.s.FromRequest(test.r, test.origin)
			require.Equal(t, test.err, err)
			if err != nil {
				require.Zero(t, c)
				require.NotContains(t, err.Error(), canary)
				return
			}
			require.Equal(t, Credential{Method: test.method, Token: test.token, Request: test.r, Origin: test.origin}, c)
		})
	}
}

func queried(raw string) *http.Request {
	r := handshake("/")
	r.URL = &url.URL{Path: "/", RawQuery: raw}
	return r
}

func TestSubprotocolsWithoutTokens(t *testing.T) {
	t.Parallel()
	s := DefaultSources()
	require.Equal(t, []string{"chat", "bearer", "other"}, s.Subprotocols([]string{"chat", "bearer", jwtLike, "other"}))
	require.Equal(t, []string{"bearer"}, s.Subprotocols([]string{"bearer", canary}))
	require.Equal(t, []string{"v4"}, s.Subprotocols([]string{SubprotocolBearerPrefix + canary, "v4"}))
	require.Empty(t, s.Subprotocols(nil))
	require.Equal(t, []string{"bearer", "x"}, Sources{}.Subprotocols([]string{"bearer", "x"}))
}

func TestRedactQuery(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                       "",
		"ticket=" + canary:       "ticket=REDACTED",
		"room=1&token=" + canary: "room=1&token=REDACTED",
		"room=" + jwtLike:        "room=REDACTED",
		canary:                   "REDACTED",
		jwtLike + "=x":           "REDACTED",
		"room=1&" + canary + "&": "room=1&REDACTED&REDACTED",
		"%72oom=" + canary:       "%72oom=REDACTED",
		"room=&a=" + canary:      "room=&a=REDACTED",
	} {
		got := RedactQuery(query, "room")
		require.Equal(t, want, got)
		require.Equal(t, got, RedactQuery(got, "room"), "once is enough")
	}
}

func FuzzFromRequest(f *testing.F) {
	f.Add("Bearer "+canary, "bearer, "+canary, "session="+canary, "ticket=a&room=1", page)
	f.Add("bearer x", SubprotocolBearerPrefix+"QQ", "session=\"a\"; session=b", "access_token=%41", "")
	f.Add("", "bearer", "", "x="+jwtLike+"&=&&%zz=%zz", "null")
	all := Sources{Header: true, Subprotocol: true, Cookie: "session", Ticket: "ticket", Certificate: true, InsecureQuery: "access_token", MaxBytes: 64}
	f.Fuzz(func(t *testing.T, auth, sub, cookie, query, origin string) {
		r := queried(query)
		for name, value := range map[string]string{"Authorization": auth, "Sec-Websocket-Protocol": sub, "Cookie": cookie} {
			if value != "" {
				r.Header[name] = []string{value}
			}
		}
		for _, s := range []Sources{all, DefaultSources(), {}} {
			c, err := s.FromRequest(r, origin)
			if err != nil {
				_, ok := err.(Failure)
				require.True(t, ok)
				require.Zero(t, c)
				continue
			}
			require.NotEmpty(t, c.Token)
			require.LessOrEqual(t, len(c.Token), s.max())
			require.True(t, c.Method != Cookie || origin != "" && origin != "null")
			require.True(t, s.InsecureQuery != "" || c.Method != Query)
		}
		redactedOnce := RedactQuery(query)
		require.Equal(t, redactedOnce, RedactQuery(redactedOnce))
	})
}
