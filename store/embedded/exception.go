package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Codes of ClickHouse's own exceptions that are raised here, before or instead of the engine.
const (
	codeSyntax           = 62
	codeUnknownSetting   = 115
	codeNotImplemented   = 48
	codeReadOnly         = 164
	codeUnexpectedEnd    = 102
	codeCannotDecompress = 271
	codeTooManyQueries   = 202
	codeAccessDenied     = 497
	codeAuthentication   = 516
	codeQueryTooLarge    = 223
	codeCancelled        = 394
	codeUnknown          = 1002
	codeCannotParseInput = 27
	codeNoColumn         = 16

	codeBrokenBackup       = 600
	codeUnexpectedPacket   = 101
	codeTooManyConnections = 203
)

// exception is an error as ClickHouse words and numbers it.
type exception struct {
	code int
	text string
}

func (e *exception) Error() string { return e.text }

func newException(code int, name, format string, args ...any) *exception {
	return &exception{code: code, text: fmt.Sprintf("Code: %d. DB::Exception: %s. (%s)",
		code, fmt.Sprintf(format, args...), name)}
}

var codePattern = regexp.MustCompile(`Code: (\d+)\.`)

// parseException reads an error text of the engine.
func parseException(text string) *exception {
	text = strings.TrimSpace(text)
	if m := codePattern.FindStringSubmatchIndex(text); m != nil {
		code, err := strconv.Atoi(text[m[2]:m[3]])
		if err == nil {
			return &exception{code: code, text: text[m[0]:]}
		}
	}
	return newException(codeUnknown, "UNKNOWN_EXCEPTION", "%s", text)
}

func errPassword() *exception {
	return newException(codeAuthentication, "AUTHENTICATION_FAILED",
		"The password is wrong or missing; it is the token of the embedded engine")
}

// status is the HTTP status ClickHouse's server answers with.
func (e *exception) status() int {
	switch e.code {
	case 194: // REQUIRED_PASSWORD
		return http.StatusUnauthorized
	case 192, 193, codeAuthentication, codeAccessDenied: // UNKNOWN_USER, WRONG_PASSWORD
		return http.StatusForbidden
	case 6, 26, codeCannotParseInput, 38, 41, 43, 53, codeSyntax, 69, 70, 72, 117, 130, 131, 386, 420, 456, 457:
		return http.StatusBadRequest
	case 60, 46, 47, 50, 56, 73, 75, 78, 81, codeUnknownSetting:
		return http.StatusNotFound
	case codeQueryTooLarge:
		return http.StatusRequestEntityTooLarge
	case codeNotImplemented:
		return http.StatusNotImplemented
	case 159, 209:
		return http.StatusRequestTimeout
	case codeTooManyQueries, 439:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// asException is the exception an error is, or becomes.
func asException(err error) *exception {
	var known *exception
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, context.Canceled):
		return newException(codeCancelled, "QUERY_WAS_CANCELLED", "The client went away")
	}
	return newException(codeUnknown, "UNKNOWN_EXCEPTION", "%v", err)
}
