package redact

import (
	"crypto/ecdh"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// keyPair returns the two halves of a key pair in PEM. It is the same for the same letter.
func keyPair(t testing.TB, letter string) (recipient, identity []byte) {
	t.Helper()
	private, err := ecdh.X25519().NewPrivateKey([]byte(strings.Repeat(letter, 32)))
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	identity = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	der, err = x509.MarshalPKIXPublicKey(private.PublicKey())
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), identity
}

// recipient lets an engine make tokens, and identity reads them.
func recipient(t testing.TB, letter string) (set func(*Settings), identity *Identity) {
	t.Helper()
	public, private := keyPair(t, letter)
	to, err := ParseRecipient(public)
	require.NoError(t, err)
	identity, err = ParseIdentity(private)
	require.NoError(t, err)
	return func(s *Settings) { s.Recipient = to }, identity
}

func actions(m map[Rule]Action) func(*Settings) {
	return func(s *Settings) { s.Actions = m }
}

func TestPartial(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ in, want string }{
		"a card":                             {"pay 4111111111111111 now", "pay [card*1111] now"},
		"a card in groups of another length": {"card 3782 822463 10005", "card [card*0005]"},
		"a card as a JSON number":            {`{"n":4111111111111111}`, `{"n":"[card*1111]"}`},
		"a card twice":                       {"4111111111111111,4111111111111111", "[card*1111],[card*1111]"},
		"an IBAN":                            {"to GB82WEST12345698765432.", "to [iban*5432]."},
		"an IBAN in groups":                  {"DE89 3704 0044 0532 0130 00", "[iban*3000]"},
		"a phone number":                     {"call +44 20 7946 0958 now", "call [phone*0958] now"},
		"a phone number in pairs":            {"tel 06 12 34 56 78", "tel [phone*5678]"},
		"a phone number with an extension":   {"+1-903-140-4508x769", "[phone*4508]x769"},
		"a short number under a phone's key": {"phone=112911", "phone=[phone]"},
		"an e-mail":                          {"<john.smith@gmail.com>", "<[email]@gmail.com>"},
		"an e-mail behind percent-encoding":  {"/u/john.smith%40gmail.com/x", "/u/[email]@gmail.com/x"},
		"an e-mail of which too much stays":  {"ann@example.com", "[email]"},
		"an e-mail behind a JSON escape":     {`{"a":"john.smith\u0040gmail.com"}`, `{"a":"[email]"}`},
		"an e-mail in full width":            {"ｊｏｈｎｎ＠ｅｘ．ｃｏｍ", "[email]"},
		"a card in the domain of an e-mail":  {"ann.annson.annson@4111111111111111.com", "[email]"},
		"an address in the domain":           {"john.smith.junior@203.0.113.77.nip.io", "[email]@203.0.113.0.nip.io"},
		"a card under a secret's key":        {`{"password":"4111111111111111"}`, `{"password":"[secret]"}`},
		"a partial mask under a key":         {"mobile: [phone*0958], card=[card*1111]", "mobile: [phone*0958], card=[card*1111]"},
		"a partial mask in a URL":            {"wss://[email]@gmail.com/x", "wss://[email]@gmail.com/x"},
		"something else in brackets":         {"password=[hunter*1234]", "password=[secret]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scanner(t, actions(map[Rule]Action{Email: Partial, Card: Partial, IBAN: Partial, Phone: Partial}))
			got, _ := s.Text(tt.in)
			require.Equal(t, tt.want, got)
			again, _ := s.Text(got)
			require.Equal(t, got, again, "redacting twice")
		})
	}
}

func TestPartialKeepsAtMostSixtyPercent(t *testing.T) {
	t.Parallel()
	for r, values := range map[Rule][]string{
		Email: {"a@b.de", "ab@cd.de", "anna@b.de", "annabella@example.com", "john.smith@gmail.com"},
		Phone: {"1", "12345", "123456", "1234567", "+4412", "02079460958", "06 12 34 56 78"},
		Card:  {"4111111111111111", "503890547220"}, IBAN: {"NO9386011117947"},
	} {
		for _, v := range values {
			out, ok := appendPartial(nil, r, v)
			if !ok {
				require.Empty(t, out, "%s", v)
				continue
			}
			require.True(t, isPartial(string(out)), "%s", out)
			require.True(t, isMask(string(out)), "%s", out)
			longest := 0
			for i := range len(v) {
				for j := i + 1; j <= len(v); j++ {
					if strings.Contains(string(out), v[i:j]) {
						longest = max(longest, j-i)
					}
				}
			}
			require.LessOrEqual(t, longest*100, len(v)*maxKeptPercent, "%s of %s", out, v)
		}
	}
}

