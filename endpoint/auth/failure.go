package auth

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// Failure is why a client was not authenticated. Like a [wire.Violation] it is comparable, costs no allocation and names
// the rule, never what the client sent.
type Failure uint8

// The failures.
const (
	_ Failure = iota

	// Of the handshake or the first message.
	MissingCredential
	AmbiguousCredential
	MalformedCredential
	CredentialTooLong
	TokenInURL
	UncheckedOrigin
	CredentialTimeout

	// Of a token.
	MalformedToken
	DuplicateMember
	CriticalHeader
	ForbiddenAlgorithm
	WrongType
	UnknownKey
	WrongSignature
	MalformedClaim
	MissingSubject
	MissingExpiry
	MissingIssueTime
	TokenExpired
	NotYetValid
	IssuedInFuture
	TokenTooOld
	WrongIssuer
	WrongAudience

	// Of a ticket.
	InvalidTicket
	TicketExpired
	TicketSpent
	TicketMisplaced
	TicketsFull

	// Of a certificate.
	MissingCertificate
	UnverifiedCertificate
	UnnamedCertificate

	// Of a signed message.
	NoMessageSecret
	MessageUnsigned
	MessageForged
	MessageOutOfOrder

	// Of what was decided elsewhere.
	Refused
	NotAllowed
	Revoked

	// Of the identity provider.
	ProviderTimeout
	ProviderUnavailable
	ProviderSuspended
	KeysOutdated

	// Aborted is for a client that left before the answer.
	Aborted

	// Internal is what an Authenticator's error means that is no Failure.
	Internal
)

const (
	retryAfter         = 5   // seconds
	statusClientClosed = 499 // nginx's
)

// failures says each rule once.
var failures = [...]struct {
	name, errorType string
	status          int
	text            string
}{
	0:                     {"unknown", event.OtherError, http.StatusInternalServerError, "unknown failure"},
	MissingCredential:     {"missing_credential", event.Unauthenticated, http.StatusUnauthorized, "no credential"},
	AmbiguousCredential:   {"ambiguous_credential", event.Unauthenticated, http.StatusBadRequest, "more than one credential"},
	MalformedCredential:   {"malformed_credential", event.TokenInvalid, http.StatusBadRequest, "credential not well formed"},
	CredentialTooLong:     {"credential_too_long", event.TokenInvalid, http.StatusBadRequest, "credential over the limit"},
	TokenInURL:            {"token_in_url", event.Unauthenticated, http.StatusBadRequest, "token in the URL; send it in a header, a subprotocol or the first message"},
	UncheckedOrigin:       {"unchecked_origin", event.Forbidden, http.StatusForbidden, "cookie without an Origin that is allowed"},
	CredentialTimeout:     {"credential_timeout", event.AuthTimeout, http.StatusRequestTimeout, "no credential in time"},
	MalformedToken:        {"malformed_token", event.TokenInvalid, http.StatusUnauthorized, "token not well formed"},
	DuplicateMember:       {"duplicate_member", event.TokenInvalid, http.StatusUnauthorized, "member twice in the token"},
	CriticalHeader:        {"critical_header", event.TokenInvalid, http.StatusUnauthorized, "token needs an extension"},
	ForbiddenAlgorithm:    {"forbidden_algorithm", event.TokenInvalid, http.StatusUnauthorized, "algorithm not allowed"},
	WrongType:             {"wrong_type", event.TokenInvalid, http.StatusUnauthorized, "token of another type"},
	UnknownKey:            {"unknown_key", event.TokenInvalid, http.StatusUnauthorized, "key not known"},
	WrongSignature:        {"wrong_signature", event.TokenInvalid, http.StatusUnauthorized, "signature wrong"},
	MalformedClaim:        {"malformed_claim", event.TokenInvalid, http.StatusUnauthorized, "claim not well formed"},
	MissingSubject:        {"missing_subject", event.TokenInvalid, http.StatusUnauthorized, "no subject"},
	MissingExpiry:         {"missing_expiry", event.TokenInvalid, http.StatusUnauthorized, "no expiry"},
	MissingIssueTime:      {"missing_issue_time", event.TokenInvalid, http.StatusUnauthorized, "no time of issue"},
	TokenExpired:          {"token_expired", event.TokenExpired, http.StatusUnauthorized, "token expired"},
	NotYetValid:           {"not_yet_valid", event.TokenInvalid, http.StatusUnauthorized, "token not valid yet"},
	IssuedInFuture:        {"issued_in_future", event.TokenInvalid, http.StatusUnauthorized, "token issued in the future"},
	TokenTooOld:           {"token_too_old", event.TokenExpired, http.StatusUnauthorized, "token issued too long ago"},
	WrongIssuer:           {"wrong_issuer", event.TokenInvalid, http.StatusUnauthorized, "token of another issuer"},
	WrongAudience:         {"wrong_audience", event.TokenInvalid, http.StatusUnauthorized, "token for another audience"},
	InvalidTicket:         {"invalid_ticket", event.TokenInvalid, http.StatusUnauthorized, "ticket not issued here"},
	TicketExpired:         {"ticket_expired", event.TokenExpired, http.StatusUnauthorized, "ticket expired"},
	TicketSpent:           {"ticket_spent", event.TokenInvalid, http.StatusUnauthorized, "ticket used before"},
	TicketMisplaced:       {"ticket_misplaced", event.TokenInvalid, http.StatusUnauthorized, "ticket issued to another origin or client"},
	TicketsFull:           {"tickets_full", event.OtherError, http.StatusServiceUnavailable, "too many tickets in use"},
	MissingCertificate:    {"missing_certificate", event.Unauthenticated, http.StatusUnauthorized, "no client certificate"},
	UnverifiedCertificate: {"unverified_certificate", event.TokenInvalid, http.StatusUnauthorized, "client certificate not verified"},
	UnnamedCertificate:    {"unnamed_certificate", event.TokenInvalid, http.StatusUnauthorized, "client certificate without the one name that is asked for"},
	NoMessageSecret:       {"no_message_secret", event.Forbidden, http.StatusForbidden, "client without a secret to sign messages with"},
	MessageUnsigned:       {"message_unsigned", event.TokenInvalid, http.StatusUnauthorized, "message not signed"},
	MessageForged:         {"message_forged", event.TokenInvalid, http.StatusUnauthorized, "signature of the message wrong"},
	MessageOutOfOrder:     {"message_out_of_order", event.TokenInvalid, http.StatusUnauthorized, "message repeated, or one before it missing"},
	Refused:               {"refused", event.Unauthenticated, http.StatusUnauthorized, "credential not accepted"},
	NotAllowed:            {"not_allowed", event.Forbidden, http.StatusForbidden, "client not allowed"},
	Revoked:               {"revoked", event.TokenInvalid, http.StatusUnauthorized, "credential revoked"},
	ProviderTimeout:       {"provider_timeout", event.IDPTimeout, http.StatusGatewayTimeout, "identity provider too slow"},
	ProviderUnavailable:   {"provider_unavailable", event.IDPUnavailable, http.StatusServiceUnavailable, "identity provider unavailable"},
	ProviderSuspended:     {"provider_suspended", event.IDPUnavailable, http.StatusServiceUnavailable, "identity provider not asked after repeated trouble"},
	KeysOutdated:          {"keys_outdated", event.IDPUnavailable, http.StatusServiceUnavailable, "keys of the identity provider too old"},
	Aborted:               {"aborted", event.OtherError, statusClientClosed, "client left"},
	Internal:              {"internal", event.OtherError, http.StatusInternalServerError, "authentication broken"},
}

