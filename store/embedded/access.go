package embedded

import (
	"crypto/sha256"
	"crypto/subtle"
)

// access is what a client may do.
type access int

const (
	accessNone access = iota
	accessRead        // nothing that changes anything
	accessFull
)

// tokens are the passwords of an engine. There are no users: a name comes with the password and is not looked at.
type tokens struct{ full, read string }

// access compares the passwords a client may have sent with the tokens, in constant time. Without a token everyone
// who reaches the engine may do everything.
func (t tokens) access(given ...string) access {
	if t.full == "" {
		return accessFull
	}
	allowed := accessNone
	for _, password := range given {
		switch {
		case same(password, t.full):
			allowed = accessFull
		case t.read != "" && same(password, t.read):
			allowed = max(allowed, accessRead)
		}
	}
	return allowed
}

func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// restrict makes a request one of a client that may only read. The engine's own mode stands behind what is known of the
// statement here; it lets clients choose other settings.
func (q *request) restrict() {
	q.readOnly = newException(codeReadOnly, "READONLY",
		"Cannot execute query in readonly mode. This password is for reading only")
	q.set(setting{"readonly", "2"})
}
