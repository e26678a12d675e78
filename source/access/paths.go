package access

import (
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
