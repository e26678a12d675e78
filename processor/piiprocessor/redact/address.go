package redact

import (
	"net/netip"
	"strings"
)

// email looks for an address around the "@" (or the text that stands for one) at t[i:i+1].
func (s *Scanner) email(t string, i int, f flavour) {
	start := i
	for start > 0 && i-start < 256 && class[t[start-1]]&cLocal != 0 {
		start--
	}
	// Marks at the start belong to the text around: "<", quotes, a list's dash, the escape of a JSON string.
	for start < i && (t[start] == '.' || t[start] == '\'' || t[start] == '-' || t[start] == '`' || t[start] == '{' ||
		t[start] == '|' || t[start] == '*') {
		start++
	}
	if start > 0 && t[start-1] == '\\' && strings.IndexByte("nrt", t[start]) >= 0 {
		// The escape of a line's end or a tab.
		start++
	}
	if start == i || inUserinfo(t, start) {
		return
	}
	if f == infrastructure && strings.Trim(t[start:i], "0123456789") == "" {
		// A process and its host, as some runtimes name service.instance.id: 4711@web-1.example.com.
		return
	}
	end := i + 1
	for end < len(t) && end-i < 256 && class[t[end]]&cDomain != 0 {
		end++
	}
	for end > i+1 && (t[end-1] == '.' || t[end-1] == '-') {
		end--
	}
	dot := strings.LastIndexByte(t[i+1:end], '.')
	if dot <= 0 {
		return
	}
	tld := t[i+1+dot+1 : end]
	if len(tld) < 2 {
		return
	}
	// A top-level domain has a letter: "pkg@17.1.0" is a package. (RFC 3696 §2)
	letters := 0
	for j := range len(tld) {
		if isAlpha(tld[j]) || tld[j] >= 0x80 {
			letters++
		}
	}
	if letters == 0 || isDigit(tld[0]) {
		return
	}
	s.add(start, end, Email)
}

// inUserinfo reports whether t[i] stands between "://" and the "@" of a URL, which [Scanner.userinfo] treats.
func inUserinfo(t string, i int) bool {
	for k := i; k > 2 && i-k < 256; k-- {
		switch c := t[k-1]; {
		case c == '/':
			return t[k-2] == '/' && t[k-3] == ':'
		case c <= ' ' || c == '?' || c == '#' || c == '"' || c == '<' || c == '>' || c == '\\':
			return false
		}
	}
	return false
}

// userinfo looks for credentials in a URL whose ":" stands at t[i]: scheme://user:password@host.
func (s *Scanner) userinfo(t string, i int) {
	if len(t)-i < 4 || t[i+1] != '/' || t[i+2] != '/' {
		return
	}
	start, at := i+3, -1
	for j := start; j < len(t) && j-start < 1024; j++ {
		c := t[j]
		if c == '/' || c == '?' || c == '#' || c <= ' ' || c == '"' || c == '<' || c == '>' || c == '\\' {
			break
		}
		if c == '@' {
			at = j
		}
	}
	if at < 0 {
		return
	}
	// The host stays: only the part before "@", and nothing where it is a mask already.
	if at > start && !isMask(t[start:at]) {
		s.add(start, at, Credential)
	}
}

// colons looks for an IPv6 or a MAC address around the ":" at t[i] and returns where to go on.
func (s *Scanner) colons(t string, i int, f flavour) int {
	start := i
	for start > 0 && i-start < 5 && isHex(t[start-1]) {
		start--
	}
	end := i + 1
	colons := 1
	for end < len(t) && end-start < 64 && (isHex(t[end]) || t[end] == ':' || t[end] == '.') {
		if t[end] == ':' {
			colons++
		}
		end++
	}
	if colons < 2 {
		return i + 1
	}
	if start > 0 && (isAlnum(t[start-1]) || t[start-1] == ':' || t[start-1] == '_') {
		// Part of a word such as std::vec; whatever follows the colons starts afresh.
		return i + 1
	}
	stop := end
	for end > start && t[end-1] == '.' || end-start > 1 && t[end-1] == ':' && t[end-2] != ':' {
		end--
	}
	// The address may be followed by ":" or "." of the text, which are not counted.
	colons = strings.Count(t[start:end], ":")
	if end < len(t) && (isAlnum(t[end]) || t[end] == '_') {
		return i + 1
	}
	candidate := t[start:end]
	if colons == 5 && isMAC(candidate, ':') {
		if different(candidate) > 2 {
			// All zeros and all ones are nobody's.
			s.add(start, end, MAC)
		}
		return stop
	}
	if f == infrastructure {
		return stop
	}
	if !strings.Contains(candidate, "::") && colons != 7 && (colons != 6 || strings.IndexByte(candidate, '.') < 0) {
		// A time of day, most often.
		return i + 1
	}
	addr, err := netip.ParseAddr(candidate)
	if err != nil {
		return i + 1
	}
	if !addr.IsLoopback() && !addr.IsUnspecified() && plausible6(candidate) {
		if end < len(t) && t[end] == '%' {
			// The zone of a link-local address names an interface.
			for end++; end < len(t) && isAlnum(t[end]); end++ {
			}
		}
		s.add(start, end, IP)
	}
	return max(stop, end)
}

// plausible6 keeps words joined by "::" out: an address has a digit or at least four groups.
func plausible6(v string) bool {
	return strings.ContainsAny(v, "0123456789") || strings.Count(v, ":") >= 4
}

func isMAC(v string, sep byte) bool {
	if len(v) != 17 {
		return false
	}
	for i := range len(v) {
		if i%3 == 2 {
			if v[i] != sep {
				return false
			}
		} else if !isHex(v[i]) {
			return false
		}
	}
	return true
}

