package redact

// digits handles the number that starts at t[i]: an IPv4 address, a card, a national id, an IBAN whose check digits
// these are, the first byte of a MAC address. It returns where to go on, which is at least the end of the digits.
func (s *Scanner) digits(t string, i int, f flavour) int {
	end := i + 1
	for end < len(t) && isDigit(t[end]) {
		end++
	}
	if i > 0 {
		switch p := t[i-1]; {
		case isAlpha(p):
			if end-i >= 2 {
				if e := s.iban(t, i); e > 0 {
					return e
				}
			}
			if f == plain {
				if e := s.lettered(t, i); e > 0 {
					return e
				}
			}
			return end
		case p == '.' && i > 1 && isDigit(t[i-2]), p == '_':
			return end
		}
	}
	if end+1 < len(t) && t[end] == '.' && end-i <= 3 && isDigit(t[end+1]) {
		if e := s.ipv4(t, i, f); e > 0 {
			return e
		}
	}
	if f == infrastructure {
		return end
	}
	if end < len(t) && (t[end] == ':' || t[end] == '|') && end-i >= 5 && end-i <= 17 {
		if e := s.botToken(t, i, end); e > 0 {
			return e
		}
	}
	if end-i == 3 && s.ssn(t, i) {
		return i + 11
	}
	if end-i >= minCard || groupOfCard(end-i) && end+1 < len(t) && (t[end] == ' ' || t[end] == '-') && isDigit(t[end+1]) {
		if e := s.card(t, i); e > 0 {
			return e
		}
	}
	if f != plain || end-i > maxNationalID {
		return end
	}
	if head := letteredStart(t, i); head < i {
		if e := s.nationalID(t, head, before(t, head)); e > 0 {
			return e
		}
	}
	start, ok := numberStart(t, i)
	if !ok || end-i < min(minNationalID, minNationalPhone) && !numberGoesOn(t, end) {
		return end
	}
	c := before(t, start)
	if e := s.nationalID(t, start, c); e > 0 {
		return e
	}
	if e := s.nationalPhone(t, start, end, c); e > 0 {
		return e
	}
	return end
}

// numberStart returns where a number whose first digits stand at t[i] begins, with a bracket before it. Not ok means
// that it is part of something else.
func numberStart(t string, i int) (start int, ok bool) {
	if i > 0 && t[i-1] == '(' {
		i--
	}
	if i > 0 {
		if p := t[i-1]; p == '.' || p == '-' || p == '_' || p == '/' || p == '+' || isAlnum(p) {
			return 0, false
		}
	}
	return i, true
}

// numberGoesOn reports whether what stands at t[i], after digits, may belong to their number.
func numberGoesOn(t string, i int) bool {
	return i < len(t) && (isAlnum(t[i]) || isIDSeparator(t[i]) || isPhoneSeparator(t[i]))
}

// letteredStart takes along the two or six letters before the number at t[i] that some national numbers begin with:
// AB 12 34 56 C.
func letteredStart(t string, i int) int {
	if i < 3 || !isIDSeparator(t[i-1]) {
		return i
	}
	start := i - 1
	for start > 0 && i-start <= 8 && isAlpha(t[start-1]) {
		start--
	}
	n := i - 1 - start
	if n != 2 && n != 6 || start > 0 && t[start-1] != ' ' && t[start-1] != '"' && t[start-1] != ':' && t[start-1] != '=' {
		return i
	}
	return start
}

// lettered looks for a national number that begins with letters, the last of which stands before t[i].
func (s *Scanner) lettered(t string, i int) int {
	start := i - 1
	for start > 0 && i-start <= 6 && isAlpha(t[start-1]) {
		start--
	}
	if start > 0 && (class[t[start-1]]&cKeyChar != 0 || t[start-1] == '/') {
		return 0
	}
	return s.nationalID(t, start, before(t, start))
}

// botToken looks for a token that begins with the id of an application, which t[i:mark] is: Telegram's 123456:AA…,
// Facebook's 123456789012345|….
func (s *Scanner) botToken(t string, i, mark int) int {
	end := mark + 1
	for end < len(t) && end-mark <= 64 && class[t[end]]&cBase64 != 0 {
		end++
	}
	secret := t[mark+1 : end]
	if t[mark] == ':' && (len(secret) < 34 || len(secret) > 36 || secret[0] != 'A') ||
		t[mark] == '|' && (mark-i < 15 || len(secret) < 27 || len(secret) > 40) || !mixed(secret) {
		return 0
	}
	s.add(i, end, Credential)
	return end
}