func (f Failure) known() Failure {
	if int(f) >= len(failures) {
		return 0
	}
	return f
}

// Rule is the name of the rule in snake case.
func (f Failure) Rule() string { return failures[f.known()].name }

// ErrorType is the error.type of the event websocket.auth. That of websocket.handshake.rejected follows from Status, by
// [event.RejectionFor].
func (f Failure) ErrorType() string { return failures[f.known()].errorType }

// Fault is who has to act.
func (f Failure) Fault() event.Fault { return event.FaultOf(f.ErrorType(), f.Status()) }

// Status is the HTTP status that answers a handshake.
func (f Failure) Status() int { return failures[f.known()].status }

// Reason is the rule in a few words, also as the reason of a Close frame.
func (f Failure) Reason() string { return failures[f.known()].text }

func (f Failure) Error() string { return "auth: " + f.Reason() }

// CloseCode ends a connection that is open already: 1008 for a signed message that is not what it should be. Those from 3000 on
// are IANA's equivalents of the HTTP status.
func (f Failure) CloseCode() wire.CloseCode {
	switch f {
	case MessageUnsigned, MessageForged, MessageOutOfOrder:
		return wire.ClosePolicyViolation
	}
	switch f.Status() {
	case http.StatusForbidden:
		return 3003
	case http.StatusRequestTimeout:
		return 3008
	case http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return wire.CloseTryAgainLater
	case http.StatusInternalServerError:
		return wire.CloseInternalError
	}
	return 3000
}

// SetHeader adds the fields that the refusal must have: how to authenticate (RFC 6750 §3) or when to come back.
func (f Failure) SetHeader(h http.Header) {
	switch f.Status() {
	case http.StatusUnauthorized:
		challenge := "Bearer"
		switch f.ErrorType() {
		case event.TokenInvalid, event.TokenExpired:
			challenge += ` error="invalid_token"`
		}
		h.Set("WWW-Authenticate", challenge)
	case http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
}

// FailureOf returns the Failure that err is or wraps. A deadline that passed was the identity provider's, a
// context that was cancelled the client's; another error is Internal, and nil is 0.
func FailureOf(err error) Failure {
	var f Failure
	switch {
	case err == nil:
		return 0
	case errors.As(err, &f) && f.known() != 0:
		return f
	case errors.Is(err, context.DeadlineExceeded):
		return ProviderTimeout
	case errors.Is(err, context.Canceled):
		return Aborted
	}
	return Internal
}
