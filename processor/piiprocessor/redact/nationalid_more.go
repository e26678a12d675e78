package redact

import "strings"

// serialOfCard reports whether c begins the serial number of a German identity card, which has nine characters and its
// check digit on the other side only (PAuswV, annex 4): T22000129 is the specimen.
func serialOfCard(c byte) bool { return strings.IndexByte("LMNPRTVWXY", c) >= 0 }

// argentina checks a CUIT or CUIL (ARCA): what it is for, a document's number, a check digit modulo 11.
func argentina(v string) bool {
	if !digits(v) || strings.IndexByte("23", v[0]) < 0 || strings.IndexByte("03467", v[1]) < 0 {
		return false
	}
	check := 11 - sum(v, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)%11
	return check == at(v, 10) || check == 11 && v[10] == '0' || check == 10 && v[10] == '9'
}

// swiss checks an AHV number (AHVN13): the country's 756 and the check digit of EAN-13.
func swiss(v string) bool {
	return digits(v) && strings.HasPrefix(v, "756") && sum(v, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1)%10 == 0
}

// chile checks a RUT or RUN: modulo 11 from the right, with K for ten.
func chile(v string) bool {
	n := len(v) - 1
	if !digits(v[:n]) || v[0] == '0' || different(v) < 2 {
		return false
	}
	total := 0
	for i := range n {
		total += at(v, n-1-i) * (2 + i%6)
	}
	return "0K987654321"[total%11] == v[n]
}

// physician checks a Lebenslange Arztnummer (KBV, directive on § 75 (7) SGB V): six digits, their check digit, two for the
// field.
func physician(v string) bool {
	return digits(v) && different(v[:6]) > 1 && (10-sum(v, 4, 9, 4, 9, 4, 9)%10)%10 == at(v, 6)
}

// hongKong checks an identity card's number (Immigration Department): a letter or two, six digits, a check character
// modulo 11.
func hongKong(v string) bool {
	n := len(v) - 7
	if !isAlpha(v[0]) || !isAlpha(v[n-1]) || !digits(v[n:len(v)-1]) {
		return false
	}
	total := 9 * 36 // no first letter
	if n == 2 {
		total = 9 * int(v[0]-'A'+10)
	}
	total += 8*int(v[n-1]-'A'+10) + sum(v[n:], 7, 6, 5, 4, 3, 2)
	return "0A987654321"[total%11] == v[len(v)-1]
}

// iceland checks a kennitala (Þjóðskrá): a date, for organisations with 40 added to the day, modulo 11, the century.
func iceland(v string) bool {
	if !digits(v) || strings.IndexByte("089", v[9]) < 0 || number(v[2:4]) < 1 || number(v[2:4]) > 12 {
		return false
	}
	d := number(v[:2])
	return (d >= 1 && d <= 31 || d > 40 && d <= 71) && (11-sum(v, 3, 2, 7, 6, 5, 4, 3, 2)%11)%11 == at(v, 8)
}

// japan checks an individual number (Order of the Ministry of Internal Affairs 85 of 2014, article 5).
func japan(v string) bool {
	rest := sum(v, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2) % 11
	return digits(v) && different(v) > 1 && (rest <= 1 && v[11] == '0' || rest > 1 && 11-rest == at(v, 11))
}

// koreanPassport checks the form of a passport's number, since December 2021 with a letter after three digits.
func koreanPassport(v string) bool {
	return strings.IndexByte("MSRODG", v[0]) >= 0 && (shaped(v, "A999A9999") || digits(v[1:]) && different(v[1:]) > 2)
}

// mexico checks a CURP (RENAPO): its form and the check digit, in whose alphabet Ñ has a place.
func mexico(v string) bool {
	if !shaped(v, "AAAA999999AAAAAA*9") || strings.IndexByte("HMX", v[10]) < 0 || !date("20"+v[4:10]) {
		return false
	}
	total := 0
	for i := range 17 {
		n := int(v[i] - '0')
		if isAlpha(v[i]) {
			if n = int(v[i]-'A') + 10; v[i] > 'N' {
				n++
			}
		}
		total += n * (18 - i)
	}
	return (10-total%10)%10 == at(v, 17)
}

// norway checks a fødselsnummer (Skatteetaten), also a D-number with 40 added to the day: two check digits modulo 11.
func norway(v string) bool {
	d, month := number(v[:2])%40, number(v[2:4])%40
	if !digits(v) || d < 1 || d > 31 || month < 1 || month > 12 {
		return false
	}
	return (11-sum(v, 3, 7, 6, 1, 8, 9, 4, 5, 2)%11)%11 == at(v, 9) &&
		(11-sum(v, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)%11)%11 == at(v, 10)
}

// singaporeEntity checks a UEN (ACRA): eight digits of a business, or a year and five digits of a company, and a letter,
// or T or S, a year, the type, four digits and a letter.
func singaporeEntity(v string) bool {
	n := len(v) - 1
	switch {
	case n == 8:
		return digits(v[:n]) && "XMKECAWLJDB"[sum(v, 10, 4, 9, 3, 8, 2, 7, 1)%11] == v[n]
	case digits(v[:n]):
		return (v[0] == '1' || v[0] == '2') && "ZKCMDNERGWH"[sum(v, 10, 8, 6, 4, 9, 7, 5, 3, 1)%11] == v[n]
	case strings.IndexByte("RST", v[0]) < 0 || !shaped(v, "A99A*9999A"):
		return false
	}
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWX0123456789"
	total := 0
	for i, weight := range [...]int{4, 3, 5, 3, 10, 2, 2, 5, 7} {
		place := strings.IndexByte(alphabet, v[i])
		if place < 0 {
			return false
		}
		total += weight * place
	}
	return alphabet[(total-5+11)%11] == v[n]
}

// taiwan checks a national identity card's number (Ministry of the Interior): a letter for the place, a digit for the
// sex or the kind of residence, a check digit.
func taiwan(v string) bool {
	if !isAlpha(v[0]) || !digits(v[1:]) || strings.IndexByte("1289", v[1]) < 0 {
		return false
	}
	place := strings.IndexByte("ABCDEFGHJKLMNPQRSTUVXYWZIO", v[0]) + 10
	return (place/10+place%10*9+sum(v[1:], 8, 7, 6, 5, 4, 3, 2, 1, 1))%10 == 0
}

// britishDriver checks a driver number (DVLA): five of the surname filled up with nines, the birthday, its month with 50
// added for women, initials, and three more.
func britishDriver(v string) bool {
	month := number(v[6:8]) % 50
	if !shaped(v, "*****999999***AA") || month < 1 || month > 12 || !day(v[8:10]) || !isAlpha(v[0]) {
		return false
	}
	filled := strings.TrimRight(v[:5], "9")
	for i := range filled {
		if !isAlpha(filled[i]) {
			return false
		}
	}
	return (isAlpha(v[11]) || v[11] == '9') && (isAlpha(v[12]) || v[12] == '9')
}