// The vectors are those of the authors' program (sample_trace_raw.dat and its result), and for IPv6 that of yacryptopan.
func TestPrefixesArePreservedAsPublished(t *testing.T) {
	t.Parallel()
	key := []byte{
		21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16,
		216, 152, 143, 131, 121, 121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2,
	}
	p := newPAN(key)
	for in, want := range map[string]string{
		"128.11.68.132": "135.242.180.132", "129.118.74.4": "134.136.186.123", "130.132.252.244": "133.68.164.234",
		"141.223.7.43": "141.167.8.160", "141.233.145.108": "141.129.237.235", "152.163.225.39": "151.140.114.167",
		"156.29.3.236": "147.225.12.42", "165.247.96.84": "162.9.99.234", "166.107.77.190": "160.132.178.185",
		"192.102.249.13": "252.138.62.131", "192.215.32.125": "252.43.47.189", "192.233.80.103": "252.25.108.8",
		"192.41.57.43": "252.222.221.184", "193.150.244.223": "253.169.52.216", "195.205.63.100": "255.186.223.5",
		"198.200.171.101": "249.199.68.213", "198.26.132.101": "249.36.123.202", "198.36.213.5": "249.7.21.132",
		"198.51.77.238": "249.18.186.254", "199.217.79.101": "248.38.184.213",
	} {
		require.Equal(t, want, p.address(netip.MustParseAddr(in)).String(), in)
	}
	p = newPAN([]byte("32-char-str-for-AES-key-and-pad."))
	require.Equal(t, "192.0.125.244", p.address(netip.MustParseAddr("192.0.2.1")).String())
	require.Equal(t, "27fe:8bc7:fee:1e:1e1f:f0fe:f0e1:83fd", p.address(netip.MustParseAddr("2001:db8::1")).String())
}

func commonBits(a, b string) (n int) {
	x, y := netip.MustParseAddr(a).AsSlice(), netip.MustParseAddr(b).AsSlice()
	for n < 8*len(x) && x[n/8]>>(7-n%8)&1 == y[n/8]>>(7-n%8)&1 {
		n++
	}
	return n
}

