package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Kind groups what can go wrong by what a person has to do about it.
type Kind string

const (
	Unreachable     Kind = "unreachable"
	Authentication  Kind = "authentication"
	Permission      Kind = "permission"
	UnknownDatabase Kind = "unknown_database"
	Schema          Kind = "schema"
	Timeout         Kind = "timeout"
	DiskFull        Kind = "disk_full"
	Overload        Kind = "overload"
	ReadOnly        Kind = "read_only"
	// Data means that ClickHouse refused these rows and will refuse them again.
	Data  Kind = "data"
	Other Kind = "other"
)

// Error is a failure at ClickHouse in one sentence. The sentence holds the address, and neither a password nor a stored
// value; Unwrap gives the driver's error, whose text may hold either and is not for logs.
type Error struct {
	Kind Kind
	// Code is ClickHouse's, or 0 where no answer came.
	Code     int32
	sentence string
	cause    error
}

func (e *Error) Error() string { return e.sentence }
func (e *Error) Unwrap() error { return e.cause }

// Refusal says that ClickHouse refused something, and how it calls the reason: nothing of what was refused.
func (e *Error) Refusal() string { return "ClickHouse refused it" + named(e) }

// Retryable reports whether the same chunk may be accepted later. Whatever is not known to be hopeless is retried: a
// wrong password or a missing table blocks the pipeline until somebody acts, which loses nothing.
func Retryable(err error) bool {
	if err == nil {
		return false
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Kind != Data
	}
	return classify(err) != Data
}

// ClickHouse's error codes, as in its src/Common/ErrorCodes.cpp.
const (
	codeUnknownDatabase = 81
	codeTableExists     = 57
	codeDeadlockAvoided = 473
	codeReplicaExists   = 253
	codeAlterConflict   = 517
)

var kinds = map[int32]Kind{
	516: Authentication, // AUTHENTICATION_FAILED
	192: Authentication, // UNKNOWN_USER
	193: Authentication, // WRONG_PASSWORD
	194: Authentication, // REQUIRED_PASSWORD
	497: Permission,     // ACCESS_DENIED
	291: Permission,     // DATABASE_ACCESS_DENIED
	195: Permission,     // IP_ADDRESS_NOT_ALLOWED
	392: Permission,     // QUERY_IS_PROHIBITED

	codeUnknownDatabase: UnknownDatabase, // UNKNOWN_DATABASE

	60:  Schema, // UNKNOWN_TABLE
	16:  Schema, // NO_SUCH_COLUMN_IN_TABLE
	8:   Schema, // THERE_IS_NO_COLUMN
	10:  Schema, // NOT_FOUND_COLUMN_IN_BLOCK
	47:  Schema, // UNKNOWN_IDENTIFIER
	115: Schema, // UNKNOWN_SETTING
	62:  Schema, // SYNTAX_ERROR
	36:  Schema, // BAD_ARGUMENTS

	159: Timeout, // TIMEOUT_EXCEEDED
	209: Timeout, // SOCKET_TIMEOUT
	160: Timeout, // TOO_SLOW

	243: DiskFull, // NOT_ENOUGH_SPACE
	241: Overload, // MEMORY_LIMIT_EXCEEDED
	252: Overload, // TOO_MANY_PARTS
	202: Overload, // TOO_MANY_SIMULTANEOUS_QUERIES
	173: Overload, // CANNOT_ALLOCATE_MEMORY
	439: Overload, // CANNOT_SCHEDULE_TASK
	201: Overload, // QUOTA_EXCEEDED
	236: Overload, // ABORTED: the server is shutting down
	394: Overload, // QUERY_WAS_CANCELLED
	242: ReadOnly, // TABLE_IS_READ_ONLY
	164: ReadOnly, // READONLY

	210: Unreachable, // NETWORK_ERROR
	279: Unreachable, // ALL_CONNECTION_TRIES_FAILED
	32:  Unreachable, // ATTEMPT_TO_READ_AFTER_EOF: the request was cut
	33:  Unreachable, // CANNOT_READ_ALL_DATA: the request was cut

	53:  Data, // TYPE_MISMATCH
	70:  Data, // CANNOT_CONVERT_TYPE
	6:   Data, // CANNOT_PARSE_TEXT
	26:  Data, // CANNOT_PARSE_QUOTED_STRING
	27:  Data, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
	38:  Data, // CANNOT_PARSE_DATE
	41:  Data, // CANNOT_PARSE_DATETIME
	43:  Data, // ILLEGAL_TYPE_OF_ARGUMENT
	50:  Data, // UNKNOWN_TYPE
	69:  Data, // ARGUMENT_OUT_OF_BOUND
	72:  Data, // CANNOT_PARSE_NUMBER
	117: Data, // INCORRECT_DATA
	131: Data, // TOO_LARGE_STRING_SIZE
	128: Data, // TOO_LARGE_ARRAY_SIZE
	321: Data, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
	349: Data, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
	407: Data, // DECIMAL_OVERFLOW
	469: Data, // VIOLATED_CONSTRAINT
}