// ipv4 looks for an address at t[i], the first digit of a number, and returns its end, or 0.
func (s *Scanner) ipv4(t string, i int, f flavour) int {
	j := i
	for octet := range 4 {
		n, first := 0, j
		for j < len(t) && j-first < 4 && isDigit(t[j]) {
			n = n*10 + int(t[j]-'0')
			j++
		}
		if j == first || j-first > 3 || n > 255 {
			return 0
		}
		if octet == 3 {
			break
		}
		if j == len(t) || t[j] != '.' {
			return 0
		}
		j++
	}
	if j < len(t) && (isAlpha(t[j]) || t[j] == '_' || t[j] == '.' && j+1 < len(t) && isDigit(t[j+1])) {
		return 0
	}
	if f != plain || versionSuffix(t[j:]) || versionBefore(t, i) {
		return j
	}
	if a := t[i:j]; a != "0.0.0.0" && !strings.HasPrefix(a, "127.") && a != "255.255.255.255" {
		s.add(i, j, IP)
	}
	return j
}

// versionSuffix reports whether rest, which follows four numbers, marks them as a version.
func versionSuffix(rest string) bool {
	for _, file := range [...]string{".jar", ".tar", ".tgz", ".zip", ".deb", ".rpm", ".whl", ".gem", ".dll", ".so",
		".exe"} {
		if strings.HasPrefix(rest, file) {
			return true
		}
	}
	if len(rest) < 2 || rest[0] != '-' && rest[0] != '+' || !isAlpha(rest[1]) {
		return false
	}
	for _, mark := range [...]string{
		"rc", "alpha", "beta", "dev", "pre", "snapshot", "build", "release", "final", "ga", "sp", "git", "nightly",
		"canary", "hotfix",
	} {
		if hasFold(rest, 1, mark) {
			return true
		}
	}
	return false
}

// versionBefore reports whether the word before t[i] says that a version follows: version=, "build": , Chrome/.
func versionBefore(t string, i int) bool {
	if i > 0 && t[i-1] == '/' {
		end := i - 1
		j := end
		for j > 0 && end-j < 40 && isAlnum(t[j-1]) {
			j--
		}
		return products[t[j:end]] && (j == 0 || t[j-1] != '/')
	}
	return keyMeans(t, i, meansVersion) || before(t, i)&saysVersion != 0
}

// keyMeans reports whether the word before the value at t[i] means m.
func keyMeans(t string, i int, m meaning) bool {
	j := i
	for j > 0 && i-j < 6 && strings.IndexByte(" \t\r\n:=\"\\'", t[j-1]) >= 0 {
		j--
	}
	end := j
	for j > 0 && end-j < 40 && class[t[j-1]]&cKeyChar != 0 {
		j--
	}
	if j == end {
		return false
	}
	return meaningOf(t[j:end]) == m
}

// products are names that stand before "/" and a version of four numbers in User-Agents.
var products = map[string]bool{
	"Chrome": true, "Chromium": true, "HeadlessChrome": true, "Edg": true, "EdgA": true, "EdgiOS": true, "OPR": true,
	"CriOS": true, "Electron": true, "Version": true, "Safari": true, "Firefox": true, "YaBrowser": true,
	"SamsungBrowser": true, "Vivaldi": true, "Brave": true,
}

// Prefixes that are kept of an address.
const (
	keptBits4 = 24
	keptBits6 = 48
)

// truncateAddr returns the network of a, without zone, and whether that differs from a.
func truncateAddr(a netip.Addr) (netip.Addr, bool) {
	b := a.Unmap().WithZone("")
	bits := keptBits6
	if b.Is4() {
		bits = keptBits4
	}
	prefix, err := b.Prefix(bits)
	if err != nil {
		return netip.Addr{}, true
	}
	return prefix.Addr(), prefix.Addr() != a
}

// appendTruncated appends the network of the address in value, or a mask where there is none.
func (s *Scanner) appendTruncated(dst []byte, value string) []byte {
	a, err := parseAddr(value)
	if err != nil {
		return append(dst, masks[IP]...)
	}
	network, _ := truncateAddr(a)
	return network.AppendTo(dst)
}

// parseAddr is netip.ParseAddr that also takes IPv4 with leading zeros, as some logs pad it.
func parseAddr(v string) (netip.Addr, error) {
	a, err := netip.ParseAddr(v)
	if err == nil || strings.IndexByte(v, ':') >= 0 {
		return a, err
	}
	var octets [4]byte
	n, k, digits := 0, 0, 0
	for i := 0; i <= len(v); i++ {
		if i == len(v) || v[i] == '.' {
			if digits == 0 || k > 3 {
				return netip.Addr{}, err
			}
			octets[k] = byte(n)
			k++
			n, digits = 0, 0
			continue
		}
		if !isDigit(v[i]) {
			return netip.Addr{}, err
		}
		n = n*10 + int(v[i]-'0')
		if digits++; n > 255 || digits > 3 {
			return netip.Addr{}, err
		}
	}
	if k != 4 {
		return netip.Addr{}, err
	}
	return netip.AddrFrom4(octets), nil
}

// normalise appends value in the form that is hashed, so that one subject has one pseudonym.
func normalise(dst []byte, r Rule, value string) []byte {
	switch r {
	case IP:
		if a, err := parseAddr(value); err == nil {
			return a.Unmap().WithZone("").AppendTo(dst)
		}
	case Email, MAC:
		return append(dst, strings.ToLower(strings.ReplaceAll(value, "%40", "@"))...)
	case Phone, IBAN, Card:
		for i := range len(value) {
			if isAlnum(value[i]) || value[i] == '+' {
				dst = append(dst, value[i])
			}
		}
		return dst
	}
	return append(dst, strings.TrimSpace(value)...)
}