func TestPrefixPreserving(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)
	at := func(when time.Time, in string, change ...func(*Settings)) string {
		s := scanner(t, append(change, actions(map[Rule]Action{IP: PrefixPreserving}))...)
		s.SetTime(when)
		out, _ := s.Text(in)
		again, verdict := s.Text(out)
		require.Equal(t, out, again, "redacting twice")
		require.Equal(t, Kept, verdict)
		again, _ = scanner(t).Text(out)
		require.Equal(t, out, again, "redacting with another policy")
		return out
	}
	address := func(out string) string {
		parts := strings.SplitN(out, ":", 3)
		require.Len(t, parts, 3, out)
		require.True(t, isPrefixed(out), out)
		return parts[2]
	}
	base := at(day, "203.0.113.77")
	require.Regexp(t, `^a1:[a-z2-7]{4}-20760:[0-9.]+$`, base)
	require.NotEqual(t, "203.0.113.77", address(base))
	require.Equal(t, base, at(day.Add(time.Hour), "203.0.113.77"), "one day, one pseudonym")
	for _, other := range []string{
		at(day.Add(24*time.Hour), "203.0.113.77"),
		at(day, "203.0.113.77", func(s *Settings) { s.Tenant = "acme" }),
		at(day, "203.0.113.77", func(s *Settings) { s.Policy = "acme" }),
		at(day, "203.0.113.77", func(s *Settings) { s.Key = []byte(strings.Repeat("x", 32)) }),
	} {
		require.NotEqual(t, address(base), address(other))
	}
	for _, pair := range [][2]string{
		{"203.0.113.77", "203.0.113.78"}, {"203.0.113.77", "203.0.112.1"}, {"203.0.113.77", "10.1.2.3"},
		{"2001:db8:1:2::77", "2001:db8:1:3::1"}, {"2001:db8:1:2::77", "fe80::1"},
	} {
		require.Equal(t, commonBits(pair[0], pair[1]), commonBits(address(at(day, pair[0])), address(at(day, pair[1]))), pair)
	}
	require.Regexp(t, `^from a1:\S+-20760:[0-9.]+:443\.$`, at(day, "from 203.0.113.77:443."))
	require.Regexp(t, `^\[a1:\S+-20760:[0-9a-f:]+\]:443 x$`, at(day, "[2001:db8:1:2::77]:443 x"))
	require.Equal(t, "from [ip]", at(day, "from 203.0.113.77", func(s *Settings) { s.Key = nil }), "no key, no pseudonym")

	short := at(day, "2001:db8:1:2::77 and 203.0.113.77", func(s *Settings) { s.Epoch = 7 * 24 * time.Hour })
	require.Contains(t, short, "-2965:")

	s := scanner(t, func(s *Settings) { s.PrefixPreserving = []string{"client.address"} })
	treatment, _ := s.Key(Record, "client.address")
	require.True(t, treatment.IsAddress(), "a pseudonym stands beside it")
	for in, ok := range map[string]bool{
		"203.0.113.77": true, "203.0.113.77:1234": true, "[2001:db8:1:2::77]:443": true, "2001:db8:1:2::77": true,
		"::ffff:203.0.113.77": true, "anns-laptop.example.com": false, "unix:": false,
	} {
		out, verdict := s.String(treatment, in)
		require.Equal(t, ok, verdict == Changed, in)
		if ok {
			require.True(t, isPrefixed(out), out)
			again, _ := s.String(treatment, out)
			require.Equal(t, out, again, "redacting twice")
			again, verdict = s.String(Treatment{kind: kindAddress}, out)
			require.Equal(t, Kept, verdict, again)
			require.Empty(t, s.ClientHash(out))
		}
	}
	plainV4, _ := s.String(treatment, "203.0.113.77")
	mapped, _ := s.String(treatment, "::ffff:203.0.113.77")
	require.Equal(t, plainV4, mapped, "one address, however it is written")
}

func TestTokens(t *testing.T) {
	t.Parallel()
	set, identity := recipient(t, "r")
	tokens := actions(map[Rule]Action{
		Email: Tokenise, IP: Tokenise, MAC: Tokenise, IBAN: Tokenise, Phone: Tokenise, NationalID: Tokenise, Person: Tokenise,
		Location: Tokenise,
	})
	for name, in := range map[string]string{
		"an e-mail":                    "user ann@example.com, rejected.",
		"an encoded e-mail in a path":  "/u/ann%40example.com/x",
		"an IPv4 address":              "from 203.0.113.77:443.",
		"an IPv6 address":              "[2001:db8:1:2::77]:443",
		"a MAC address":                "hw f9:a8:b6:97:87:f6: x",
		"an IBAN":                      "DE89 3704 0044 0532 0130 00",
		"a phone number":               "call +44 20 7946 0958 now",
		"an identity number":           "ssn 610-89-5223",
		"a first name under its key":   `{"firstName":"Åse \"A\" Ås"}`,
		"a coordinate under its key":   `{"lat":"52.1"}`,
		"several":                      "ann@example.com bob@example.com 203.0.113.77",
		"two of one value":             "ann@example.com ann@example.com",
		"a token beside a value":       "x t1:abcdefgh: ann@example.com",
		"the longest value":            `{"firstName":"` + strings.Repeat("a", MaxTokenised) + `"}`,
		"a value that fills its block": `{"firstName":"` + strings.Repeat("a", tokenBlock) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, identity := recipient(t, "r")
			s := scanner(t, set, tokens)
			for _, k := range []kind{kindText, kindPath} {
				if k == kindPath && in[0] != '/' {
					continue
				}
				out, verdict := s.String(Treatment{kind: k}, in)
				require.Equal(t, Changed, verdict)
				again, _ := s.String(Treatment{kind: k}, out)
				require.Equal(t, out, again, "redacting twice")
				again, _ = scanner(t).String(Treatment{kind: k}, out)
				require.Equal(t, out, again, "redacting with another policy")
				back, n, failed := identity.Reveal(out, false)
				require.Equal(t, in, back)
				require.Positive(t, n)
				require.Zero(t, failed)
				other, _ := scanner(t, set, tokens).String(Treatment{kind: k}, in)
				require.NotEqual(t, out, other, "tokens are random")
			}
		})
	}
	s := scanner(t, set, tokens)
	short, _ := s.Text("a@b.de")
	long, _ := s.Text("annabella.annson@example.com")
	require.Len(t, long, len(short), "the length of a value does not show")

	for in, want := range map[string]string{
		`{"firstName":"` + strings.Repeat("a", MaxTokenised+1) + `"}`: `{"firstName":"[person]"}`,
		"Bearer abc123def": "Bearer [credential]", "4111111111111111": "[card]", testJWT: "[jwt]",
		`{"firstName":"` + testJWT + `"}`: `{"firstName":"[jwt]"}`,
		"ann@4111111111111111.com":        "[email]",
	} {
		got, _ := s.Text(in)
		require.Equal(t, want, got)
	}
	got, _ := scanner(t, tokens).Text("ann@example.com")
	require.Equal(t, "[email]", got, "without a recipient a token becomes a mask, never the value")

	out, _ := s.Text("ann@example.com")
	_, stranger := recipient(t, "s")
	back, n, failed := stranger.Reveal(out, false)
	require.Equal(t, out, back)
	require.Zero(t, n+failed)
	last := out[len(out)-2]
	forged := out[:len(out)-2] + string(rune('A'+(last-'A'+1)%26)) + out[len(out)-1:]
	_, n, failed = identity.Reveal(forged, false)
	require.Zero(t, n)
	require.Equal(t, 1, failed)

	out, _ = s.Text(`{"firstName":"A \" s"}`)
	back, _, _ = identity.Reveal(`{"text":`+`"`+quotable(out)+`"}`, true)
	require.Equal(t, `{"text":"{\"firstName\":\"A \\\" s\"}"}`, back)
}

