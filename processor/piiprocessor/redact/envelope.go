package redact

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"sort"
	"strings"
	"sync"
	"time"
)

// A token is t1:<kid>:<base64url>. The bytes are an HPKE encapsulation (RFC 9180, X25519 with HKDF-SHA256, export only), a
// random nonce, and the value under AES-256-GCM with the key that the encapsulation exports. Many tokens share an
// encapsulation and its key, which is made anew at each start, each epoch and after maxTokens, and never stored. Only
// the private key of the recipient leads back. Tokens are random: two of one value differ, and none can be guessed.
const (
	tokenPrefix  = "t1:"
	tokenInfo    = "sockeye pii t1"
	tokenContext = "value"

	encapsulated  = 32 // RFC 9180 §7.1: Nenc of DHKEM(X25519)
	tokenOverhead = encapsulated + 12 + 16
	// tokenBlock hides the length of a value: it is padded to a multiple, as in ISO/IEC 7816-4.
	tokenBlock = 32
	// MaxTokenised is the longest value that becomes a token. A longer one is masked.
	MaxTokenised = 1024
	maxToken     = tokenOverhead + (MaxTokenised/tokenBlock+1)*tokenBlock

	recipientChars = 8
	maxTokens      = 1 << 24
)

// Recipient is a public key that values are encrypted to.
type Recipient struct {
	kid string
	key hpke.PublicKey
}

