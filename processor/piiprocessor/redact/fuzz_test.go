package redact

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// seeds are texts in which one detector's find touches another's.
var seeds = []string{
	"user ann@example.com from 203.0.113.77 rejected",
	`{"password":"p\"w","pin":1234,"m":"{\"secret\":\"x y\"}","lat":1.5,"card":4111111111111111}`,
	"GET /ws?room=a&token=b&user=ann%40example.com HTTP/1.1", "wss://u:p@h.example.com:443/a?b=c#access_token=d",
	"4111 1111 1111 1111 4111-1111-1111-1111", "+44 20 7946 0958 610-89-5223", "GB82WEST12345698765432",
	"2001:db8:1:2::77 fe80::1%eth0 f9:a8:b6:97:87:f6 34e5.38fd.a174 F9-A8-B6-97-87-F6",
	"Bearer " + testJWT, "Cookie: a=b; c=d\r\nAuthorization: Basic dXNlcjpwYXNz",
	"ghp_abcdefghijklmnopqrstuvwxyz0123456789",
	"-----BEGIN PRIVATE KEY-----\nMII", "ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ \\u0040 %2540 &#64;",
	"password=[secret]hunter2", "token=p1:ab-1:x",
	"\\\\\\\"password\\\\\\\":\\\\\\\"x", "::::", "@@@",
	"pAssword=ssword=[", "<token>x1</token>", `set("api_key", "x1")`, "--password x1 curl -u a:b", `{"name":"k_token","value":"x"}`,
	"tel (020) 7946 0958 fax", "nhs 943 476 5919", "nino AB 12 34 56 C", "card 503890547220", "110201543:AAHd9TcvCH1vGWJxfSe1ofSAs0K5PALDsaw",
	"ZXlKaGJHY2lPaUpJVXpJMU5pSjkuZXlKemRXSWlPaUl4SW4w", "LTAIkd83hd72js91mx72bq", "a_token ::= `x", "var token string = 'x",
	"a1:ab-1:203.0.113.77:443", "john.smith@gmail.com [email]@gmail.com [card*1111] userName=t1:x", storedToken + "@example.com",
	"?a=b&?c=d", "eyJ", "%%%4", "\xef\xbc", "a:\"", "secret:{[", "pin=1.2.3.4@a.bc",
}

// shapes are the treatments that take text apart.
var shapes = []kind{
	kindText, kindInfra, kindAgent, kindURL, kindPath, kindQuery, kindSubprotocol, kindAddress, kindLabel, kindIdent,
	kindSource,
}

// FuzzRedact holds the properties that make redaction safe to run in a chain: it never panics, doing it twice changes
// nothing, and what a detector took out is nowhere in the result.
func FuzzRedact(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, in string) {
		if len(in) > 4096 {
			return
		}
		s := scanner(t)
		for _, k := range shapes {
			treatment := Treatment{kind: k}
			once, verdict := s.String(treatment, in)
			if verdict == Dropped {
				continue
			}
			if (verdict == Kept) != (once == in) {
				t.Fatalf("kind %d: verdict %d for %q → %q", k, verdict, in, once)
			}
			if utf8.ValidString(in) && !utf8.ValidString(once) {
				t.Fatalf("kind %d: %q → %q is not UTF-8", k, in, once)
			}
			twice, _ := s.String(treatment, once)
			if twice != once {
				t.Fatalf("kind %d: not idempotent: %q → %q → %q", k, in, once, twice)
			}
		}
		if s.Counts[Panic] != [ActionCount]uint32{} {
			t.Fatalf("panic for %q", in)
		}
		fuzzActions(t, in)
		s.finds = s.finds[:0]
		s.search(in, plain)
		var values []string
		for _, found := range s.finds {
			if v := in[found.start:found.end]; found.rule != IP && len(v) >= minRepeated {
				values = append(values, v)
			}
		}
		out, _ := s.Text(in)
		// What stands before a mask can make a value together with its beginning.
		for _, m := range masks {
			if m != "" {
				out = strings.ReplaceAll(out, m, "\x00")
			}
		}
		for _, v := range values {
			if strings.Contains(out, v) && !maskPart(v) {
				t.Fatalf("%q still has %q after redaction: %q", in, v, out)
			}
		}
	})
}

// fuzzActions holds for the other actions that they never panic, that doing them twice changes nothing, and that whoever
// may read tokens can.
func fuzzActions(t *testing.T, in string) {
	set, identity := recipient(t, "r")
	for _, chosen := range []map[Rule]Action{
		{Email: Partial, Card: Partial, IBAN: Partial, Phone: Partial, IP: PrefixPreserving, MAC: Hash, Person: Tokenise},
		{Email: Tokenise, IP: Tokenise, MAC: Tokenise, IBAN: Hash, Phone: Tokenise, NationalID: Tokenise, Person: Hash, Location: Tokenise},
	} {
		s := scanner(t, set, actions(chosen))
		for _, k := range append([]kind{kindTokenise, kindPartial, kindPrefix, kindHash}, shapes...) {
			treatment := Treatment{kind: k, rule: AttributeKey}
			once, verdict := s.String(treatment, in)
			if verdict == Dropped {
				continue
			}
			if utf8.ValidString(in) && !utf8.ValidString(once) {
				t.Fatalf("kind %d: %q → %q is not UTF-8", k, in, once)
			}
			if twice, _ := s.String(treatment, once); twice != once {
				t.Fatalf("kind %d: not idempotent: %q → %q → %q", k, in, once, twice)
			}
			if _, _, failed := identity.Reveal(once, false); failed > 0 && !strings.Contains(in, tokenPrefix) {
				t.Fatalf("kind %d: %q has a token that nobody can read: %q", k, in, once)
			}
		}
		if s.Counts[Panic] != [ActionCount]uint32{} {
			t.Fatalf("panic for %q", in)
		}
	}
}

// maskPart reports whether v is a piece of a mask, as a find in text that holds masks can be.
func maskPart(v string) bool {
	for _, m := range masks {
		if m != "" && (strings.Contains(m, v) || strings.Contains(v, m)) {
			return true
		}
	}
	return false
}
