package redact

import (
	"encoding/base64"
	"strings"
)

// letter handles the few words that start a credential, at t[i:] one of letterPairs. It returns where to go on.
func (s *Scanner) letter(t string, i int) int {
	switch t[i] {
	case 'y', 'w':
		if i > 0 && t[i-1] == 'e' {
			return max(s.jwt(t, i-1), i+1)
		}
	case 'B', 'b':
		if i == 0 || !isAlnum(t[i-1]) {
			s.scheme(t, i)
		}
	case 'A', 'L', 'E', 'S', 'Y':
		s.vendorWord(t, i)
	case 'Z':
		return s.wrappedJWT(t, i)
	}
	return i + 1
}

// jwt looks for a compact JWS or JWE (RFC 7515 §3.1) at t[i], where "eyJ" (the base64 of `{"`) stands.
func (s *Scanner) jwt(t string, i int) int {
	start := i
	if i < s.runEnd {
		// An earlier "eyJ" of the same run saw no token; this one may still be the start of a JSON object.
		if head := t[i:min(s.runEnd, i+64)]; len(head) >= 16 && isJSON(head) {
			s.add(start, s.runEnd, JWT)
			return s.runEnd
		}
		return i + 1
	}
	end, dots := i, 0
	for end < len(t) && (class[t[end]]&cBase64 != 0 || t[end] == '.' || t[end] == '=') {
		if t[end] == '.' {
			dots++
		}
		end++
	}
	for end > i && t[end-1] == '.' {
		end--
	}
	token := t[start:end]
	head, _, _ := strings.Cut(token, ".")
	switch {
	case len(token) < 16:
	case dots >= 1 && len(token) >= 24, isJSON(head):
		s.add(start, end, JWT)
		return end
	}
	s.runEnd = end
	return i + 1
}

// isJSON reports whether v is base64 whose start decodes to the start of a JSON object with a member.
func isJSON(v string) bool {
	n := min(len(v), 64) &^ 3
	var buf [48]byte
	m, err := base64.RawURLEncoding.Decode(buf[:], []byte(v[:n]))
	return err == nil && m > 8 && strings.HasPrefix(strings.ReplaceAll(string(buf[:m]), " ", ""), `{"`) &&
		strings.Contains(string(buf[:m]), `":`)
}

// scheme looks for "Bearer" or "Basic" (RFC 6750, RFC 7617) and the credential after it.
func (s *Scanner) scheme(t string, i int) {
	n := 0
	switch {
	case hasFold(t, i, "bearer"):
		n = 6
	case hasFold(t, i, "basic"):
		n = 5
	default:
		return
	}
	j := i + n
	const separators = " .-_:=|+"
	if j == len(t) || strings.IndexByte(separators, t[j]) < 0 {
		return
	}
	if t[j] == '_' && i > 0 && t[i-1] == '_' {
		// A constant's name: REGION_BASIC_INFO_64.
		return
	}
	prose := t[j] == ' '
	for j < len(t) && strings.IndexByte(separators, t[j]) >= 0 {
		j++
	}
	end := j
	for end < len(t) && (class[t[end]]&cBase64 != 0 || strings.IndexByte(".=~+/", t[end]) >= 0) {
		end++
	}
	for end > j && t[end-1] == '.' {
		end--
	}
	// "bearer authorization" and "basic plan" are prose: a credential is long, or no plain word.
	if value := t[j:end]; len(value) < 6 || isMask(value) ||
		plainWords(value) && (prose || len(value) < 12) && readable(value) {
		return
	}
	s.add(j, end, Credential)
}

// plainWords reports whether v has only lower-case letters, dots and dashes, or starts with the only capital.
func plainWords(v string) bool {
	for i := range len(v) {
		if !isLower(v[i]) && v[i] != '.' && v[i] != '-' && (i > 0 || !isUpper(v[i])) {
			return false
		}
	}
	return true
}

