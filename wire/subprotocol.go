package wire

import "slices"

// maxSubprotocols and maxExtensions bound the work that one header makes.
const (
	maxSubprotocols = 64
	maxExtensions   = 32
	maxParameters   = 32
)

// ParseSubprotocols parses the lines of Sec-WebSocket-Protocol in a request: tokens, each once. No lines are no
// subprotocols; lines without a token are a fault.
func ParseSubprotocols(lines []string) ([]string, error) {
	var list []string
	ok := elements(lines, func(name string) bool {
		if !isToken(name) || len(list) == maxSubprotocols || slices.Contains(list, name) {
			return false
		}
		list = append(list, name)
		return true
	})
	if !ok || len(lines) > 0 && len(list) == 0 {
		return nil, MalformedSubprotocols
	}
	return list, nil
}

// ChooseSubprotocol returns the first of supported, in the server's order, that the client offered, or "". Names are
// compared by case (RFC 6455 §11.5).
func ChooseSubprotocol(offered, supported []string) string {
	for _, name := range supported {
		if slices.Contains(offered, name) {
			return name
		}
	}
	return ""
}

func validSubprotocols(list []string) bool {
	for i, name := range list {
		if !isToken(name) || slices.Contains(list[:i], name) {
			return false
		}
	}
	return true
}
