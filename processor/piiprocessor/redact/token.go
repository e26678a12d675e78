package redact

import (
	"encoding/base64"
	"strings"
)

// letter handles the few words that start a credential. It returns where to go on.
func (s *Scanner) letter(t string, i int) int {
	switch t[i] {
	case 'e':
		if strings.HasPrefix(t[i:], "eyJ") || strings.HasPrefix(t[i:], "eyA") || strings.HasPrefix(t[i:], "ewo") {
			return s.jwt(t, i)
		}
	case 'B', 'b':
		if i == 0 || !isAlnum(t[i-1]) {
			s.scheme(t, i)
		}
	case 'A':
		s.cloudKey(t, i)
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
	if value := t[j:end]; len(value) < 6 || plainWords(value) && (prose || len(value) < 12) || isMask(value) {
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

// cloudKey looks for AWS access key ids and Google API keys at t[i] == 'A'.
func (s *Scanner) cloudKey(t string, i int) {
	if i > 0 && isAlnum(t[i-1]) {
		return
	}
	n := 0
	switch rest := t[i:]; {
	case strings.HasPrefix(rest, "AKIA"), strings.HasPrefix(rest, "ASIA"):
		n = 20
		for j := 4; j < n; j++ {
			if j >= len(rest) || !isUpper(rest[j]) && !isDigit(rest[j]) {
				return
			}
		}
	case strings.HasPrefix(rest, "AIza"):
		n = 39
		for j := 4; j < n; j++ {
			if j >= len(rest) || class[rest[j]]&cBase64 == 0 {
				return
			}
		}
	default:
		return
	}
	s.add(i, i+n, Credential)
}

// vendorPrefixes are what stands before the first "_" or "-" of a token that its vendor made recognisable, with the
// least length of the whole.
var vendorPrefixes = map[string]int{
	"ghp_": 36, "gho_": 36, "ghu_": 36, "ghs_": 36, "ghr_": 36, "github_": 40, "npm_": 36, "sk_": 16, "rk_": 16,
	"pk_": 16, "whsec_": 24, "glpat-": 20, "gldt-": 20, "glrt-": 20, "glptt-": 20, "glsa_": 30, "glc_": 30, "xoxb-": 24,
	"xoxp-": 24, "xoxa-": 24, "xoxr-": 24, "xoxs-": 24, "xoxe-": 24, "xapp-": 24, "sk-": 24, "shpat_": 32, "shpss_": 32,
	"shpca_": 32, "shppa_": 32, "hf_": 30, "dop_": 40, "doo_": 40, "dor_": 40, "lin_": 30, "pypi-": 40, "sgp_": 36,
	"dckr_": 30, "pul-": 40, "atlasv1-": 40, "hvs.": 30, "dapi-": 30, "tskey-": 24, "nfp_": 30, "rubygems_": 40,
	"figd_": 30, "sntrys_": 40, "sntryu_": 40, "pplx-": 40, "gsk_": 40, "xai-": 40, "r8_": 30, "ya29.": 30, "SG.": 40,
	"cio-": 30, "PMAK-": 40, "NRAK-": 27,
}

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
	// Only "SG." (SendGrid), "hvs." (Vault) and "ya29." (Google) have a dot there.
	if i >= 2 && (t[i-1] == 'G' || t[i-1] == 's' || t[i-1] == '9') {
		s.vendor(t, i)
	}
}

// vendor looks for a vendor's token whose prefix ends with the mark at t[i].
func (s *Scanner) vendor(t string, i int) {
	start := i
	for start > 0 && i-start < maxVendorPrefix && isAlnum(t[start-1]) {
		start--
	}
	if i-start < 2 || start > 0 && isAlnum(t[start-1]) {
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
	body := t[i+1 : end]
	digits, uppers := 0, 0
	for j := range len(body) {
		if isDigit(body[j]) {
			digits++
		} else if isUpper(body[j]) {
			uppers++
		}
	}
	if digits+uppers < 3 {
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