// letterPairs says which two characters the words that [Scanner.letter] looks for begin with.
var letterPairs = func() (pairs [128][128]bool) {
	for _, w := range vendorWords {
		pairs[w.prefix[0]][w.prefix[1]] = true
	}
	for _, begin := range []string{"yJ", "yA", "wo", "be", "bE", "ba", "bA", "Be", "BE", "Ba", "BA", "ZX"} {
		pairs[begin[0]][begin[1]] = true
	}
	return pairs
}()

// vendorWord looks for a key of vendorWords at t[i], a capital.
func (s *Scanner) vendorWord(t string, i int) {
	if i > 0 && isAlnum(t[i-1]) {
		return
	}
	for _, w := range vendorWords {
		if t[i] != w.prefix[0] || !strings.HasPrefix(t[i:], w.prefix) {
			continue
		}
		end := i + len(w.prefix)
		for end < len(t) && end-i < w.most && class[t[end]]&w.class != 0 {
			end++
		}
		if end-i < w.least || end < len(t) && isAlnum(t[end]) || w.least < 60 && !mixed(t[i+len(w.prefix):end]) {
			continue
		}
		s.add(i, end, Credential)
		return
	}
}

// mixed reports whether v is random enough for a key: some digits or capitals, many characters that differ.
func mixed(v string) bool {
	digits, uppers := 0, 0
	for j := range len(v) {
		if isDigit(v[j]) {
			digits++
		} else if isUpper(v[j]) {
			uppers++
		}
	}
	return digits+uppers >= 3 && different(v) >= 6
}

// wrappedJWT looks for a JWT that was encoded as base64 once more, at t[i] == 'Z'.
func (s *Scanner) wrappedJWT(t string, i int) int {
	if !strings.HasPrefix(t[i:], "ZXlK") || i < s.runEnd {
		return i + 1
	}
	end := i
	for end < len(t) && (class[t[end]]&cBase64 != 0 || t[end] == '+' || t[end] == '/' || t[end] == '=') {
		end++
	}
	s.runEnd = end
	if end-i < 32 {
		return i + 1
	}
	s.add(i, end, JWT)
	return end
}

