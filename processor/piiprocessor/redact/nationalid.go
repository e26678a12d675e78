package redact

import (
	"slices"
	"strings"
)

// Scheme is a kind of number that a state or its bodies give to people and companies.
type Scheme struct {
	// Name is its country (ISO 3166) and its usual abbreviation.
	Name string
	// lengths are those of the number without separators.
	lengths []int
	// valid checks form and check digits of a number in capitals without separators.
	valid func(v string) bool
}

// Schemes returns all schemes that are known, in alphabetical order. All of them have a check digit or a form that
// other numbers do not have.
func Schemes() []Scheme { return slices.Clone(schemes) }

// Without a word before it that says what it is, a number of nine or eleven digits is more often something else: one in
// ten has the right check digit. So schemes apply after such a word, and everywhere only where they are asked for.
var schemes = []Scheme{
	{"ar_cuit", []int{11}, argentina},
	{"at_svnr", []int{10}, func(v string) bool {
		return digits(v) && v[0] != '0' && sum(v, 3, 7, 9, 0, 5, 8, 4, 2, 1, 6)%11 == at(v, 3)
	}},
	{"au_abn", []int{11}, func(v string) bool {
		return digits(v) && v[0] != '0' && (sum(v, 10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)-10)%89 == 0
	}},
	{"au_acn", []int{9}, func(v string) bool {
		return digits(v) && (10-sum(v, 8, 7, 6, 5, 4, 3, 2, 1)%10)%10 == at(v, 8)
	}},
	{"au_medicare", []int{9, 10, 11}, func(v string) bool {
		return digits(v) && v[0] >= '2' && v[0] <= '6' && sum(v, 1, 3, 7, 9, 1, 3, 7, 9)%10 == at(v, 8)
	}},
	{"au_tfn", []int{8, 9}, func(v string) bool {
		if len(v) == 8 {
			return digits(v) && sum(v, 10, 7, 8, 4, 6, 3, 5, 1)%11 == 0
		}
		return digits(v) && sum(v, 1, 4, 3, 7, 5, 8, 6, 9, 10)%11 == 0
	}},
	{"be_rrn", []int{11}, func(v string) bool {
		check := number(v[max(0, len(v)-2):])
		return digits(v) && (97-number(v[:9])%97 == check || 97-(2_000_000_000+number(v[:9]))%97 == check)
	}},
	{"bg_egn", []int{10}, func(v string) bool {
		month := number(v[2:4]) % 20
		return digits(v) && month >= 1 && month <= 12 && day(v[4:6]) && sum(v, 2, 4, 8, 5, 10, 9, 7, 3, 6)%11%10 == at(v, 9)
	}},
	{"br_cnpj", []int{14}, func(v string) bool {
		return digits(v) && different(v) > 1 && brazil(sum(v, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)) == at(v, 12) &&
			brazil(sum(v, 6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)) == at(v, 13)
	}},
	{"br_cpf", []int{11}, func(v string) bool {
		return digits(v) && different(v) > 1 && brazil(sum(v, 10, 9, 8, 7, 6, 5, 4, 3, 2)) == at(v, 9) &&
			brazil(sum(v, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2)) == at(v, 10)
	}},
	{"ca_sin", []int{9}, func(v string) bool { return digits(v) && v[0] != '0' && v[0] != '8' && luhnText(v) }},
	{"ch_ahv", []int{13}, swiss},
	{"cl_rut", []int{8, 9}, chile},
	{"cn_ric", []int{18}, func(v string) bool {
		return digits(v[:17]) && date(v[6:14]) &&
			"10X98765432"[sum(v, 7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)%11] == v[17]
	}},
	{"cz_rc", []int{9, 10}, func(v string) bool {
		month := number(v[2:4]) % 50 % 20
		if !digits(v) || month < 1 || month > 12 || !day(v[4:6]) {
			return false
		}
		if len(v) == 9 {
			return number(v[:2]) < 54
		}
		return number(v)%11 == 0 || number(v[:9])%11 == 10 && v[9] == '0'
	}},
	{"de_idnr", []int{11}, func(v string) bool {
		return digits(v) && v[0] != '0' && repeats(v[:10]) && mod11_10(v)
	}},
	{"de_kvnr", []int{10}, func(v string) bool {
		if !isAlpha(v[0]) || !digits(v[1:]) {
			return false
		}
		return digitSums(letterNumber(v[0])+v[1:9], 1, 2)%10 == at(v, 9)
	}},
	{"de_lanr", []int{9}, physician},
	{"de_pass", []int{9, 10, 11}, func(v string) bool {
		// Cards and passports: characters of a limited set, a check digit, for cards "D". The check digit is left out as
		// often as not; then only letters inside tell a number.
		v = strings.TrimSuffix(v, "D")
		if len(v) < 9 || len(v) > 10 || strings.HasPrefix(v, "0X") || len(v) == 9 && isDigit(v[0]) || !isDigit(v[len(v)-1]) {
			return false
		}
		total, numerals := 0, 0
		for i := range len(v) - 1 {
			c := int(v[i])
			switch {
			case isDigit(v[i]):
				c -= '0'
				numerals++
			case strings.IndexByte("CFGHJKLMNPRTVWXYZ", v[i]) >= 0:
				c -= 'A' - 10
			default:
				return false
			}
			total += c * [...]int{7, 3, 1}[i%3]
		}
		return numerals >= 3 && (total%10 == at(v, len(v)-1) || len(v) == 9 && (numerals < 7 || serialOfCard(v[0])))
	}},
	{"de_svnr", []int{12}, func(v string) bool {
		if !digits(v[:8]) || !isAlpha(v[8]) || !digits(v[9:]) {
			return false
		}
		return digitSums(v[:8]+letterNumber(v[8])+v[9:11], 2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)%10 == at(v, 11)
	}},
	{"de_vat", []int{11}, func(v string) bool { return v[:2] == "DE" && digits(v[2:]) && mod11_10(v[2:]) }},
	{"ee_ik", []int{11}, func(v string) bool {
		// Estonia and Lithuania.
		if !digits(v) || v[0] == '0' || !date("20"+v[1:7]) {
			return false
		}
		check := sum(v, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1) % 11
		if check == 10 {
			check = sum(v, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3) % 11 % 10
		}
		return check == at(v, 10)
	}},
	{"es_dni", []int{8, 9}, func(v string) bool {
		return digits(v[:len(v)-1]) && "TRWAGMYFPDXBNJZSQVHLCKE"[number(v[:len(v)-1])%23] == v[len(v)-1]
	}},
	{"es_nie", []int{9}, func(v string) bool {
		return v[0] >= 'X' && v[0] <= 'Z' && digits(v[1:8]) &&
			"TRWAGMYFPDXBNJZSQVHLCKE"[(int(v[0]-'X')*10_000_000+number(v[1:8]))%23] == v[8]
	}},
	{"es_nuss", []int{12}, func(v string) bool {
		n := number(v[:10])
		if digits(v) && v[2] == '0' {
			n = number(v[:2])*10_000_000 + number(v[3:10])
		}
		return digits(v) && n%97 == number(v[10:])
	}},
	{"fi_hetu", []int{10, 11}, func(v string) bool {
		// The sign of the century is a letter, or was a separator.
		if !digits(v[:6]) || !day(v[:2]) || number(v[2:4]) > 12 ||
			len(v) == 11 && strings.IndexByte("ABCDEFUVWXY", v[6]) < 0 {
			return false
		}
		tail := v[len(v)-4:]
		return digits(tail[:3]) && "0123456789ABCDEFHJKLMNPRSTUVWXY"[number(v[:6]+tail[:3])%31] == tail[3]
	}},
	{"fr_nif", []int{13}, func(v string) bool {
		return digits(v) && v[0] <= '3' && number(v[:10])%511 == number(v[10:])
	}},
	{"fr_nir", []int{15}, func(v string) bool {
		corsica := strings.NewReplacer("2A", "19", "2B", "18").Replace(v[5:7])
		v = v[:5] + corsica + v[7:]
		return digits(v) && (v[0] == '1' || v[0] == '2') && 97-number(v[:13])%97 == number(v[13:])
	}},
	{"gr_afm", []int{9}, func(v string) bool {
		return digits(v) && different(v) > 1 && sum(v, 256, 128, 64, 32, 16, 8, 4, 2)%11%10 == at(v, 8)
	}},
	{"gr_amka", []int{11}, func(v string) bool { return digits(v) && date("20"+v[4:6]+v[2:4]+v[:2]) && luhnText(v) }},
	{"hk_id", []int{8, 9}, hongKong},
	{"hr_oib", []int{11}, func(v string) bool { return digits(v) && mod11_10(v) }},
	{"hu_tin", []int{10}, func(v string) bool {
		return digits(v) && v[0] == '8' && sum(v, 1, 2, 3, 4, 5, 6, 7, 8, 9)%11 == at(v, 9)
	}},
	{"ie_pps", []int{8, 9}, func(v string) bool {
		if !digits(v[:7]) || !isAlpha(v[7]) {
			return false
		}
		total := sum(v[:7], 8, 7, 6, 5, 4, 3, 2)
		if len(v) == 9 {
			if strings.IndexByte("ABCDEFGHIWT", v[8]) < 0 {
				return false
			}
			if v[8] != 'W' && v[8] != 'T' {
				total += 9 * int(v[8]-'A'+1)
			}
		}
		return "WABCDEFGHIJKLMNOPQRSTUV"[total%23] == v[7]
	}},
	{"in_aadhaar", []int{12}, func(v string) bool { return digits(v) && v[0] >= '2' && verhoeff(v) }},
	{"in_gstin", []int{15}, func(v string) bool {
		return shaped(v, "99AAAAA9999A*Z*") && number(v[:2]) >= 1 && number(v[:2]) <= 38
	}},
	{"in_pan", []int{10}, func(v string) bool {
		return shaped(v, "AAAAA9999A") && strings.IndexByte("PCHABGJLFT", v[3]) >= 0
	}},
	{"is_kt", []int{10}, iceland},
	{"it_cf", []int{16}, func(v string) bool { return shaped(v, "AAAAAA**A**A***A") && codiceFiscale(v) }},
	{"it_piva", []int{11}, func(v string) bool { return digits(v) && different(v) > 2 && luhnText(v) }},
	{"jp_mn", []int{12}, japan},
	{"kr_brn", []int{10}, func(v string) bool {
		return digits(v) && (10-(sum(v, 1, 3, 7, 1, 3, 7, 1, 3, 5)+at(v, 8)*5/10)%10)%10 == at(v, 9)
	}},
	{"kr_pass", []int{9}, koreanPassport},
	{"kr_rrn", []int{13}, func(v string) bool {
		// Numbers given since October 2020 have no check digit.
		return digits(v) && v[6] >= '1' && v[6] <= '8' && date("20"+v[:6])
	}},
	{"lu_nin", []int{13}, func(v string) bool { return digits(v) && date(v[:8]) && luhnText(v[:12]) && verhoeff(v[:11]+v[12:]) }},
	{"mx_curp", []int{18}, mexico},
	{"nl_bsn", []int{8, 9}, func(v string) bool {
		if len(v) == 8 {
			v = "0" + v
		}
		return digits(v) && different(v) > 1 && (sum(v, 9, 8, 7, 6, 5, 4, 3, 2)+10*at(v, 8))%11 == 0
	}},
	{"no_fnr", []int{11}, norway},
	{"pl_nip", []int{10}, func(v string) bool { return digits(v) && sum(v, 6, 5, 7, 2, 3, 4, 5, 6, 7)%11 == at(v, 9) }},
	{"pl_pesel", []int{11}, func(v string) bool {
		return digits(v) && different(v) > 1 && day(v[4:6]) && (10-sum(v, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3)%10)%10 == at(v, 10)
	}},
	{"pt_nif", []int{9}, func(v string) bool {
		check := 11 - sum(v, 9, 8, 7, 6, 5, 4, 3, 2)%11
		return digits(v) && strings.IndexByte("1235689", v[0]) >= 0 && (check == at(v, 8) || check > 9 && v[8] == '0')
	}},
	{"ro_cnp", []int{13}, func(v string) bool {
		return digits(v) && v[0] != '0' && date("20"+v[1:7]) &&
			at("01234567891", sum(v, 2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)%11) == at(v, 12)
	}},
	{"se_pnr", []int{10, 12}, func(v string) bool {
		// People, people without a residence (day + 60) and companies (month 20 and more).
		if len(v) == 12 && !strings.HasPrefix(v, "19") && !strings.HasPrefix(v, "20") {
			return false
		}
		v = v[len(v)-10:]
		month := number(v[2:4])
		born := month >= 1 && month <= 12 && (day(v[4:6]) || number(v[4:6]) > 60 && number(v[4:6]) <= 91)
		return digits(v) && (born || month >= 20) && luhnText(v)
	}},
	{"sg_nric", []int{9}, singapore},
	{"sg_uen", []int{9, 10}, singaporeEntity},
	{"si_emso", []int{13}, func(v string) bool {
		check := 11 - sum(v, 7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)%11
		return digits(v) && day(v[:2]) && number(v[2:4]) >= 1 && number(v[2:4]) <= 12 && check%11%10 == at(v, 12)
	}},
	{"si_tin", []int{8}, func(v string) bool {
		rest := sum(v, 8, 7, 6, 5, 4, 3, 2) % 11
		return digits(v) && v[0] != '0' && rest != 0 && (11-rest)%10 == at(v, 7)
	}},
	{"th_pin", []int{13}, func(v string) bool {
		rest := sum(v, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2) % 11
		return digits(v) && v[0] >= '1' && v[0] <= '8' && (11-rest)%10 == at(v, 12)
	}},
	{"tr_tckn", []int{11}, func(v string) bool {
		if !digits(v) || v[0] == '0' {
			return false
		}
		odd, even := sum(v, 1, 0, 1, 0, 1, 0, 1, 0, 1), sum(v, 0, 1, 0, 1, 0, 1, 0, 1)
		return ((odd*7-even)%10+10)%10 == at(v, 9) && (odd+even+at(v, 9))%10 == at(v, 10)
	}},
	{"tw_id", []int{10}, taiwan},
	{"uk_dl", []int{16}, britishDriver},
	{"uk_nhs", []int{10}, func(v string) bool {
		return digits(v) && different(v) > 1 && (11-sum(v, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11)%11 == at(v, 9)
	}},
	{"uk_nino", []int{9}, func(v string) bool {
		return shaped(v, "AA999999A") && v[8] <= 'D' && strings.IndexByte("DFIQUV", v[0]) < 0 &&
			strings.IndexByte("DFIOQUV", v[1]) < 0 &&
			!slices.Contains([]string{"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}, v[:2]) && different(v[2:8]) > 1
	}},
	{"uk_utr", []int{10, 11, 13}, func(v string) bool {
		// The number of the tax office, three digits, may stand before it.
		if len(v) == 13 {
			if !digits(v[:3]) {
				return false
			}
			v = v[3:]
		}
		if len(v) == 11 && v[10] != 'K' {
			return false
		}
		return digits(v[:10]) && different(v) > 1 &&
			at("21987654321", sum(v[1:10], 6, 7, 8, 9, 10, 5, 4, 3, 2)%11) == at(v, 0)
	}},
	{"us_aba", []int{9}, func(v string) bool {
		n := number(v[:2])
		return digits(v) && (n >= 1 && n <= 12 || n >= 21 && n <= 32) && sum(v, 3, 7, 1, 3, 7, 1, 3, 7, 1)%10 == 0
	}},
	{"us_dea", []int{9}, func(v string) bool {
		return isAlpha(v[0]) && (isAlpha(v[1]) || v[1] == '9') && digits(v[2:]) &&
			(sum(v[2:], 1, 0, 1, 0, 1)+2*sum(v[2:], 0, 1, 0, 1, 0, 1))%10 == at(v, 8)
	}},
	{"us_itin", []int{9}, func(v string) bool {
		group := number(v[3:5])
		return digits(v) && v[0] == '9' &&
			(group >= 50 && group <= 65 || group >= 70 && group != 89 && group != 93)
	}},
	{"us_mbi", []int{11}, func(v string) bool {
		return shaped(v, "9A*9A*9AA99") && v[0] != '0' && !strings.ContainsAny(v, "SLOIBZ")
	}},
	{"us_npi", []int{10}, func(v string) bool {
		return digits(v) && (v[0] == '1' || v[0] == '2') && different(v) > 2 && luhnText("80840"+v)
	}},
	{"us_ssn", []int{9}, func(v string) bool {
		return digits(v) && v[0] != '9' && v[:3] != "000" && v[:3] != "666" && v[3:5] != "00" && v[5:] != "0000" &&
			v != "078051120" && v != "123456789" && different(v) > 1
	}},
	{"za_id", []int{13}, func(v string) bool { return digits(v) && date("20"+v[:6]) && v[10] <= '2' && luhnText(v) }},
}

// schemeBits says which schemes are asked for everywhere.
type schemeBits [2]uint64

// allSchemes has every bit set.
var allSchemes = schemeBits{^uint64(0), ^uint64(0)}

func (b schemeBits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// byLength holds the schemes of each length.
var byLength = func() (table [19][]int) {
	if len(schemes) > 128 {
		panic("more schemes than bits")
	}
	for i, s := range schemes {
		for _, n := range s.lengths {
			table[n] = append(table[n], i)
		}
	}
	return table
}()

const (
	minNationalID = 8
	maxNationalID = 18
	// maxNationalText is the longest one with separators.
	maxNationalText = 26
)

// nationalID looks for a number of one of the schemes in the word at t[start]. c is what the words before it say. It
// returns where to go on, or 0.
func (s *Scanner) nationalID(t string, start int, c context) int {
	enabled := s.e.schemes
	if c&saysID != 0 {
		enabled = allSchemes
	}
	if enabled == (schemeBits{}) {
		return 0
	}
	var compact [maxNationalID]byte
	n, found := 0, 0
	for j := start; j-start <= maxNationalText; j++ {
		if j < len(t) && isAlnum(t[j]) {
			if n == maxNationalID {
				break
			}
			compact[n] = t[j]
			if isLower(t[j]) {
				compact[n] -= 'a' - 'A'
			}
			n++
			continue
		}
		if n >= minNationalID && (j == len(t) || t[j] < 0x80 && t[j] != '_') && enabled.match(compact[:n]) {
			found = j
		}
		if j+1 >= len(t) || !isAlnum(t[j+1]) || !isIDSeparator(t[j]) {
			break
		}
	}
	if found == 0 {
		return 0
	}
	s.add(start, found, NationalID)
	return found
}

func isIDSeparator(c byte) bool {
	return c == ' ' || c == '-' || c == '.' || c == '/' || c == '+' || c == ':'
}

func (b schemeBits) match(compact []byte) bool {
	for _, i := range byLength[len(compact)] {
		if b.has(i) && schemes[i].valid(string(compact)) {
			return true
		}
	}
	return false
}

// schemeSet returns the bits of the schemes with these names; unknown names are left out.
func schemeSet(names []string) (b schemeBits) {
	for i, s := range schemes {
		if slices.Contains(names, s.Name) {
			b[i/64] |= 1 << (i % 64)
		}
	}
	return b
}

// digits reports whether v has nothing but digits.
func digits(v string) bool {
	for i := range len(v) {
		if !isDigit(v[i]) {
			return false
		}
	}
	return true
}

func at(v string, i int) int { return int(v[i] - '0') }

// sum adds the digits of v times the weights. Where v has other characters the result means nothing.
func sum(v string, weights ...int) (total int) {
	for i, w := range weights {
		total += w * at(v, i)
	}
	return total
}

// digitSums is sum with the digits of each product added up; the weights repeat.
func digitSums(v string, weights ...int) (total int) {
	for i := range len(v) {
		p := at(v, i) * weights[i%len(weights)]
		total += p/10 + p%10
	}
	return total
}

func number(v string) (n int) {
	for i := range len(v) {
		n = n*10 + at(v, i)
	}
	return n
}

func day(v string) bool { return number(v) >= 1 && number(v) <= 31 }

// date reports whether v reads YYYYMMDD.
func date(v string) bool { return number(v[4:6]) >= 1 && number(v[4:6]) <= 12 && day(v[6:8]) }

// brazil is the check digit for a sum.
func brazil(total int) int {
	if total %= 11; total < 2 {
		return 0
	}
	return 11 - total
}

// letterNumber is a letter's place in the alphabet in two digits.
func letterNumber(c byte) string {
	n := c - 'A' + 1
	return string([]byte{'0' + n/10, '0' + n%10})
}

// shaped reports whether v has a digit for each 9, a letter for each A and either for each "*".
func shaped(v, shape string) bool {
	for i := range len(v) {
		if shape[i] == '9' && !isDigit(v[i]) || shape[i] == 'A' && !isAlpha(v[i]) {
			return false
		}
	}
	return true
}

func luhnText(v string) bool {
	var d [20]byte
	for i := range len(v) {
		d[i] = v[i] - '0'
	}
	return luhn(d[:len(v)])
}

// mod11_10 checks ISO 7064 MOD 11,10.
func mod11_10(v string) bool {
	p := 10
	for i := range len(v) - 1 {
		if p = (p + at(v, i)) % 10; p == 0 {
			p = 10
		}
		p = p * 2 % 11
	}
	return (11-p)%10 == at(v, len(v)-1)
}

// repeats reports whether a digit stands in v twice or three times, as in every German tax number.
func repeats(v string) bool {
	most := 0
	for c := byte('0'); c <= '9'; c++ {
		most = max(most, strings.Count(v, string(c)))
	}
	return most == 2 || most == 3
}

var (
	verhoeffStep = [8][10]int{
		{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 5, 7, 6, 2, 8, 3, 0, 9, 4}, {5, 8, 0, 3, 7, 9, 6, 1, 4, 2},
		{8, 9, 1, 6, 0, 4, 3, 5, 2, 7}, {9, 4, 5, 3, 1, 2, 6, 8, 7, 0}, {4, 2, 8, 6, 5, 7, 3, 9, 0, 1},
		{2, 7, 9, 3, 8, 0, 6, 4, 1, 5}, {7, 0, 4, 6, 9, 1, 3, 2, 5, 8},
	}
)

// dihedral is the product in the dihedral group of ten elements.
func dihedral(a, b int) int {
	switch {
	case a < 5 && b < 5:
		return (a + b) % 5
	case a < 5:
		return (a+b-5)%5 + 5
	case b < 5:
		return (a-5-b+5)%5 + 5
	}
	return (a - b + 5) % 5
}

func verhoeff(v string) bool {
	c := 0
	for i := range len(v) {
		c = dihedral(c, verhoeffStep[i%8][at(v, len(v)-1-i)])
	}
	return c == 0
}

// codiceFiscale checks the last letter of an Italian fiscal code.
func codiceFiscale(v string) bool {
	odd := [...]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	total := 0
	for i := range 15 {
		n := 0
		if isDigit(v[i]) {
			n = int(v[i] - '0')
		} else {
			n = int(v[i] - 'A')
		}
		if i%2 == 0 {
			n = odd[n]
		}
		total += n
	}
	return byte(total%26) == v[15]-'A'
}

func singapore(v string) bool {
	if !digits(v[1:8]) {
		return false
	}
	total := sum(v[1:8], 2, 7, 6, 5, 4, 3, 2)
	switch v[0] {
	case 'S':
		return "JZIHGFEDCBA"[total%11] == v[8]
	case 'T':
		return "JZIHGFEDCBA"[(total+4)%11] == v[8]
	case 'F':
		return "XWUTRQPNMLK"[total%11] == v[8]
	case 'G':
		return "XWUTRQPNMLK"[(total+4)%11] == v[8]
	case 'M':
		return "KLJNPQRTUWX"[10-(total+3)%11] == v[8]
	}
	return false
}
