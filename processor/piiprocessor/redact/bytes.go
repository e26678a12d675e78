package redact

// Byte classes. The pass over a text looks only at bytes whose trigger is not zero; everything else is skipped by one
// table look-up a byte.
const (
	tNone uint8 = iota
	tDigit
	tAt
	tColon
	tEqual
	tDash
	tUnderscore
	tPlus
	tQuestion
	tPercent
	tBackslash
	tAmpersand
	tHigh
	tLetter
	tDot
	tGreater
	tComma
)

var trigger = func() (t [256]uint8) {
	for c := '0'; c <= '9'; c++ {
		t[c] = tDigit
	}
	t['@'], t[':'], t['='], t['-'], t['_'] = tAt, tColon, tEqual, tDash, tUnderscore
	t['+'], t['?'], t['%'], t['\\'], t['&'], t['.'] = tPlus, tQuestion, tPercent, tBackslash, tAmpersand, tDot
	// First byte of full-width forms (U+FF00 to U+FFEF) in UTF-8.
	t[0xEF] = tHigh
	// "Bearer", "Basic", and the capitals that vendors' keys without a separator begin with. Of "eyJ" (JWT) the second
	// letter, because e is the most frequent of all.
	t['y'], t['w'], t['b'] = tLetter, tLetter, tLetter
	for _, c := range "ABELSYZ" {
		t[c] = tLetter
	}
	t['>'], t[','] = tGreater, tComma
	return t
}()

// inWord says which letters and digits trigger nothing where a letter or a digit stands before them and, for digits,
// another digit stands in the same word. The others are parts of a JWT's start.
var inWord = func() (t [256]bool) {
	for c := range 256 {
		b := byte(c)
		t[c] = isAlnum(b) && b != 'y' && b != 'w' && b != 'Z'
	}
	return t
}()

const (
	cDigit uint8 = 1 << iota
	cUpper
	cLower
	cHex
	cLocal   // may stand in the local part of an e-mail address that we look for
	cDomain  // may stand in a domain
	cBase64  // base64url, with "=" left out
	cKeyChar // may stand in an unquoted key
)

var class = func() (t [256]uint8) {
	for c := 0; c < 256; c++ {
		b := byte(c)
		switch {
		case b >= '0' && b <= '9':
			t[c] = cDigit | cHex | cLocal | cDomain | cBase64 | cKeyChar
		case b >= 'A' && b <= 'Z':
			t[c] = cUpper | cLocal | cDomain | cBase64 | cKeyChar
		case b >= 'a' && b <= 'z':
			t[c] = cLower | cLocal | cDomain | cBase64 | cKeyChar
		case b >= 0x80:
			// Letters of other scripts: internationalised addresses and domains.
			t[c] = cLocal | cDomain
		}
		if b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F' {
			t[c] |= cHex
		}
	}
	// RFC 5322 allows more; "=", "/", "?" and "&" end keys, paths and parameters far more often than they stand in
	// an address.
	for _, c := range ".!#$%'*+^_`{|}~-" {
		t[c] |= cLocal
	}
	t['.'] |= cDomain | cKeyChar
	t['-'] |= cDomain | cBase64 | cKeyChar
	t['_'] |= cBase64 | cKeyChar
	t['$'] |= cKeyChar
	return t
}()

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isAlpha(c byte) bool { return class[c]&(cUpper|cLower) != 0 }
func isAlnum(c byte) bool { return class[c]&(cUpper|cLower|cDigit) != 0 }
func isHex(c byte) bool   { return class[c]&cHex != 0 }
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func lower(c byte) byte {
	if isUpper(c) {
		return c + 'a' - 'A'
	}
	return c
}

func unhex(c byte) byte {
	switch {
	case isDigit(c):
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}

// hasFold reports whether t has lowerCase at i, whatever its case.
func hasFold(t string, i int, lowerCase string) bool {
	if len(t)-i < len(lowerCase) {
		return false
	}
	for j := range len(lowerCase) {
		if lower(t[i+j]) != lowerCase[j] {
			return false
		}
	}
	return true
}

// tokenLike reports whether v looks minted by a machine: long, letters and digits mixed, its classes changing too
// often for words and numbers. A UUID is not: as an identifier it is what keeps data useful without saying who.
func tokenLike(v string) bool {
	if len(v) < 16 || isUUID(v) || IsPseudonym(v) {
		return false
	}
	letters, digits, changes, run, longest := 0, 0, 0, 0, 0
	var last uint8
	for i := range len(v) {
		c := class[v[i]] & (cDigit | cUpper | cLower)
		switch {
		case c == 0:
			if v[i] >= 0x80 || class[v[i]]&cBase64 == 0 && v[i] != '=' && v[i] != '~' && v[i] != '+' && v[i] != '.' {
				return false
			}
			run = 0
			last = 0
			continue
		case c == cDigit:
			digits++
		default:
			letters++
		}
		if last != 0 && c != last {
			changes++
		}
		last = c
		run++
		longest = max(longest, run)
	}
	if letters == 0 || digits == 0 {
		// All letters in mixed case, as some random strings are: at least a change every four characters.
		return digits == 0 && longest >= 24 && changes*4 >= longest
	}
	return longest >= 16 && changes >= 3 || len(v) >= 20 && changes >= 5
}

// secretLike reports whether v, which stands under a key, is random enough for a secret: 16 characters or more, letters
// and digits, many of them different. A UUID and a path are not.
func secretLike(v string) bool {
	if len(v) < 16 || len(v) > maxValueScan || isUUID(v) || IsPseudonym(v) {
		return false
	}
	letters, digits, other := 0, 0, 0
	for i := range len(v) {
		switch {
		case isDigit(v[i]):
			digits++
		case isAlpha(v[i]):
			letters++
		case class[v[i]]&cBase64 != 0, v[i] == '+', v[i] == '=', v[i] == '.', v[i] == '~', v[i] == ':':
			other++
		case v[i] == '/':
			if other += 2; i == 0 {
				return false
			}
		default:
			return false
		}
	}
	return digits >= 2 && letters >= 2 && other*6 <= len(v) && different(v) >= 8
}

// different counts the bytes that v has at least once.
func different(v string) (n int) {
	var seen [256]bool
	for i := range len(v) {
		if !seen[v[i]] {
			seen[v[i]] = true
			n++
		}
	}
	return n
}

func isUUID(v string) bool {
	if len(v) != 36 {
		return false
	}
	for i := range len(v) {
		switch i {
		case 8, 13, 18, 23:
			if v[i] != '-' {
				return false
			}
		default:
			if !isHex(v[i]) {
				return false
			}
		}
	}
	return true
}