// vendorPrefixes are what stands before the first "_", "-", "." or "~" of a token that its vendor made recognisable,
// with the least length of the whole.
var vendorPrefixes = map[string]int{
	// Code and packages.
	"ghp_": 36, "gho_": 36, "ghu_": 36, "ghs_": 36, "ghr_": 36, "github_": 40, "glpat-": 20, "gldt-": 20, "glrt-": 20,
	"glptt-": 20, "glcbt-": 20, "glffct-": 20, "glft-": 20, "glimt-": 20, "glagent-": 40, "gloas-": 40, "glsoat-": 20,
	"glrtr-": 20, "npm_": 36, "pypi-": 40, "rubygems_": 40, "CLOJARS_": 40, "dckr_": 30, "sgp_": 40, "slk_": 60,
	"sntrys_": 40, "sntryu_": 40, "sntrya_": 40, "CCIPAT_": 40, "bkua_": 36, "figd_": 30, "squ_": 40, "sqp_": 40,
	"sqa_": 40, "sbp_": 40, "cio-": 30, "pnu_": 36, "pul-": 40, "dp.": 40, "jfrd_": 30,
	// Payment and shops.
	"sk_": 16, "rk_": 16, "pk_": 16, "whsec_": 24, "sq0atp-": 22, "sq0csp-": 40, "sq0idp-": 22, "shpat_": 32,
	"shpss_": 32, "shpca_": 32, "shppa_": 32, "FLWPUBK_": 40, "FLWSECK_": 24, "live_": 36, "shippo_": 40, "duffel_": 40,
	"access-": 40, "EZAK_": 40,
	// Messages and mail.
	"xoxb-": 24, "xoxp-": 24, "xoxa-": 24, "xoxr-": 24, "xoxs-": 24, "xoxe-": 24, "xoxe.": 40, "xoxc-": 24,
	"xoxd-": 24, "xoxo-": 24, "xapp-": 24, "SG.": 40, "key-": 36, "pubkey-": 36, "xkeysib-": 60, "xsmtpsib-": 60,
	// Clouds and infrastructure.
	"hvs.": 30, "hvb.": 60, "hvr.": 30, "ya29.": 30, "GOCSPX-": 30, "dop_": 40, "doo_": 40, "dor_": 40,
	"dapi-": 30, "tskey-": 24, "nfp_": 30, "HRKU-": 40, "dt0c01.": 60, "dt0s01.": 40, "dt0s16.": 40, "pscale_": 40,
	"tk-": 40, "ico-": 36, "fo1_": 40, "fm1r_": 60, "fm1a_": 60, "fm2_": 60, "FlyV1-": 60, "rnd_": 28,
	"NRAK-": 27, "NRII-": 32, "NRJS-": 24, "NRIQ-": 32, "NRRA-": 40, "glsa_": 30, "glc_": 30, "API-": 28, "A3-": 35,
	"AGE-": 60, "t1.": 40,
	// Work.
	"lin_": 30, "atlasv1-": 40, "PMAK-": 40, "ntn_": 40, "secret_": 40, "rdme_": 60, "tfp_": 40, "waka_": 40,
	"shrtlnk_": 40, "phc_": 40, "phx_": 40, "fio-": 40, "duo_": 40, "sm_": 20, "pat-": 30, "pat.": 40, "sat.": 40,
	"ATBB_": 20,
	// Models.
	"sk-": 24, "hf_": 30, "api_": 38, "pplx-": 40, "gsk_": 40, "xai-": 40, "r8_": 30, "nvapi-": 40, "tgp_": 40,
	"lsv2_": 40, "csk-": 40, "tvly-": 30, "apify_": 40, "e2b_": 36, "rpa_": 36, "bedrock-": 60,
	"s-": 60,
}

// vendorWords are what a vendor's key without a separator starts with, the least and the greatest length of the whole,
// and the class of its characters.
var vendorWords = [...]struct {
	prefix      string
	least, most int
	class       uint8
}{
	{"AKIA", 20, 20, cUpper | cDigit}, {"ASIA", 20, 20, cUpper | cDigit}, {"ABIA", 20, 20, cUpper | cDigit},
	{"ACCA", 20, 20, cUpper | cDigit}, {"A3T", 20, 20, cUpper | cDigit}, {"ABSK", 100, 200, cUpper | cLower | cDigit},
	{"AIza", 39, 39, cBase64}, {"AKCp", 60, 90, cUpper | cLower | cDigit}, {"AQVN", 38, 45, cBase64},
	{"ATATT3", 100, 300, cBase64}, {"ATCTT3", 100, 300, cBase64}, {"ATBB", 30, 40, cUpper | cLower | cDigit},
	{"AGPA", 20, 20, cUpper | cDigit}, {"AROA", 20, 20, cUpper | cDigit}, {"AIDA", 20, 20, cUpper | cDigit},
	{"AC", 34, 34, cDigit | cHex}, {"SK", 34, 34, cDigit | cHex},
	{"LTAI", 20, 30, cUpper | cLower | cDigit}, {"EAAM", 80, 400, cUpper | cLower | cDigit},
	{"EAAC", 80, 400, cUpper | cLower | cDigit}, {"EAAA", 60, 400, cBase64}, {"EZAK", 58, 58, cUpper | cLower | cDigit},
	{"EZTK", 58, 58, cUpper | cLower | cDigit}, {"YC", 40, 40, cBase64},
}

// vendorHeads says which first characters and lengths the prefixes have, without their mark. Most words with a dash in
// them have none of these.
var vendorHeads = func() (heads [256][maxVendorPrefix + 1]bool) {
	for prefix := range vendorPrefixes {
		heads[prefix[0]][len(prefix)-1] = true
	}
	return heads
}()

