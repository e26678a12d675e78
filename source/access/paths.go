package access

import (
	"bytes"
	"path"
	"strings"
)

// Paths are URL paths that are WebSockets.
type Paths []pattern

type pattern struct {
	text string
	// prefix is what a path must begin with to be worth matching; it is the whole text if that has no wildcard.
	prefix string
}

// NewPaths returns paths of patterns as [path.Match] has them.
func NewPaths(patterns []string) Paths {
	list := make(Paths, len(patterns))
	for i, text := range patterns {
		prefix := text
		if end := strings.IndexAny(text, `*?[\`); end >= 0 {
			prefix = text[:end]
		}
		list[i] = pattern{text, prefix}
	}
	return list
}

// Match reports whether one of the patterns matches a path. Others cost no memory.
func (p Paths) Match(urlPath []byte) bool {
	for i := range p {
		one := &p[i]
		if len(urlPath) < len(one.prefix) || string(urlPath[:len(one.prefix)]) != one.prefix {
			continue
		}
		if one.prefix == one.text {
			if len(urlPath) == len(one.text) {
				return true
			}
			continue
		}
		if ok, err := path.Match(one.text, string(urlPath)); ok && err == nil {
			return true
		}
	}
	return false
}

// Attempt reports whether a request that was not upgraded, and whose Upgrade header is not in the line, was an attempt to
// open a WebSocket as far as its path tells. Of the request line, the method and the target any may be empty.
func (p Paths) Attempt(line, method, target []byte, status int) bool {
	// 426 is the answer to a request that asks for no upgrade.
	if len(p) == 0 || status == 426 {
		return false
	}
	if len(line) > 0 {
		first, rest, _ := bytes.Cut(line, []byte{' '})
		if len(method) == 0 {
			method = first
		}
		if len(target) == 0 {
			target, _, _ = bytes.Cut(rest, []byte{' '})
		}
	}
	// RFC 6455 §4.1; RFC 8441 §4 has CONNECT.
	if len(method) > 0 && string(method) != "GET" && string(method) != "CONNECT" {
		return false
	}
	// A request to a proxy has the absolute form (RFC 9112 §3.2.2).
	if i := bytes.Index(target, []byte("://")); i > 0 && target[0] != '/' {
		if target = target[i+len("://"):]; bytes.IndexByte(target, '/') < 0 {
			return false
		}
		target = target[bytes.IndexByte(target, '/'):]
	}
	target, query, _ := bytes.Cut(target, []byte{'?'})
	// Socket.IO has one path for WebSockets and for what it does without them.
	return p.Match(target) && !bytes.Contains(query, []byte("transport=polling"))
}
