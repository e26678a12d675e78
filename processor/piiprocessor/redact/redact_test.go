package redact

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func scanner(t testing.TB, change ...func(*Settings)) *Scanner {
	t.Helper()
	settings := DefaultSettings()
	settings.Key = []byte(strings.Repeat("k", 32))
	for _, f := range change {
		f(&settings)
	}
	s := New(settings).Scanner()
	s.SetTime(time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC))
	return s
}

const testJWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

func TestText(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ in, want string }{
		"an e-mail in a sentence":            {"user ann@example.com, rejected.", "user [email], rejected."},
		"an e-mail with a plus and dots":     {"<a.n+ws@mail.example.co.uk>", "<[email]>"},
		"an e-mail behind percent-encoding":  {"/u/ann%40example.com/x", "/u/[email]/x"},
		"an e-mail encoded twice":            {"q ann%2540example.com", "q [email]"},
		"an e-mail behind a JSON escape":     {`{"a":"ann\u0040example.com"}`, `{"a":"[email]"}`},
		"an e-mail in full width":            {"ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ", "[email]"},
		"an e-mail in a script of its own":   {"bücher@bücher.example ok", "[email] ok"},
		"a package is no e-mail":             {"@scope/pkg@17.1.0 and pkg@1.2", "@scope/pkg@17.1.0 and pkg@1.2"},
		"user and host without a domain":     {"root@localhost", "root@localhost"},
		"credentials in a URL":               {"wss://u:pa:ss@h.example.com/x", "wss://[credential]@h.example.com/x"},
		"an IPv4 address":                    {"from 203.0.113.77:443.", "from 203.0.113.0:443."},
		"an IPv4 address at the end":         {"peer=203.0.113.77", "peer=203.0.113.0"},
		"loopback":                           {"on 127.0.0.1:8123", "on 127.0.0.1:8123"},
		"a version with a suffix":            {"2.4.57.0-rc1", "2.4.57.0-rc1"},
		"a version by its key":               {`"build": "2.4.57.9"`, `"build": "2.4.57.9"`},
		"a version in a product":             {"Chrome/108.0.44.129 Safari", "Chrome/108.0.44.129 Safari"},
		"five numbers":                       {"1.3.6.1.4", "1.3.6.1.4"},
		"numbers over 255":                   {"300.1.2.3", "300.1.2.3"},
		"an IPv6 address":                    {"[2001:db8:1:2::77]:443", "[2001:db8:1::]:443"},
		"an IPv6 address before a colon":     {"decode 2a02:8b7d::aa0d: EOF", "decode 2a02:8b7d::: EOF"},
		"a link-local address with its zone": {"fe80::1%eth0 up", "fe80:: up"},
		"a namespace":                        {"std::vec::Vec", "std::vec::Vec"},
		"a time":                             {"2026-11-03 18:22:33 00:14:22", "2026-11-03 18:22:33 00:14:22"},
		"a MAC address":                      {"hw f9:a8:b6:97:87:f6: x", "hw [mac]: x"},
		"a MAC address with dashes":          {"F9-A8-B6-97-87-F6", "[mac]"},
		"a MAC address with dots":            {"34e5.38fd.a174", "[mac]"},
		"a UUID": {
			"ae9f6120-0db4-4107-a1dc-572950f4ab54", "ae9f6120-0db4-4107-a1dc-572950f4ab54",
		},
		"a digest":                          {"sha256:ce1d5dad84b5ab6f428e7d1c", "sha256:ce1d5dad84b5ab6f428e7d1c"},
		"a card":                            {"pay 4111111111111111 now", "pay [card] now"},
		"a card in groups":                  {"4111 1111 1111 1111", "[card]"},
		"a card as a JSON number":           {`{"n":4111111111111111}`, `{"n":"[card]"}`},
		"a number that fails Luhn":          {"4111111111111112", "4111111111111112"},
		"a timestamp in milliseconds":       {"1790524408057", "1790524408057"},
		"an IBAN":                           {"to GB82WEST12345698765432.", "to [iban]."},
		"an IBAN in groups":                 {"DE89 3704 0044 0532 0130 00", "[iban]"},
		"an IBAN with wrong digits":         {"GB83WEST12345698765432", "GB83WEST12345698765432"},
		"a phone number":                    {"call +44 20 7946 0958 now", "call [phone] now"},
		"a time zone is no phone number":    {"12:00:00+01:00", "12:00:00+01:00"},
		"a social security number":          {"ssn 610-89-5223", "ssn [national-id]"},
		"a JWT":                             {"t=" + testJWT + " x", "t=[jwt] x"},
		"a bearer token":                    {"Bearer abc123def", "Bearer [credential]"},
		"the word bearer":                   {"bearer authentication failed", "bearer authentication failed"},
		"basic credentials":                 {"Basic dXNlcjpwYXNz", "Basic [credential]"},
		"a password in JSON":                {`{"password":"p w"}`, `{"password":"[secret]"}`},
		"a password with a quote in it":     {`{"password":"p\"w","a":1}`, `{"password":"[secret]","a":1}`},
		"a password in JSON in JSON":        {`{"m":"{\"password\":\"p w\"}"}`, `{"m":"{\"password\":\"[secret]\"}"}`},
		"a password twice in JSON":          {`"{\\\"password\\\":\\\"x y\\\"}"`, `"{\\\"password\\\":\\\"[secret]\\\"}"`},
		"a number under a secret's key":     {`{"pin": 1234}`, `{"pin": "[secret]"}`},
		"an object under a secret's key":    {`{"secret":{"a":[1,"}"]},"b":1}`, `{"secret":"[secret]","b":1}`},
		"null under a secret's key":         {`{"password":null}`, `{"password":null}`},
		"a secret in logfmt":                {"user=x api_key=k-1 ok", "user=x api_key=[secret] ok"},
		"prose about a token":               {"token: unexpected end", "token: unexpected end"},
		"a header to the end of its line":   {"Cookie: a=b; c=d\nHost: h", "Cookie: [secret]\nHost: h"},
		"a first name under its key":        {`{"firstName":"Åse"}`, `{"firstName":"[person]"}`},
		"a coordinate under its key":        {`{"lat":52.1,"lon":-1.5}`, `{"lat":"[location]","lon":"[location]"}`},
		"a query in text":                   {"GET /ws?v=2&k=abc HTTP/1.1", "GET /ws?v=2&k=REDACTED HTTP/1.1"},
		"a parameter behind an escaped and": {`GET /ws?room=a\u0026token=bcd`, `GET /ws?room=a\u0026token=[secret]`},
		"a vendor's key":                    {"ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[credential]"},
		"an AWS key id":                     {"id AKIAIOSFODNN7EXAMPLE", "id [credential]"},
		"a private key": {
			"-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- x", "[secret] x",
		},
		"a secret again without its key": {
			"password=hunter2hunter and hunter2hunter", "password=[secret] and [secret]",
		},
		"an order number that could be a card": {`"orderId": "572981735396578033"`, `"orderId": "572981735396578033"`},
		"a price":                              {"px=1.15234 dims=1920x1080", "px=1.15234 dims=1920x1080"},
		"nothing":                              {"", ""},

		"a secret assigned in Go":           {"mailToken := `kd83hd72js91`", "mailToken := `[secret]`"},
		"a secret assigned in make":         {`MAIL_TOKEN ?= "kd83hd72js91"`, `MAIL_TOKEN ?= "[secret]"`},
		"a secret assigned in PHP":          {`$mailToken .= "kd83hd72js91"`, `$mailToken .= "[secret]"`},
		"a secret behind an arrow":          {`"mailToken" => "kd83hd72js91"`, `"mailToken" => "[secret]"`},
		"a secret with its type":            {`var mailToken string = "kd83hd72js91"`, `var mailToken string = "[secret]"`},
		"a secret in a call":                {`System.setProperty("MAIL_TOKEN", "kd83hd72js91")`, `System.setProperty("MAIL_TOKEN", "[secret]")`},
		"a secret in XML":                   {"<mailToken>\n  kd83hd72js91\n</mailToken>", "<mailToken>\n  [secret]\n</mailToken>"},
		"a secret in XML whose own is none": {"<mail_key>password=hunter2</mail_key>", "<mail_key>password=[secret]</mail_key>"},
		"a secret as an option":             {"login --password kd83hd72js91 -v", "login --password [secret] -v"},
		"a user and a password for curl":    {"curl -u ann:kd83 https://h.example.com", "curl -u [credential] https://h.example.com"},
		"an option that is no secret":       {"run --user 1000 --verbose", "run --user 1000 --verbose"},
		"a secret in a list of variables":   {`{"name": "MAIL_TOKEN", "value": "kd83"}`, `{"name": "MAIL_TOKEN", "value": "[secret]"}`},
		"a variable that is no secret":      {`{"name": "MAIL_HOST", "value": "h-83"}`, `{"name": "MAIL_HOST", "value": "h-83"}`},
		"a key in capitals before a word":   {`MAILToken="kd83hd72js91"`, `MAILToken="[secret]"`},
		"a key without separators":          {"ibmcloudapikey=kd83", "ibmcloudapikey=[secret]"},
		"a key's value that looks minted":   {`mail_key = "kd83hd72js91mx72bq"`, `mail_key = "[secret]"`},
		"a key's value that does not":       {`sort_key = "created-at" row_key=17`, `sort_key = "created-at" row_key=17`},
		"a comparison":                      {"if token == stopped", "if token == stopped"},
		"a comparison with a secret":        {`if token == "kd83hd72"`, `if token == "[secret]"`},
		"a constant":                        {"VM_BASIC_INFO_COUNT_64", "VM_BASIC_INFO_COUNT_64"},
		"a cache's key":                     {"cache_key=kd83hd72js91mx72bq", "cache_key=kd83hd72js91mx72bq"},
		"a vendor's name and a minted word": {"heroku: kd83hd72js91mx72bq", "heroku: [secret]"},
		"a vendor's name and a word":        {"heroku: deployed v12", "heroku: deployed v12"},
		"a vendor's key without separator":  {"LTAIkd83hd72js91mx72bq", "[credential]"},
		"a vendor's trace":                  {`"sentry-trace":"0af7651916cd43dd8448eb211c80319c"`, `"sentry-trace":"0af7651916cd43dd8448eb211c80319c"`},
		"a word that starts like one":       {"ACCOUNT SKIPPED YCOMBINATOR", "ACCOUNT SKIPPED YCOMBINATOR"},
		"a Telegram bot's token": {
			"110201543:AAHd9TcvCH1vGWJxfSe1ofSAs0K5PALDsaw", "[credential]",
		},
		"a JWT in base64": {"ZXlKaGJHY2lPaUpJVXpJMU5pSjkuZXlKemRXSWlPaUl4SW4w", "[jwt]"},

		"a national number after a word":      {"call me at 020 7946 0958 please", "call me at [phone] please"},
		"a national number before a word":     {"020 7946 0958 (office)", "[phone] (office)"},
		"a national number under its key":     {"phone=020 7946 0958", "phone=[phone]"},
		"a number of North America":           {"(415) 555-0132 or 415-555-0133", "[phone] or [phone]"},
		"an extension":                        {"+1-903-140-4508x769", "[phone]x769"},
		"a number of calls":                   {"call 1234567 took 12 ms", "call 1234567 took 12 ms"},
		"a date after a word":                 {"called at 2026-11-03 18:22:33", "called at 2026-11-03 18:22:33"},
		"a rare card after a word":            {"credit card # 503890547220", "credit card # [card]"},
		"the same number without the word":    {"order 503890547220", "order 503890547220"},
		"a card's word and another number":    {"card 1234567890123", "card 1234567890123"},
		"an account with wrong check digits":  {"RS35 2600 0560 1001 6113 70", "RS35 2600 0560 1001 6113 70"},
		"an identity number after a word":     {"her NHS number is 943 476 5919", "her NHS number is [national-id]"},
		"an identity number without the word": {"943 476 5919", "943 476 5919"},
		"one with letters":                    {"nino: AB 12 34 56 C", "nino: [national-id]"},
		"a MAC address of all ones":           {"to ff:ff:ff:ff:ff:ff", "to ff:ff:ff:ff:ff:ff"},
		"a version after its word":            {"the version is now 2.4.57.9", "the version is now 2.4.57.9"},
		"an archive with its version":         {"loaded core 2.4.57.9.jar", "loaded core 2.4.57.9.jar"},
		"an upgrade from an address":          {"upgrade from 203.0.113.77", "upgrade from 203.0.113.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scanner(t)
			got, verdict := s.Text(tt.in)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.in != tt.want, verdict == Changed)
			again, _ := s.Text(got)
			require.Equal(t, got, again, "redacting twice")
		})
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	const dropped = "\x00dropped"
	for name, tt := range map[string]struct{ key, in, want string }{
		"a client's address":                  {"client.address", "203.0.113.77", "203.0.113.0"},
		"a client's address with its port":    {"client.address", "203.0.113.77:1234", "203.0.113.0"},
		"a client's IPv6 address":             {"client.address", "2001:db8:1:2::77", "2001:db8:1::"},
		"a client's address mapped into IPv6": {"client.address", "::ffff:203.0.113.77", "203.0.113.0"},
		"a client's host name":                {"client.address", "anns-laptop.example.com", dropped},
		"a hash that is no pseudonym":         {"client.hash", "203.0.113.77", dropped},
		"a user's id":                         {"user.id", "u-17", dropped},
		"a user's e-mail":                     {"user.email", "ann@example.com", dropped},
		"a query":                             {"url.query", "room=a&token=b&v=2", "room=a&token=REDACTED&v=2"},
		"an allowed parameter with an e-mail": {"url.query", "room=ann%40example.com", "room=[email]"},
		"a token in an allowed parameter":     {"url.query", "room=kJh38sDkfj3894jskdfjJKs9", "room=REDACTED"},
		"a parameter hidden in another":       {"url.query", "room=a;token=b", "room=REDACTED"},
		"an encoded name":                     {"url.query", "t%6fken=b", "REDACTED"},
		"a value without a name":              {"url.query", "kJh38sDkfj3894jskdfjJKs9", "REDACTED"},
		"an empty parameter":                  {"url.query", "a=&v=", "a=&v="},
		"a path":                              {"url.path", "/ws/v1", "/ws/v1"},
		"a path with a token":                 {"url.path", "/s/kJh38sDkfj3894jskdfjJKs9/x", "/s/REDACTED/x"},
		"a path with a UUID": {
			"url.path", "/r/ae9f6120-0db4-4107-a1dc-572950f4ab54", "/r/ae9f6120-0db4-4107-a1dc-572950f4ab54",
		},
		"a path with a session":   {"url.path", "/r;jsessionid=kJh38sDkfj3894jskdf", "/REDACTED"},
		"a path that has a query": {"url.path", "/r?token=abc", "/r?token=REDACTED"},
		"subprotocols": {
			"websocket.client.subprotocols", "graphql-ws, bearer.abc", "graphql-ws, bearer.REDACTED",
		},
		"a token as its own subprotocol": {
			"websocket.client.subprotocols", "access_token, s3cr3t", "access_token, REDACTED",
		},
		"Kubernetes' bearer subprotocol": {
			"websocket.subprotocol", "base64url.bearer.authorization.k8s.io.abc",
			"base64url.bearer.authorization.k8s.io.REDACTED",
		},
		"a chosen subprotocol": {"websocket.subprotocol", "v12.stomp", "v12.stomp"},
		"a User-Agent": {
			"user_agent.original", "Mozilla/5.0 Chrome/108.0.44.129", "Mozilla/5.0 Chrome/108.0.44.129",
		},
		"a User-Agent with an e-mail": {
			"user_agent.original", "bot (+mailto:ann@example.com)", "bot (+mailto:[email])",
		},
		"a close reason":                  {"websocket.close.reason", "bye ann@example.com", "bye [email]"},
		"a connection's id":               {"websocket.connection.id", "9f3c61d0a2b44e07", "9f3c61d0a2b44e07"},
		"an address as a connection's id": {"websocket.connection.id", "203.0.113.77", "203.0.113.0"},
		"a value of a closed set":         {"websocket.vantage", "edge", "edge"},
		"a value outside a closed set":    {"websocket.vantage", "ann@example.com", dropped},
		"text where a number belongs":     {"http.response.status_code", "101 ann", dropped},
		"an error type":                   {"error.type", "unauthenticated", "unauthenticated"},
		"a token where a label belongs":   {"websocket.rate_limit.policy", "kJh38sDkfj3894jskdfjJKs9", dropped},
		"a server's own address":          {"server.address", "203.0.113.77", "203.0.113.77"},
		"a header outside the model":      {"http.request.header.authorization", "Bearer x", dropped},
		"a key outside the model":         {"note", "harmless", dropped},
		"a value that is too long":        {"websocket.close.reason", strings.Repeat("x", 65<<10), dropped},
		"a template":                      {"url.template", "/rooms/{id}", "/rooms/{id}"},
		"a source and its host": {
			"websocket.source.name", "websocketlog/nginx@web-1.example.com", "websocketlog/nginx@web-1.example.com",
		},
		"a source that is an e-mail address": {"websocket.source.name", "ann@example.com", "[email]"},
		"a tenant":                           {"websocket.tenant.id", "acme", "acme"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scanner(t)
			treatment, ok := s.Key(Record, tt.key)
			require.True(t, ok)
			got, verdict := s.String(treatment, tt.in)
			if verdict == Dropped {
				got = dropped
			}
			require.Equal(t, tt.want, got)
			if got != dropped {
				again, _ := s.String(treatment, got)
				require.Equal(t, got, again, "redacting twice")
			}
		})
	}
}

