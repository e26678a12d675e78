package wire

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// MaxHeadBytes is the longest head, request line or status line included, that [ParseRequest] and [ParseResponse] read.
const MaxHeadBytes = 16 << 10

// maxFields bounds the number of header fields. Browsers send about 15; proxies add some.
const maxFields = 100

// ParseRequest parses the head of an HTTP/1 request from the beginning of b and returns how many bytes it takes. While
// the head is incomplete it returns [io.ErrUnexpectedEOF]; call it again with more. It is stricter than net/http: lines end
// in CRLF and fields may not be folded. The request has no body and is meant for [CheckRequest].
func ParseRequest(b []byte) (*http.Request, int, error) {
	head, err := cutHead(b)
	if err != nil {
		return nil, 0, err
	}
	line, fields, _ := strings.Cut(string(head), crlf)
	r := &http.Request{Body: http.NoBody}
	var rest string
	var ok bool
	if r.Method, rest, ok = strings.Cut(line, " "); !ok || !isToken(r.Method) {
		return nil, 0, MalformedRequestLine
	}
	if r.RequestURI, r.Proto, ok = strings.Cut(rest, " "); !ok || !isTarget(r.RequestURI) {
		return nil, 0, MalformedRequestLine
	}
	if r.ProtoMajor, r.ProtoMinor, ok = httpVersion(r.Proto); !ok {
		return nil, 0, MalformedRequestLine
	}
	// CONNECT names an authority; CheckRequest refuses it, so that it may be parsed as anything.
	if r.URL, err = url.ParseRequestURI(r.RequestURI); err != nil {
		if r.Method != http.MethodConnect {
			return nil, 0, MalformedRequestLine
		}
		r.URL = &url.URL{Host: r.RequestURI}
	}
	if r.Header, err = parseFields(fields); err != nil {
		return nil, 0, err
	}
	hosts := r.Header["Host"]
	delete(r.Header, "Host")
	if len(hosts) > 1 {
		return nil, 0, InvalidHost
	}
	if len(hosts) == 1 {
		r.Host = hosts[0]
	}
	if len(hosts) == 1 && r.URL.Host != "" { // RFC 9112 §3.2.2: an absolute target wins over Host
		r.Host = r.URL.Host
	}
	if r.ContentLength, err = contentLength(r.Header); err != nil {
		return nil, 0, err
	}
	r.TransferEncoding = r.Header["Transfer-Encoding"]
	return r, len(head) + len(crlf), nil
}

// ParseResponse parses the head of an HTTP/1 response from the beginning of b, as [ParseRequest] does with requests. The
// response is meant for [CheckResponse].
func ParseResponse(b []byte) (*http.Response, int, error) {
	head, err := cutHead(b)
	if err != nil {
		return nil, 0, ofResponse(err)
	}
	line, fields, _ := strings.Cut(string(head), crlf)
	r := &http.Response{Body: http.NoBody}
	var ok bool
	if r.Proto, r.Status, ok = strings.Cut(line, " "); !ok || !isFieldValue(r.Status) {
		return nil, 0, MalformedStatusLine
	}
	if r.ProtoMajor, r.ProtoMinor, ok = httpVersion(r.Proto); !ok {
		return nil, 0, MalformedStatusLine
	}
	// The space after the code must be there even if no reason follows, but some leave it out.
	code, _, _ := strings.Cut(r.Status, " ")
	if r.StatusCode, ok = decimal(code, 3); !ok || len(code) != 3 || r.StatusCode < 100 {
		return nil, 0, MalformedStatusLine
	}
	if r.Header, err = parseFields(fields); err == nil {
		r.ContentLength, err = contentLength(r.Header)
	}
	if err != nil {
		return nil, 0, ofResponse(err)
	}
	r.TransferEncoding = r.Header["Transfer-Encoding"]
	return r, len(head) + len(crlf), nil
}

// ofResponse turns what is wrong with a head into what is wrong with a response.
func ofResponse(err error) error {
	switch {
	case errors.Is(err, HeadTooLarge):
		return ResponseHeadTooLarge
	case errors.Is(err, MalformedHead), errors.Is(err, MalformedContentLength):
		return MalformedResponseHead
	}
	return err
}

const crlf = "\r\n"

// cutHead returns the head at the beginning of b, up to the end of its last field.
func cutHead(b []byte) ([]byte, error) {
	// The limit is judged before completeness, so that it does not matter how the bytes arrive.
	end := bytes.Index(b[:min(len(b), MaxHeadBytes)], []byte(crlf+crlf))
	switch {
	case end >= 0:
		return b[:end+len(crlf)], nil
	case len(b) >= MaxHeadBytes:
		return nil, HeadTooLarge
	default:
		return nil, io.ErrUnexpectedEOF
	}
}

// parseFields parses lines that all end in CRLF.
func parseFields(lines string) (http.Header, error) {
	n := strings.Count(lines, crlf)
	if n > maxFields {
		return nil, HeadTooLarge
	}
	h := make(http.Header, n)
	values := make([]string, n) // one allocation for all of them
	for lines != "" {
		var line string
		line, lines, _ = strings.Cut(lines, crlf)
		name, value, ok := strings.Cut(line, ":")
		value = trim(value)
		if !ok || !isToken(name) || !isFieldValue(value) {
			return nil, MalformedHead
		}
		name = http.CanonicalHeaderKey(name)
		if before := h[name]; before != nil {
			h[name] = append(before, value)
			continue
		}
		values[0] = value
		h[name], values = values[:1:1], values[1:]
	}
	return h, nil
}

func httpVersion(proto string) (major, minor int, ok bool) {
	number, ok := strings.CutPrefix(proto, "HTTP/")
	if !ok || len(number) != 3 || !isDigit(number[0]) || number[1] != '.' || !isDigit(number[2]) {
		return 0, 0, false
	}
	return int(number[0] - '0'), int(number[2] - '0'), true
}

// contentLength refuses what two parsers could read differently.
func contentLength(h http.Header) (int64, error) {
	values := h["Content-Length"]
	if len(values) == 0 {
		return 0, nil
	}
	n, ok := decimal(values[0], 18)
	if len(values) > 1 || !ok {
		return 0, MalformedContentLength
	}
	return int64(n), nil
}

// decimal parses digits alone, at most so many.
func decimal(s string, digits int) (int, bool) {
	if s == "" || len(s) > digits {
		return 0, false
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// tokenByte says which bytes a token may have (RFC 9110 §5.6.2).
var tokenByte = func() (table [256]bool) {
	for c := byte('!'); c <= '~'; c++ {
		table[c] = !strings.ContainsRune("\"(),/:;<=>?@[\\]{}", rune(c))
	}
	return table
}()

func isToken(s string) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

// isFieldValue reports whether s has no control byte but the tab (RFC 9110 §5.5).
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isTarget reports whether s is visible ASCII.
func isTarget(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}

// trim cuts optional whitespace (RFC 9110 §5.6.3).
func trim(s string) string { return strings.Trim(s, " \t") }

// elements calls yield with each element of a field that is a list, over all its lines. Empty elements count for nothing
// (RFC 9110 §5.6.1.2). It is for lists of tokens: a comma in quotes cuts too.
func elements(lines []string, yield func(string) bool) bool {
	for _, line := range lines {
		for more := true; more; {
			var element string
			element, line, more = strings.Cut(line, ",")
			if element = trim(element); element != "" && !yield(element) {
				return false
			}
		}
	}
	return true
}

// hasToken reports whether a list of tokens has token, in any case.
func hasToken(lines []string, token string) bool {
	return !elements(lines, func(element string) bool { return !strings.EqualFold(element, token) })
}