func codeOf(err error) int32 {
	if e := (*clickhouse.Exception)(nil); errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func classify(err error) Kind {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		// A full disk shows as whatever write failed first.
		if strings.Contains(exception.Message, "No space left on device") {
			return DiskFull
		}
		if kind, ok := kinds[exception.Code]; ok {
			return kind
		}
		return Other
	}
	var network net.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, clickhouse.ErrAcquireConnTimeout),
		errors.As(err, &network) && network.Timeout():
		return Timeout
	case errors.As(err, &network), errors.As(err, &certificate),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return Unreachable
	}
	return Other
}

// Explain turns an error of [Store.Conn] into an [*Error]; nil stays nil, and so does a canceled context as it is.
func (s *Store) Explain(err error) error { return s.explain("query", err) }

func (s *Store) explain(doing string, err error) error {
	switch e := (*Error)(nil); {
	case err == nil, errors.Is(err, context.Canceled), errors.As(err, &e):
		return err
	}
	e := &Error{Kind: classify(err), Code: codeOf(err), cause: err}
	e.sentence = fmt.Sprintf("%s: clickhouse at %s: %s", doing, s.address, s.reason(e))
	return e
}

func (s *Store) reason(e *Error) string {
	switch e.Kind {
	case Unreachable:
		if certificate := (*tls.CertificateVerificationError)(nil); errors.As(e.cause, &certificate) {
			return "its certificate is not trusted; have an authority of this machine sign it, or name the file of yours in " +
				"SSL_CERT_FILE"
		}
		return unreachable(e.cause) + "; is it running, and is this its address?"
	case Authentication:
		return fmt.Sprintf("wrong user name or password for user %q", s.username)
	case Permission:
		return fmt.Sprintf("user %q may not do this; grant it SELECT, INSERT, CREATE and ALTER on %s.*%s",
			s.username, s.database, named(e))
	case UnknownDatabase:
		return fmt.Sprintf("there is no database %q; `sockeye store migrate` creates it", s.database)
	case Schema:
		return fmt.Sprintf("the tables of database %q are not those of this version; run `sockeye store migrate`%s",
			s.database, named(e))
	case Timeout:
		return "no answer in time; it is overloaded, or the timeout is too short"
	case DiskFull:
		return "its disk is full; free space or shorten the retention, then what waits is stored"
	case Overload:
		return "it is overloaded" + named(e)
	case ReadOnly:
		return "it takes no writes" + named(e)
	case Data:
		return "it refused the rows" + named(e)
	}
	if e.Code == 0 {
		return fmt.Sprintf("the driver gave up (%T)", innermost(e.cause))
	}
	return "it answered with an error" + named(e)
}

// unreachable says what the network said, without the request's address, which may hold a password.
func unreachable(err error) string {
	var dns *net.DNSError
	var errno syscall.Errno
	switch {
	case errors.As(err, &dns):
		return "no such host"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was cut"
	}
	if code := codeOf(err); code != 0 {
		return fmt.Sprintf("the connection was cut (code %d)", code)
	}
	return "no connection"
}

// named is the code and its name, which hold no stored value, unlike the message.
func named(e *Error) string {
	var exception *clickhouse.Exception
	if !errors.As(e.cause, &exception) {
		return ""
	}
	if exception.CodeName == "" {
		return fmt.Sprintf(" (code %d)", exception.Code)
	}
	return fmt.Sprintf(" (code %d, %s)", exception.Code, exception.CodeName)
}

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