const storedToken = "t1:vohwskal:h74nqlNmlKmhuUWJKCZJh2SwIsd2GAL94xMTA5pDjXSkzZAUNNlmLxmvXrsowU2QCUPcG6joQrnBdo" +
	"7t4zAOzHlqNeP9LJrIKywjnl7ul_dJsiQEw-Nwqg8YGkc"

// TestATokenOfToday holds the form: tokens that were stored must stay readable.
func TestATokenOfToday(t *testing.T) {
	t.Parallel()
	_, identity := recipient(t, "r")
	back, n, failed := identity.Reveal(storedToken, false)
	require.Zero(t, failed)
	require.Equal(t, 1, n)
	require.Equal(t, "ann@example.com", back)
}

func TestDataKeysAreReplaced(t *testing.T) {
	t.Parallel()
	set, identity := recipient(t, "r")
	now := time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)
	s := scanner(t, set, actions(map[Rule]Action{Email: Tokenise}), func(s *Settings) { s.Now = func() time.Time { return now } })
	encapsulation := func() string {
		out, _ := s.Text("ann@example.com")
		_, n, _ := identity.Reveal(out, false)
		require.Equal(t, 1, n)
		return out[len(tokenPrefix)+recipientChars+1:][:42]
	}
	first := encapsulation()
	require.Equal(t, first, encapsulation())
	now = now.Add(24 * time.Hour)
	second := encapsulation()
	require.NotEqual(t, first, second)
	s.e.sealer.left = 0
	require.NotEqual(t, second, encapsulation())
	require.Len(t, identity.keys, 3)
}

func TestKeysInPEM(t *testing.T) {
	t.Parallel()
	public, private := keyPair(t, "r")
	for name, text := range map[string][]byte{
		"nothing": nil, "no PEM": []byte("x"), "the other half": private, "another key": []byte(p256Public),
		"rubbish in PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}),
	} {
		_, err := ParseRecipient(text)
		require.Error(t, err, name)
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "no PEM": []byte("x"), "the other half": public,
		"rubbish in PEM": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}),
	} {
		_, err := ParseIdentity(text)
		require.Error(t, err, name)
	}
}