const minCard = 12

// groupOfCard reports whether a payment card's number may be written in groups of n digits.
func groupOfCard(n int) bool { return n >= 2 && n <= 7 }

// card looks for a payment card at t[i]: one number, or groups of two to seven digits with one kind of separator.
func (s *Scanner) card(t string, i int) int {
	var digits [19]byte
	n, group := 0, 0
	var sep byte
	grouped := false
	found := 0
	for j := i; ; j++ {
		if j < len(t) && isDigit(t[j]) {
			if n == len(digits) {
				break
			}
			digits[n] = t[j] - '0'
			n++
			group++
			continue
		}
		if grouped && !groupOfCard(group) {
			break
		}
		ends := j == len(t) || !isAlpha(t[j]) && t[j] != '_' && !(t[j] == '.' && j+1 < len(t) && isDigit(t[j+1]))
		if n >= minCard && ends && isCard(digits[:n], grouped, t, i) && !(grouped && afterIBANHead(t, i)) {
			found = j
		}
		if j == len(t) || j+1 >= len(t) || t[j] != ' ' && t[j] != '-' || !isDigit(t[j+1]) {
			break
		}
		if grouped && t[j] != sep || !groupOfCard(group) {
			break
		}
		sep, grouped, group = t[j], true, 0
	}
	if found == 0 {
		return 0
	}
	s.add(i, found, Card)
	return found
}

// isCard checks length and issuer ranges (ISO/IEC 7812 as the networks publish them) and the Luhn digit. Lengths that
// are rare among cards and common among order numbers and timestamps need groups or a word before them that says card;
// with such a word, every range is taken.
func isCard(d []byte, grouped bool, t string, start int) bool {
	n := len(d)
	p2 := int(d[0])*10 + int(d[1])
	p3 := p2*10 + int(d[2])
	p4 := p3*10 + int(d[3])
	// wrong: no network's number; rare: one's, but other numbers of that length are more frequent.
	wrong, rare := false, false
	switch {
	case d[0] == 4:
		rare = n == 13
		wrong = n != 13 && n != 16 && n != 19
	case p2 == 34 || p2 == 37:
		wrong = n != 15
	case p2 >= 51 && p2 <= 55 || p4 >= 2221 && p4 <= 2720:
		wrong = n != 16
	case p4 >= 3528 && p4 <= 3589, p4 == 6011, p3 >= 644 && p3 <= 649, p2 == 65, p2 == 62, p2 == 81:
		rare = n == 18
		wrong = n < 16
	case p2 == 30, p2 == 36, p2 == 38, p2 == 39:
		rare = n != 14
		wrong = n != 14 && n != 16
	case p2 == 50, p2 >= 56 && p2 <= 58, p4 == 6304, p4 == 6759, p4 >= 6761 && p4 <= 6763, p4 >= 2200 && p4 <= 2204,
		p2 == 60:
		rare = n != 16 && n != 19
	case p4 == 1800 || p4 == 2131:
		wrong = n != 15
	default:
		wrong = true
	}
	if !luhn(d) {
		return false
	}
	if wrong || rare && !grouped {
		return keyMeans(t, start, meansCard) || before(t, start)&saysCard != 0
	}
	return true
}

// afterIBANHead reports whether the groups at t[i] go on after a country and two check digits: "RS35 2600 …" is an
// account, right or wrong, and no card.
func afterIBANHead(t string, i int) bool {
	return i >= 5 && (t[i-1] == ' ' || t[i-1] == '-') && isDigit(t[i-2]) && isDigit(t[i-3]) && isAlpha(t[i-4]) &&
		isAlpha(t[i-5]) && (i == 5 || !isAlnum(t[i-6]))
}

// luhn checks the last digit (ISO/IEC 7812-1 annex B) and that the digits are not all the same.
func luhn(d []byte) bool {
	n := len(d)
	sum, same := 0, true
	for i := range d {
		v := int(d[n-1-i])
		if i%2 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
		same = same && d[i] == d[0]
	}
	return sum%10 == 0 && !same
}

