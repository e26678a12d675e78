package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"hash"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/sockeye-project/sockeye/internal/keyfile"
)

// A pseudonym is p1:<kid>:<24 characters of base32>, 120 bits of HMAC-SHA256. The kid names the root key (4 characters)
// and the epoch ("-" and its number since 1970), so that all pseudonyms of one epoch can be found and erased together.
const (
	pseudonymPrefix = "p1:"
	pseudonymBytes  = 15
	kidChars        = 4
)

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// purpose names the key of one type for the scanner's tenant and epoch, which is HKDF(root, purpose).
func (s *Scanner) purpose(typ string) string {
	tenant := strconv.Quote(s.e.settings.Tenant)
	// Each kind of tenant has a mark of its own, so that no two have one name.
	if policy := s.e.settings.Policy; policy != "" {
		tenant += "/policy=" + strconv.Quote(policy)
	}
	if s.tenant != "" {
		tenant += "/tenant=" + strconv.Quote(s.tenant)
	}
	return strings.Join([]string{
		"pii/p1", tenant, typ, s.e.settings.Epoch.String(), strconv.FormatInt(s.epoch, 10),
	}, "\x1f")
}

const (
	// maxTenant is the longest name of a tenant, and maxTenants how many a Scanner tells apart at once.
	maxTenant  = 256
	maxTenants = 1024
)

// SetTenant says whose the data is, "" for nobody's in particular: tenants have different pseudonyms. Under a name that
// is too long there are none.
func (s *Scanner) SetTenant(tenant string) {
	if tenant == s.tenant {
		return
	}
	s.tenant, s.tenantID = tenant, 0
	if tenant == "" || len(tenant) > maxTenant {
		return
	}
	id, ok := s.tenants[tenant]
	if !ok {
		if s.tenants == nil || len(s.tenants) >= maxTenants {
			// Numbers begin anew, so what is remembered by them goes.
			s.tenants = map[string]uint32{}
			clear(s.macs)
			clear(s.pans)
			s.forget()
		}
		id = uint32(len(s.tenants) + 1)
		s.tenants[strings.Clone(tenant)] = id
	}
	s.tenantID = id
}

// rootKey is what the keys of types are derived from, with the name that pseudonyms carry. The zero value is no key.
type rootKey struct {
	key []byte
	kid string
}

func rootOf(installation []byte) rootKey {
	if installation == nil {
		return rootKey{}
	}
	root := keyfile.Derive(installation, "pii")
	return rootKey{root, KeyID(root)}
}

// EpochKeys hold a key of its own for each of some epochs, so that the pseudonyms of an epoch cannot be made again once its
// key is gone. It is safe for concurrent use.
type EpochKeys struct{ current atomic.Pointer[ring] }

type ring struct {
	kid   string
	first int64
	keys  [][]byte
}

// Set replaces all keys: keys[i] is that of epoch first+i.
func (k *EpochKeys) Set(kid string, first int64, keys [][]byte) {
	k.current.Store(&ring{kid, first, keys})
}

func (k *EpochKeys) ring() *ring {
	if k == nil {
		return nil
	}
	return k.current.Load()
}

// rootKey returns the key of the scanner's epoch.
func (s *Scanner) rootKey() rootKey {
	switch {
	case len(s.tenant) > maxTenant:
		return rootKey{}
	case s.e.settings.EpochKeys != nil:
		if s.ring == nil || s.epoch < s.ring.first || s.epoch >= s.ring.first+int64(len(s.ring.keys)) {
			return rootKey{}
		}
		return rootKey{s.ring.keys[s.epoch-s.ring.first], s.ring.kid}
	case s.e.previous.key != nil && s.epoch < s.e.rotated:
		return s.e.previous
	}
	return s.e.current
}

// KeyID returns the name of a key in the pseudonyms that it makes.
func KeyID(root []byte) string {
	return lowerBase32.EncodeToString(keyfile.Derive(root, "pii/p1/kid"))[:kidChars]
}

// IsPseudonym reports whether v has the form of a pseudonym. It says nothing about who made it.
func IsPseudonym(v string) bool {
	rest, ok := strings.CutPrefix(v, pseudonymPrefix)
	if !ok {
		return false
	}
	kid, code, ok := strings.Cut(rest, ":")
	if !ok || len(code) < 20 || len(code) > 64 {
		return false
	}
	if !isKeyID(kid) {
		return false
	}
	for i := range len(code) {
		if c := code[i]; !isLower(c) && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

func isKeyID(kid string) bool {
	for i := range len(kid) {
		if c := kid[i]; !isLower(c) && !isDigit(c) && c != '-' {
			return false
		}
	}
	return len(kid) > 0 && len(kid) <= 32
}

type macKey struct {
	epoch  int64
	tenant uint32
	rule   Rule
}

// maxMACs bounds the keyed states that a Scanner remembers: types times epochs times tenants in sight. Old records replayed
// over months rebuild them; that costs two hashes each.
const maxMACs = 64

func (s *Scanner) mac(root []byte, rule Rule) hash.Hash {
	k := macKey{s.epoch, s.tenantID, rule}
	if m, ok := s.macs[k]; ok {
		m.Reset()
		return m
	}
	if len(s.macs) >= maxMACs {
		clear(s.macs)
	}
	m := hmac.New(sha256.New, keyfile.Derive(root, s.purpose(s.e.Name(rule))))
	s.macs[k] = m
	return m
}

// appendPseudonym appends the pseudonym of value, which must be normalised, as a value of rule's type. Without a key it
// appends nothing and reports false: a caller then drops, and never falls back to a weaker form.
func (s *Scanner) appendPseudonym(dst []byte, rule Rule, value []byte) ([]byte, bool) {
	root := s.rootKey()
	if root.key == nil {
		return dst, false
	}
	m := s.mac(root.key, rule)
	m.Write(value)
	s.sum = m.Sum(s.sum[:0])
	dst = append(dst, pseudonymPrefix...)
	dst = s.appendKeyID(dst, root)
	dst = append(dst, ':')
	return lowerBase32.AppendEncode(dst, s.sum[:pseudonymBytes]), true
}