const (
	maxVendorPrefix = 9
	maxVendorToken  = 1024
)

func (s *Scanner) underscore(t string, i int) { s.vendor(t, i) }
func (s *Scanner) dot(t string, i int) {
	// A MAC address as Cisco writes it: 0123.4567.89ab.
	if i >= 4 && i+10 <= len(t) && t[i+5] == '.' && hexes(t[i-4:i]) && hexes(t[i+1:i+5]) && hexes(t[i+6:i+10]) &&
		(i == 4 || !isAlnum(t[i-5]) && t[i-5] != '.') && (i+10 == len(t) || !isAlnum(t[i+10])) {
		s.add(i-4, i+10, MAC)
	}
	// A Discord bot's token: its id, the time and a MAC, all base64.
	if i+8 < len(t) && t[i+7] == '.' && i >= 24 {
		s.discord(t, i)
	}
	s.vendor(t, i)
}

// vendorEnds has a bit for each mark that follows a character in one of the prefixes.
var vendorEnds = func() (ends [256]uint8) {
	for prefix := range vendorPrefixes {
		n := len(prefix)
		ends[prefix[n-2]] |= markBit(prefix[n-1])
	}
	return ends
}()

func markBit(mark byte) uint8 {
	switch mark {
	case '_':
		return 1
	case '-':
		return 2
	}
	return 4
}

func (s *Scanner) discord(t string, i int) {
	start, end := i, i+8
	for start > 0 && i-start <= 32 && class[t[start-1]]&cBase64 != 0 {
		start--
	}
	for end < len(t) && end-i <= 64 && class[t[end]]&cBase64 != 0 {
		end++
	}
	if n := i - start; n < 24 || n > 28 || end-i-8 < 27 || end-i-8 > 40 || !mixed(t[start:i]) || !base64Run(t[i+1:i+7]) {
		return
	}
	s.add(start, end, Credential)
}

func base64Run(v string) bool {
	for i := range len(v) {
		if class[v[i]]&cBase64 == 0 {
			return false
		}
	}
	return true
}

// vendor looks for a vendor's token whose prefix ends with the mark at t[i].
func (s *Scanner) vendor(t string, i int) {
	if i == 0 || vendorEnds[t[i-1]]&markBit(t[i]) == 0 {
		return
	}
	start := i
	for start > 0 && i-start < maxVendorPrefix && isAlnum(t[start-1]) {
		start--
	}
	if i-start < 1 || !vendorHeads[t[start]][i-start] || start > 0 && isAlnum(t[start-1]) {
		return
	}
	least := vendorPrefixes[t[start:i+1]]
	if least == 0 {
		return
	}
	end := i + 1
	for end < len(t) && end-i < maxVendorToken && (class[t[end]]&cBase64 != 0 || t[end] == '.' && t[i] == '.') {
		end++
	}
	for t[end-1] == '.' {
		end--
	}
	if end-start < least {
		return
	}
	// What follows mixes letters and digits, or both cases; words joined by dashes do not.
	if !mixed(t[i+1 : end]) {
		return
	}
	s.add(start, end, Credential)
}

// armour looks for a PEM private key at t[i], the first dash.
func (s *Scanner) armour(t string, i int) int {
	const begin = "-----BEGIN "
	if len(t)-i < len(begin) || t[i+1] != '-' || t[i:i+len(begin)] != begin {
		return 0
	}
	header := t[i:min(len(t), i+80)]
	if !strings.Contains(header, "PRIVATE KEY") {
		return 0
	}
	end := len(t)
	if j := strings.Index(t[i:], "-----END"); j >= 0 {
		end = i + j + len("-----END")
		if k := strings.Index(t[end:], "-----"); k >= 0 && k < 60 {
			end += k + 5
		}
	}
	// A key cut off is still a key.
	s.add(i, end, Secret)
	return end
}