// ParseRecipient reads an X25519 public key in PEM, as `openssl pkey -pubout` writes it.
func ParseRecipient(text []byte) (*Recipient, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("not a public key in PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	public, ok := parsed.(*ecdh.PublicKey)
	if err != nil || !ok || public.Curve() != ecdh.X25519() {
		return nil, errors.New("not an X25519 public key")
	}
	key, err := hpke.NewDHKEMPublicKey(public)
	if err != nil {
		return nil, err
	}
	return &Recipient{recipientID(public), key}, nil
}

func recipientID(public *ecdh.PublicKey) string {
	sum := sha256.Sum256(public.Bytes())
	return lowerBase32.EncodeToString(sum[:])[:recipientChars]
}

// sealer makes tokens for one recipient. It is safe for concurrent use.
type sealer struct {
	recipient *Recipient
	life      time.Duration
	now       func() time.Time

	mu    sync.Mutex
	enc   []byte
	aead  cipher.AEAD
	until time.Time
	left  int
}

func newSealer(settings *Settings) *sealer {
	if settings.Recipient == nil {
		return nil
	}
	s := &sealer{recipient: settings.Recipient, life: settings.Epoch, now: settings.Now}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// dataKey returns the key for the next token and its encapsulation.
func (s *sealer) dataKey() ([]byte, cipher.AEAD, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.left > 0 && now.Before(s.until) {
		s.left--
		return s.enc, s.aead, nil
	}
	enc, sender, err := hpke.NewSender(s.recipient.key, hpke.HKDFSHA256(), hpke.ExportOnly(), []byte(tokenInfo))
	if err != nil {
		return nil, nil, err
	}
	aead, err := tokenCipher(sender.Export)
	if err != nil {
		return nil, nil, err
	}
	s.enc, s.aead, s.until, s.left = enc, aead, now.Add(s.life), maxTokens-1
	return enc, aead, nil
}

func tokenCipher(export func(context string, length int) ([]byte, error)) (cipher.AEAD, error) {
	key, err := export(tokenContext, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// appendToken appends the token of value. It appends nothing and reports false where there is no recipient or the value is
// too long: a caller then masks.
func (s *Scanner) appendToken(dst []byte, value string) ([]byte, bool) {
	if s.e.sealer == nil || len(value) > MaxTokenised {
		return dst, false
	}
	enc, aead, err := s.e.sealer.dataKey()
	if err != nil {
		return dst, false
	}
	padded := append(append(s.text[:0], value...), 0x80)
	for len(padded)%tokenBlock != 0 {
		padded = append(padded, 0)
	}
	s.text = padded
	dst = append(append(dst, tokenPrefix...), s.e.sealer.recipient.kid...)
	header := dst[len(dst)-recipientChars-len(tokenPrefix):]
	s.sealed = aead.Seal(append(s.sealed[:0], enc...), nil, padded, header)
	dst = append(dst, ':')
	return base64.RawURLEncoding.AppendEncode(dst, s.sealed), true
}

// tokenise treats a value whose key asks for the action tokenise.
func (s *Scanner) tokenise(r Rule, v string) (string, Verdict) {
	if v == "" || isMask(v) {
		return v, Kept
	}
	if !s.holdsSecret(v, false) {
		if out, ok := s.appendToken(s.out[:0], v); ok {
			s.out = out
			s.count(r, Tokenise)
			return s.results.bytes(out), Changed
		}
	}
	return s.mask(r, v)
}

// IsToken reports whether v has the form of a token. It says nothing about who made it.
func IsToken(v string) bool { return v != "" && tokenEnd(v) == len(v) }

// tokenEnd returns the end of the token at the start of v, or 0.
func tokenEnd(v string) int {
	n := len(tokenPrefix) + recipientChars
	if !strings.HasPrefix(v, tokenPrefix) || len(v) <= n || v[n] != ':' || !isKeyID(v[len(tokenPrefix):n]) {
		return 0
	}
	end := n + 1
	for end < len(v) && class[v[end]]&cBase64 != 0 {
		end++
	}
	size := base64.RawURLEncoding.DecodedLen(end - n - 1)
	if size > maxToken || size <= tokenOverhead || (size-tokenOverhead)%tokenBlock != 0 ||
		base64.RawURLEncoding.EncodedLen(size) != end-n-1 {
		return 0
	}
	return end
}

// spare takes the finds out that lie in tokens and in pseudonyms that keep prefixes: what was done once is not done
// again. A find that reaches out of one takes all of it.
func (s *Scanner) spare(v string) {
	s.made = s.made[:0]
	for at := 0; ; {
		i := strings.Index(v[at:], "1:")
		if i < 0 {
			break
		}
		start := at + i - 1
		at += i + 2
		if start < 0 || v[start] != tokenPrefix[0] && v[start] != prefixedPrefix[0] || start > 0 && isAlnum(v[start-1]) {
			continue
		}
		if n := max(tokenEnd(v[start:]), prefixedEnd(v[start:])); n > 0 {
			at = start + n
			s.made = append(s.made, find{start: start, end: at})
		}
	}
	if len(s.made) == 0 {
		return
	}
	kept := s.finds[:0]
	for _, f := range s.finds {
		first := sort.Search(len(s.made), func(i int) bool { return s.made[i].end > f.start })
		after := sort.Search(len(s.made), func(i int) bool { return s.made[i].start >= f.end })
		if first < after {
			start, end := s.made[first].start, s.made[after-1].end
			if f.start >= start && f.end <= end && after == first+1 {
				continue
			}
			f.start, f.end = min(f.start, start), max(f.end, end)
		}
		kept = append(kept, f)
	}
	s.finds = kept
}

// Identity is the private key of a recipient. It is for one goroutine at a time.
type Identity struct {
	kid  string
	key  hpke.PrivateKey
	keys map[string]cipher.AEAD
}

// ParseIdentity reads an X25519 private key in PEM, as `openssl genpkey` writes it.
func ParseIdentity(text []byte) (*Identity, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("not a private key in PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(*ecdh.PrivateKey)
	if err != nil || !ok || private.Curve() != ecdh.X25519() {
		return nil, errors.New("not an X25519 private key")
	}
	key, err := hpke.NewDHKEMPrivateKey(private)
	if err != nil {
		return nil, err
	}
	return &Identity{recipientID(private.PublicKey()), key, map[string]cipher.AEAD{}}, nil
}

// maxIdentityKeys bounds how many data keys are remembered.
const maxIdentityKeys = 1024

// Reveal returns text with the values of the tokens that were made for the identity, and how many those are. Other tokens
// stay; failed counts those with the identity's name that it cannot open. With inJSON, values are written as in a
// string of JSON.
func (id *Identity) Reveal(text string, inJSON bool) (out string, revealed, failed int) {
	var b strings.Builder
	done := 0
	prefix := tokenPrefix + id.kid + ":"
	for at := 0; ; {
		i := strings.Index(text[at:], prefix)
		if i < 0 {
			break
		}
		start := at + i
		at = start + len(prefix)
		n := tokenEnd(text[start:])
		if n == 0 {
			continue
		}
		at = start + n
		value, ok := id.open(text[start+len(prefix):at], prefix[:len(prefix)-1])
		if !ok {
			failed++
			continue
		}
		revealed++
		b.WriteString(text[done:start])
		if inJSON {
			value = quotable(value)
		}
		b.WriteString(value)
		done = at
	}
	if done == 0 {
		return text, revealed, failed
	}
	b.WriteString(text[done:])
	return b.String(), revealed, failed
}

func (id *Identity) open(encoded, header string) (string, bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(sealed) <= tokenOverhead {
		return "", false
	}
	enc := string(sealed[:encapsulated])
	aead := id.keys[enc]
	if aead == nil {
		recipient, err := hpke.NewRecipient([]byte(enc), id.key, hpke.HKDFSHA256(), hpke.ExportOnly(), []byte(tokenInfo))
		if err != nil {
			return "", false
		}
		if aead, err = tokenCipher(recipient.Export); err != nil {
			return "", false
		}
		if len(id.keys) >= maxIdentityKeys {
			clear(id.keys)
		}
		id.keys[enc] = aead
	}
	padded, err := aead.Open(nil, nil, sealed[encapsulated:], []byte(header))
	if err != nil {
		return "", false
	}
	n := len(padded)
	for n > 0 && padded[n-1] == 0 {
		n--
	}
	if n == 0 || padded[n-1] != 0x80 {
		return "", false
	}
	return string(padded[:n-1]), true
}

// quotable returns v as it stands between the quotes of a JSON string.
func quotable(v string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")[1 : b.Len()-2]
}