const p256Public = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt
6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==
-----END PUBLIC KEY-----
`

func TestAttributesWithTheNewActions(t *testing.T) {
	t.Parallel()
	set, identity := recipient(t, "r")
	for name, tt := range map[string]struct{ key, in, want string }{
		"an account, partial":               {"account", "AB-1234-5678", "[*5678]"},
		"an e-mail, partial":                {"account", "john.smith@gmail.com", "[email]@gmail.com"},
		"a card, partial":                   {"account", "4111 1111 1111 1111", "[*1111]"},
		"a short account, partial":          {"account", "123456", "REDACTED"},
		"text, partial":                     {"account", "what, now?", "REDACTED"},
		"a token of somebody's, partial":    {"account", testJWT, "REDACTED"},
		"a user's id, tokenised":            {"user.id", "u-17", "u-17"},
		"text with a secret, tokenised":     {"user.id", "password=hunter2", "REDACTED"},
		"text with a card, tokenised":       {"user.id", "4111111111111111", "REDACTED"},
		"text too long, tokenised":          {"user.id", strings.Repeat("x", MaxTokenised+1), "REDACTED"},
		"a mask, tokenised":                 {"user.id", "[email]", "[email]"},
		"an empty value, tokenised":         {"user.id", "", ""},
		"a pseudonym, tokenised":            {"user.id", "p1:ab-1:aaaaaaaaaaaaaaaaaaaaaaaa", "p1:ab-1:aaaaaaaaaaaaaaaaaaaaaaaa"},
		"in two lists, the stricter counts": {"twice", "u-17", "u-17"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scanner(t, set, func(s *Settings) {
				s.Partial, s.Tokenise = []string{"account", "twice"}, []string{"user.id", "twice"}
				s.Hash, s.PrefixPreserving = []string{"twice"}, []string{"twice"}
				s.Scan, s.Keep = []string{"twice"}, []string{"twice"}
			})
			treatment, ok := s.Key(Record, tt.key)
			require.True(t, ok)
			got, _ := s.String(treatment, tt.in)
			require.Equal(t, tt.in != got && tt.in == tt.want, IsToken(got), got)
			again, _ := s.String(treatment, got)
			require.Equal(t, got, again, "redacting twice")
			_, private := keyPair(t, "r")
			mine, err := ParseIdentity(private)
			require.NoError(t, err)
			back, _, _ := mine.Reveal(got, false)
			require.Equal(t, tt.want, back)
		})
	}
	require.NotNil(t, identity)
}

func TestPrecedenceOfTheLists(t *testing.T) {
	t.Parallel()
	kinds := []kind{kindKeep, kindText, kindPartial, kindPrefix, kindHash, kindTokenise, kindMask, kindDrop}
	for strictest := range kinds {
		s := scanner(t, func(s *Settings) {
			for i, list := range []*[]string{
				&s.Keep, &s.Scan, &s.Partial, &s.PrefixPreserving, &s.Hash, &s.Tokenise, &s.Mask, &s.Drop,
			} {
				if i <= strictest {
					*list = []string{"url.query"}
				}
			}
		})
		treatment, ok := s.Key(Record, "url.query")
		require.True(t, ok)
		require.Equal(t, kinds[strictest], treatment.kind)
	}
}

// TestOverlaps: which detector names a find says precedence; what is done about it says the stricter of their actions.
func TestOverlaps(t *testing.T) {
	t.Parallel()
	set, _ := recipient(t, "r")
	all := actions(map[Rule]Action{
		Email: Partial, Phone: Hash, Person: Tokenise, NationalID: Tokenise, IP: PrefixPreserving, Card: Partial, IBAN: Hash,
	})
	for name, tt := range map[string]struct{ in, want string }{
		"a JWT as a bearer's credential":   {"Bearer " + testJWT, "Bearer [credential]"},
		"a JWT under a secret's key":       {"token=" + testJWT, "token=[secret]"},
		"an e-mail under a secret's key":   {"password=john.smith@gmail.com", "password=[secret]"},
		"a card in an e-mail":              {"4111111111111111@gmail.com", "[email]"},
		"an e-mail under a person's key":   {"userName=john.smith@gmail.com", "userName=t1:"},
		"a phone number in an e-mail":      {"+442079460958@gmail.com", "p1:"},
		"an address under a person's key":  {"userName=203.0.113.77", "userName=t1:"},
		"a card under a person's key":      {"userName=4111111111111111", "userName=[person]"},
		"a credential before an address":   {"wss://u:p@203.0.113.77/", "wss://[credential]@a1:"},
		"an address that was masked twice": {"203.0.113.77 203.0.113.77", "a1:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scanner(t, set, all)
			got, _ := s.Text(tt.in)
			if strings.HasSuffix(tt.want, "1:") {
				require.Contains(t, got, tt.want)
			} else {
				require.Equal(t, tt.want, got)
			}
			again, _ := s.Text(got)
			require.Equal(t, got, again, "redacting twice")
		})
	}
}

func TestTenantsHavePseudonymsOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	s := scanner(t)
	other := scanner(t, func(s *Settings) { s.Policy = "acme" })
	installation := scanner(t, func(s *Settings) { s.Tenant = "acme" })
	for name, of := range map[string]func() string{
		"nobody":       func() string { s.SetTenant(""); return s.ClientHash("203.0.113.77") },
		"a tenant":     func() string { s.SetTenant("acme"); return s.ClientHash("203.0.113.77") },
		"another":      func() string { s.SetTenant("acme2"); return s.ClientHash("203.0.113.77") },
		"a policy":     func() string { other.SetTenant(""); return other.ClientHash("203.0.113.77") },
		"its tenant":   func() string { other.SetTenant("acme"); return other.ClientHash("203.0.113.77") },
		"installation": func() string { return installation.ClientHash("203.0.113.77") },
	} {
		hash := of()
		require.True(t, IsPseudonym(hash), name)
		require.Empty(t, seen[hash], name)
		seen[hash] = name
		require.Equal(t, hash, of(), name)
	}
	s.SetTenant(strings.Repeat("x", maxTenant+1))
	require.Empty(t, s.ClientHash("203.0.113.77"), "a name that is too long")
	for i := range 3 * maxMACs {
		s.SetTenant(strings.Repeat("x", i))
		s.ClientHash("203.0.113.77")
	}
	require.LessOrEqual(t, len(s.macs), maxMACs)
}

func TestRemarksSumUpCustomRules(t *testing.T) {
	t.Parallel()
	var counts Counts
	counts[custom0][Mask], counts[custom0+3][Mask], counts[custom0+4][Drop] = 1, 2, 1
	text := FormatRemarks(counts)
	require.Equal(t, "custom:mask:3,custom:drop:1", text)
	parsed, ok := ParseRemarks(text)
	require.True(t, ok)
	require.Equal(t, text, FormatRemarks(parsed))
}

func TestRemarksAreBounded(t *testing.T) {
	t.Parallel()
	var all Counts
	for r := range all {
		for a := range all[r] {
			all[r][a] = 1<<32 - 1
		}
	}
	text := FormatRemarks(all)
	require.LessOrEqual(t, len(text), maxRemarksBytes)
	parsed, ok := ParseRemarks(text)
	require.True(t, ok)
	require.Equal(t, text, FormatRemarks(parsed))
	for _, bad := range []string{
		"", ",", "ip", "ip:mask", "ip:mask:0", "ip:mask:01", "ip:mask:-1", "ip:mask:1,", ":mask:1", "ip::1", "ip:mask:x",
		"ann@example.com", "ip:mask:4294967296", strings.Repeat("ip:mask:1,", 200) + "ip:mask:1",
	} {
		_, ok := ParseRemarks(bad)
		require.False(t, ok, "%q", bad)
	}
}

// BenchmarkActions is what one value costs. "data key" is what a token would cost without a shared one, in addition.
func BenchmarkActions(b *testing.B) {
	set, _ := recipient(b, "r")
	for name, bench := range map[string]struct {
		k  kind
		in string
	}{
		"hash": {kindHash, "ann@example.com"}, "tokenise": {kindTokenise, "ann@example.com"},
		"partial": {kindPartial, "john.smith@gmail.com"}, "prefix IPv4": {kindPrefix, "203.0.113.77"},
		"prefix IPv6": {kindPrefix, "2001:db8:1:2::77"},
	} {
		b.Run(name, func(b *testing.B) {
			s := scanner(b, set)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = s.apply(Treatment{kind: bench.k, rule: AttributeKey}, bench.in)
			}
		})
	}
	b.Run("data key", func(b *testing.B) {
		s := scanner(b, set)
		for b.Loop() {
			s.e.sealer.left = 0
			_, _, err := s.e.sealer.dataKey()
			require.NoError(b, err)
		}
	})
}
