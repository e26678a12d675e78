package auth

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxMembers bounds the members of an object and the elements of an array that are looked at.
const maxMembers = 256

// members calls each for every member of the JSON object b, the value in its JSON form. Two members of one name make it
// return DuplicateMember: readers disagree on which counts (RFC 8725 §2.4), and an attacker would choose.
func members(b []byte, each func(name, value []byte) error) error {
	if !utf8.Valid(b) || !json.Valid(b) {
		return MalformedToken
	}
	b = bytes.TrimSpace(b)
	if len(b) < 2 || b[0] != '{' {
		return MalformedToken
	}
	var few [16][]byte
	seen := few[:0]
	for rest := b[1:]; ; {
		rest = bytes.TrimLeft(rest, " \t\r\n,")
		if rest[0] == '}' {
			return nil
		}
		n := valueLen(rest)
		name, ok := jsonName(rest[:n])
		if !ok || len(seen) == maxMembers {
			return MalformedToken
		}
		for _, s := range seen {
			if bytes.Equal(s, name) {
				return DuplicateMember
			}
		}
		seen = append(seen, name)
		rest = bytes.TrimLeft(rest[n:], " \t\r\n:")
		n = valueLen(rest)
		if err := each(name, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
}

// elements calls each for every element of the JSON array b, which is valid. It returns false where b is no array or each
// returns false.
func elements(b []byte, each func(value []byte) bool) bool {
	if b[0] != '[' {
		return false
	}
	count := 0
	for rest := b[1:]; ; count++ {
		rest = bytes.TrimLeft(rest, " \t\r\n,")
		if rest[0] == ']' {
			return true
		}
		n := valueLen(rest)
		if count == maxMembers || !each(rest[:n]) {
			return false
		}
		rest = rest[n:]
	}
}

// valueLen returns the length of the JSON value that b begins with. The value is valid.
func valueLen(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // the end of what holds the number or literal
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// jsonString returns the string that the valid JSON value b is.
func jsonString(b []byte) (string, bool) {
	if b[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b[1 : len(b)-1]), true
	}
	var s string
	err := json.Unmarshal(b, &s)
	return s, err == nil
}

// jsonName returns the string that the valid JSON value b is, which mostly is a part of b.
func jsonName(b []byte) ([]byte, bool) {
	if b[0] == '"' && bytes.IndexByte(b, '\\') < 0 {
		return b[1 : len(b)-1], true
	}
	s, ok := jsonString(b)
	return []byte(s), ok
}

// jsonStrings returns the strings of an array, or the one string that b is itself.
func jsonStrings(b []byte) ([]string, bool) {
	if s, ok := jsonString(b); ok {
		return []string{s}, true
	}
	var list []string
	ok := elements(b, func(value []byte) bool {
		s, ok := jsonString(value)
		list = append(list, s)
		return ok
	})
	return list, ok
}

// maxTime is the last second of the year 9999.
const maxTime = 253402300799

// jsonTime returns the time that a NumericDate is (RFC 7519 §2). Fractions of seconds are kept.
func jsonTime(b []byte) (time.Time, bool) {
	if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		return time.Unix(n, 0).UTC(), 0 <= n && n <= maxTime
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(0 <= f && f <= maxTime) {
		return time.Time{}, false
	}
	whole, part := math.Modf(f)
	return time.Unix(int64(whole), int64(part*1e9)).UTC(), true
}

// plain reports whether s is a name that may be kept: text without control characters, and not too long.
func plain(s string, most int) bool {
	if len(s) > most {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == utf8.RuneError || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return true
}