func TestUnknownKeysThatAreScanned(t *testing.T) {
	t.Parallel()
	const dropped = "\x00dropped"
	for name, tt := range map[string]struct{ key, in, want string }{
		"plain text": {"note", "harmless", "harmless"},
		"a URL": {
			"url.full", "wss://u:p@h.example.com/ws?token=a&v=2#access_token=b",
			"wss://h.example.com/ws?token=REDACTED&v=2#access_token=REDACTED",
		},
		"authorization":         {"http.request.header.authorization", "Bearer x", dropped},
		"a cookie set":          {"http.response.header.set_cookie", "a=b", dropped},
		"a header by its words": {"http.request.header.x-my-session-token", "x", dropped},
		"the handshake's nonce": {
			"http.request.header.sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ==",
		},
		"the subprotocol header": {
			"http.request.header.sec-websocket-protocol", "access_token, x", "access_token, REDACTED",
		},
		"a name":                   {"enduser.name", "Åse Ås", "[person]"},
		"a password":               {"db.userPassword", "x", "[secret]"},
		"a coordinate":             {"geo.location.lat", "14.89911", "[location]"},
		"a version":                {"app.version", "2.4.57.9", "2.4.57.9"},
		"an address":               {"peer", "203.0.113.77", "203.0.113.0"},
		"a key that is an address": {"ann@example.com", "x", dropped},
		"a key that is a token":    {"kJh38sDkfj3894jskdfjJKs9", "x", dropped},
		"a command line":           {"process.command_line", "x --password y", dropped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scanner(t, func(s *Settings) { s.ScanUnknown = true })
			treatment, ok := s.Key(Record, tt.key)
			got, verdict := s.String(treatment, tt.in)
			if !ok || verdict == Dropped {
				got = dropped
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestPolicyOverridesTheTable(t *testing.T) {
	t.Parallel()
	s := scanner(t, func(s *Settings) {
		s.Keep, s.Scan, s.Mask = []string{"user.id"}, []string{"note"}, []string{"websocket.tenant.id"}
		s.Hash, s.Drop = []string{"user.email"}, []string{"url.query"}
	})
	for key, want := range map[string]string{
		"user.id": "ann@example.com", "note": "[email]", "websocket.tenant.id": "REDACTED", "url.query": "",
	} {
		treatment, _ := s.Key(Record, key)
		got, _ := s.String(treatment, "ann@example.com")
		require.Equal(t, want, got, key)
	}
	treatment, _ := s.Key(Record, "user.email")
	got, _ := s.String(treatment, "ann@example.com")
	require.True(t, IsPseudonym(got))
}

func TestPseudonyms(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)
	hash := func(at time.Time, address string, change ...func(*Settings)) string {
		s := scanner(t, change...)
		s.SetTime(at)
		return s.ClientHash(address)
	}
	base := hash(day, "203.0.113.77")
	require.Regexp(t, `^p1:[a-z2-7]{4}-20760:[a-z2-7]{24}$`, base)
	require.Equal(t, base, hash(day.Add(23*time.Hour), "203.0.113.77"), "one day, one pseudonym")
	require.Equal(t, base, hash(day, "203.0.113.77:4711"), "the port is no part of the client")
	require.Equal(t, base, hash(day, "::ffff:203.0.113.77"), "one address, however it is written")
	for what, other := range map[string]string{
		"day":     hash(day.Add(24*time.Hour), "203.0.113.77"),
		"address": hash(day, "203.0.113.78"),
		"tenant":  hash(day, "203.0.113.77", func(s *Settings) { s.Tenant = "acme" }),
		"key":     hash(day, "203.0.113.77", func(s *Settings) { s.Key = []byte(strings.Repeat("x", 32)) }),
	} {
		require.NotEqual(t, base, other, what)
		require.True(t, IsPseudonym(other), what)
	}
	require.Empty(t, hash(day, "203.0.113.77", func(s *Settings) { s.Key = nil }), "no key, no pseudonym")
	require.Empty(t, hash(day, "203.0.113.0"), "what was truncated has no pseudonym of its own")
	require.Empty(t, hash(day, "laptop"))

	s := scanner(t, func(s *Settings) { s.Actions = map[Rule]Action{Email: Hash} })
	upper, _ := s.Text("Ann@Example.com")
	plainText, _ := s.Text("ann@example.com")
	require.Equal(t, plainText, upper)
	require.True(t, IsPseudonym(upper), upper)
	again, _ := s.Text(upper)
	require.Equal(t, upper, again)

	s = scanner(t, func(s *Settings) { s.Key = nil; s.Actions = map[Rule]Action{Email: Hash} })
	masked, _ := s.Text("ann@example.com")
	require.Equal(t, "[email]", masked, "without a key a hash becomes a mask, never the value")
	treatment, _ := s.Key(Record, "session.id")
	_, verdict := s.String(treatment, "0f3e")
	require.Equal(t, Dropped, verdict)
}

func TestAPanicDropsTheValue(t *testing.T) {
	t.Parallel()
	s := scanner(t)
	s.macs = nil // writing to it panics
	treatment, _ := s.Key(Record, "session.id")
	out, verdict := s.String(treatment, "0f3e")
	require.Equal(t, Dropped, verdict)
	require.Empty(t, out)
	require.EqualValues(t, 1, s.Counts[Panic][Drop])
}

func TestEveryDetectorCanBeOff(t *testing.T) {
	t.Parallel()
	const all = `ann@example.com 203.0.113.77 f9:a8:b6:97:87:f6 4111111111111111 GB82WEST12345698765432 ` +
		`+442079460958 610-89-5223 Bearer abc123def {"password":"p","firstName":"A","lat":1.5} ` + testJWT
	s := scanner(t, func(s *Settings) {
		s.Actions = map[Rule]Action{}
		for _, d := range Detectors() {
			s.Actions[d.Rule] = Off
		}
	})
	got, _ := s.Text(all)
	require.Equal(t, all, got)
	require.Len(t, s.e.Off(), len(Detectors()))
	for _, d := range Detectors() {
		s := scanner(t)
		_, _ = s.Text(all)
		require.NotZero(t, s.Counts[d.Rule], d.Rule)
	}
}

func TestMeaningOfKeys(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]meaning{
		"password": meansSecret, "userPassword": meansSecret, "user_password_old": meansSecret, "PASSWORD": meansSecret,
		"apiKey7": meansSecret, "X-Api-Key": meansSecret, "api.key": meansSecret, "accessToken": meansToken,
		"X-Amz-Signature": meansToken, "firstName": meansPerson, "enduser.name": meansPerson, "userId": meansPerson,
		"token_type": meansNothing, "max_tokens_used": meansNothing, "keyboard": meansNothing, "author": meansNothing,
		"orderId": meansNothing, "": meansNothing, "...": meansNothing, "service.version": meansVersion,
	} {
		require.Equal(t, want, meaningOf(key), key)
	}
}

// TestNoTextIsQuadratic holds the time for texts that make detectors look far ahead again and again. The bound is
// loose: a quadratic pass over such a text takes seconds.
func TestNoTextIsQuadratic(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{
		"?a=b", "eyJ", "sk_", `"pin":{`, "pin=", "cookie:", `"pin":"`, "@", "a@", ":", "1.", "%40", "://", "-----BEGIN ",
		"+1", "4111-", `\"pin\":\"`, "a@b.cc ", "Bearer ", "::1", "ａ", "a1:x-1:1.1.1.1 ", "t1:abcdefgh:A", "t1:",
	} {
		in := strings.Repeat(piece, 60<<10/len(piece))
		s := scanner(t)
		start := time.Now()
		for _, k := range []kind{kindText, kindURL, kindQuery, kindPath, kindSubprotocol} {
			_, _ = s.String(Treatment{kind: k}, in)
		}
		require.Less(t, time.Since(start), 3*time.Second, "%q", piece)
		t.Logf("%-14q %v", piece, time.Since(start))
	}
}
