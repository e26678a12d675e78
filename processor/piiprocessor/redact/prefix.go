package redact

import (
	"crypto/aes"
	"crypto/cipher"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sockeye-project/sockeye/internal/keyfile"
)

// A pseudonym that keeps prefixes is a1:<kid>:<address>: two addresses of one network have pseudonyms of one network, so
// that they can be grouped without being known. The form says that the address is nobody's, and no pass takes it for one.
const prefixedPrefix = "a1:"

// pan is Crypto-PAn (Xu, Fan, Ammar, Moon: Prefix-Preserving IP Address Anonymization, ICNP 2002): each bit is turned over
// or not by a keyed function of the bits before it.
type pan struct {
	block        cipher.Block
	pad, in, out [aes.BlockSize]byte
}

func newPAN(key []byte) *pan {
	block, err := aes.NewCipher(key[:aes.BlockSize])
	if err != nil {
		panic(err) // only for another length
	}
	p := &pan{block: block}
	block.Encrypt(p.pad[:], key[aes.BlockSize:2*aes.BlockSize])
	return p
}

func (p *pan) address(a netip.Addr) netip.Addr {
	if a.Is4() {
		b := a.As4()
		p.bytes(b[:])
		return netip.AddrFrom4(b)
	}
	b := a.As16()
	p.bytes(b[:])
	return netip.AddrFrom16(b)
}

func (p *pan) bytes(b []byte) {
	p.in = p.pad
	for i := range b {
		original := b[i]
		for bit := 7; bit >= 0; bit-- {
			p.block.Encrypt(p.out[:], p.in[:])
			b[i] ^= p.out[0] >> 7 << bit
			mask := byte(1) << bit
			p.in[i] = p.in[i]&^mask | original&mask
		}
	}
}

// pan returns the cipher of the scanner's epoch and tenant.
func (s *Scanner) pan(root []byte) *pan {
	k := macKey{s.epoch, s.tenantID, IP}
	if p, ok := s.pans[k]; ok {
		return p
	}
	if len(s.pans) >= maxMACs || s.pans == nil {
		s.pans = map[macKey]*pan{}
	}
	p := newPAN(keyfile.Derive(root, s.purpose("ip-prefix")))
	s.pans[k] = p
	return p
}

// appendPrefixed appends the pseudonym of the address in value that keeps prefixes. Without an address or a key it appends
// nothing and reports false.
func (s *Scanner) appendPrefixed(dst []byte, value string) ([]byte, bool) {
	root := s.rootKey()
	a, err := parseAddr(value)
	if err != nil || root.key == nil {
		return dst, false
	}
	dst = append(dst, prefixedPrefix...)
	dst = s.appendKeyID(dst, root)
	dst = append(dst, ':')
	return s.pan(root.key).address(a.Unmap().WithZone("")).AppendTo(dst), true
}

// appendKeyID appends what names the key of an epoch in pseudonyms.
func (s *Scanner) appendKeyID(dst []byte, root rootKey) []byte {
	dst = append(append(dst, root.kid...), '-')
	return strconv.AppendInt(dst, s.epoch, 10)
}

// prefixed treats a value that should be nothing but an address, with or without a port.
func (s *Scanner) prefixed(v string) (string, Verdict) {
	if v == "" || isMask(v) {
		return v, Kept
	}
	host := v
	if _, err := parseAddr(v); err != nil {
		if i := strings.LastIndexByte(v, ':'); i > 0 {
			host = v[:i]
		}
		host = strings.Trim(host, "[]")
	}
	out, ok := s.appendPrefixed(s.out[:0], host)
	s.out = out
	if !ok {
		s.count(IP, Drop)
		return "", Dropped
	}
	s.count(IP, PrefixPreserving)
	return s.results.bytes(out), Changed
}

// isPrefixed reports whether v is wholly a pseudonym that keeps prefixes.
func isPrefixed(v string) bool { return prefixedEnd(v) == len(v) && v != "" }

// prefixedEnd returns the end of the pseudonym that keeps prefixes at the start of v, or 0.
func prefixedEnd(v string) int {
	rest, ok := strings.CutPrefix(v, prefixedPrefix)
	if !ok {
		return 0
	}
	kid, rest, ok := strings.Cut(rest, ":")
	if !ok || !isKeyID(kid) {
		return 0
	}
	n := 0
	for n < len(rest) && n < 40 && (isHex(rest[n]) || rest[n] == ':' || rest[n] == '.') {
		n++
	}
	if dot, colon := strings.IndexByte(rest[:n], '.'), strings.IndexByte(rest[:n], ':'); dot >= 0 && colon > dot {
		n = colon // a port
	}
	for n > 0 && (rest[n-1] == '.' || rest[n-1] == ':' && (n < 2 || rest[n-2] != ':')) {
		n--
	}
	if n < len(rest) && (isAlnum(rest[n]) || rest[n] == '_') {
		return 0
	}
	a, err := netip.ParseAddr(rest[:n])
	if err != nil || a.Is4In6() {
		return 0
	}
	return len(v) - len(rest) + n
}