// ssn looks for a US social security or taxpayer number, AAA-GG-SSSS, in ranges that have been issued.
func (s *Scanner) ssn(t string, i int) bool {
	if len(t)-i < 11 || t[i+3] != '-' && t[i+3] != ' ' || t[i+6] != t[i+3] {
		return false
	}
	for j, c := range []byte(t[i : i+11]) {
		if j != 3 && j != 6 && !isDigit(c) {
			return false
		}
	}
	if i > 0 && (t[i-1] == '-' || t[i-1] == '+') {
		return false
	}
	if i+11 < len(t) && (isAlnum(t[i+11]) || t[i+11] == '-' || t[i+11] == '_') {
		return false
	}
	if t[i:i+3] == "000" || t[i:i+3] == "666" || t[i+4:i+6] == "00" || t[i+7:i+11] == "0000" {
		return false
	}
	s.add(i, i+11, NationalID)
	return true
}

// ibanLengths are the lengths of the IBAN registry (ISO 13616) by country.
var ibanLengths = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
	"BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
	"ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
	"HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
	"LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
	"MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
	"PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
	"SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
	"YE": 30,
}

// iban looks for an IBAN whose two check digits start at t[i].
func (s *Scanner) iban(t string, i int) int {
	if i < 2 || !isAlpha(t[i-1]) || !isAlpha(t[i-2]) || i > 2 && (isAlnum(t[i-3]) || t[i-3] == '_') {
		return 0
	}
	var country [2]byte
	country[0], country[1] = t[i-2]&^0x20, t[i-1]&^0x20
	want := ibanLengths[string(country[:])]
	if want == 0 {
		return 0
	}
	// mod 97 of the rest, then country and check digits (ISO 7064).
	sum, n, j := 0, 4, i+2
	for ; j < len(t) && n < want; j++ {
		c := t[j]
		if (c == ' ' || c == '-') && j+1 < len(t) && isAlnum(t[j+1]) {
			continue
		}
		if !isAlnum(c) {
			return 0
		}
		sum = ibanStep(sum, c)
		n++
	}
	if n != want || j < len(t) && isAlnum(t[j]) {
		return 0
	}
	sum = ibanStep(ibanStep(sum, country[0]), country[1])
	sum = ibanStep(ibanStep(sum, t[i]), t[i+1])
	if sum != 1 {
		return 0
	}
	s.add(i-2, j, IBAN)
	return j
}

func ibanStep(sum int, c byte) int {
	if isDigit(c) {
		return (sum*10 + int(c-'0')) % 97
	}
	return (sum*100 + int(lower(c)-'a') + 10) % 97
}

// plus looks for an international phone number (E.164) at t[i] == '+' and returns where to go on.
func (s *Scanner) plus(t string, i int, f flavour) int {
	if f != plain || i+8 >= len(t) || t[i+1] < '1' || t[i+1] > '9' || i > 0 && isAlnum(t[i-1]) {
		return i + 1
	}
	// An E.164 number has at most 15 digits. What would make more is another number after it, and so is whatever
	// follows a whole number written without separators.
	n, end := 0, i+1
	wholeN, wholeEnd := 0, 0
	for j := i + 1; j < len(t); j++ {
		c := t[j]
		if isDigit(c) {
			if n == 15 {
				n, end = wholeN, wholeEnd
				break
			}
			n++
			end = j + 1
			continue
		}
		if !isPhoneSeparator(c) || j-end >= 2 || n >= 8 && wholeN == 0 {
			break
		}
		wholeN, wholeEnd = n, end
	}
	if n < 7 || end < len(t) && isAlpha(t[end]) && !extension(t, end) {
		return i + 1
	}
	s.add(i, end, Phone)
	return end
}

// dash looks for a MAC address written with dashes, around its first dash at t[i], and for a private key's armour.
func (s *Scanner) dash(t string, i int) int {
	if i >= 2 && i+15 <= len(t) && isHex(t[i-1]) && isHex(t[i-2]) && t[i+3-0] == '-' && isMAC(t[i-2:i+15], '-') &&
		(i == 2 || !isAlnum(t[i-3]) && t[i-3] != '-') && (i+15 == len(t) || !isAlnum(t[i+15]) && t[i+15] != '-') {
		s.add(i-2, i+15, MAC)
		return i + 15
	}
	if e := s.armour(t, i); e > 0 {
		return e
	}
	if i >= 32 && i+4 <= len(t) && t[i+1] == 'u' && t[i+2] == 's' && isDigit(t[i+3]) && hexes(t[i-32:i]) {
		// Mailchimp's keys end with the data centre: 32 hexadecimal digits, "-us20".
		end := i + 4
		for end < len(t) && isDigit(t[end]) {
			end++
		}
		s.add(i-32, end, Credential)
	}
	s.vendor(t, i)
	return i + 1
}
