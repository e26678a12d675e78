package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

const secret = "hunter2-secret"

// answering is a ClickHouse that answers every request with one error.
func answering(t *testing.T, code int, name, message string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-ClickHouse-Exception-Code", fmt.Sprint(code))
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "Code: %d. DB::Exception: %s. (%s) (version 26.7.2.1 (official build))", code, message, name)
	}))
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "http://", "http://ann:"+secret+"@", 1) + "/sockeye"
}

func TestFailuresToConnectAreOneSentenceEach(t *testing.T) {
	t.Parallel()
	address := testenv.Address(t)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close()
		}
	}))
	t.Cleanup(broken.Close)

	for name, tt := range map[string]struct {
		dsn  string
		kind store.Kind
		want string
	}{
		"nothing listens": {"http://ann:" + secret + "@" + address, store.Unreachable,
			"connect: clickhouse at " + address + ": connection refused; is it running, and is this its address?"},
		"nothing listens, native protocol": {"clickhouse://ann:" + secret + "@" + address, store.Unreachable,
			"connection refused; is it running"},
		"no such host": {"http://ann:" + secret + "@sockeye.invalid:8123", store.Unreachable,
			"clickhouse at sockeye.invalid:8123: no such host; is it running"},
		"it hangs up": {strings.Replace(broken.URL, "//", "//ann:"+secret+"@", 1), store.Unreachable,
			"the connection was cut; is it running"},
		"it never answers": {strings.Replace(silent.URL, "//", "//ann:"+secret+"@", 1), store.Timeout,
			"no answer in time; it is overloaded, or the timeout is too short"},
		"wrong password": {answering(t, 516, "AUTHENTICATION_FAILED", "ann: Authentication failed: "+secret),
			store.Authentication, `wrong user name or password for user "ann"`},
		"no permission": {answering(t, 497, "ACCESS_DENIED", "ann: Not enough privileges"), store.Permission,
			`user "ann" may not do this; grant it SELECT, INSERT, CREATE and ALTER on sockeye.* (code 497, ACCESS_DENIED)`},
		"full disk": {answering(t, 243, "NOT_ENOUGH_SPACE", "Cannot reserve 1.00 MiB, not enough space"), store.DiskFull,
			"its disk is full; free space or shorten the retention, then what waits is stored"},
		"full disk, as a failed write": {answering(t, 75, "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
			"Cannot write to file, errno: 28, strerror: No space left on device"), store.DiskFull, "its disk is full"},
		"out of memory": {answering(t, 241, "MEMORY_LIMIT_EXCEEDED", "(total) memory limit exceeded"), store.Overload,
			"it is overloaded (code 241, MEMORY_LIMIT_EXCEEDED)"},
		"an error nobody expected": {answering(t, 999, "KEEPER_EXCEPTION", "value 4711"), store.Other,
			"it answered with an error (code 999, KEEPER_EXCEPTION)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := store.Open(ctx, tt.dsn, store.Options{DialTimeout: time.Second})
			var fault *store.Error
			require.ErrorAs(t, err, &fault)
			require.Equal(t, tt.kind, fault.Kind)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), secret)
			require.NotContains(t, err.Error(), "4711")
			require.NotContains(t, err.Error(), "\n")
			require.True(t, store.Retryable(err))
		})
	}
}

func TestTheRealEngineRefusesAWrongPassword(t *testing.T) {
	t.Parallel()
	address := embeddedtest.Start(t, embeddedtest.Token("right"))
	_, err := store.Open(t.Context(), address, store.Options{Username: "default", Password: secret})
	var fault *store.Error
	require.ErrorAs(t, err, &fault)
	require.Equal(t, store.Authentication, fault.Kind)
	require.ErrorContains(t, err, `wrong user name or password for user "default"`)
	require.NotContains(t, err.Error(), secret)

	s, err := store.Open(t.Context(), address, store.Options{Username: "default", Password: "right"})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

func TestOnlyWhatIsHopelessIsPermanent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err       error
		retryable bool
	}{
		"type mismatch":              {exception(53), false},
		"cannot convert type":        {exception(70), false},
		"incorrect data":             {exception(117), false},
		"violated constraint":        {exception(469), false},
		"null in ordinary column":    {exception(349), false},
		"too large string":           {exception(131), false},
		"unknown table":              {exception(60), true},
		"no such column":             {exception(16), true},
		"unknown database":           {exception(81), true},
		"wrong password":             {exception(516), true},
		"access denied":              {exception(497), true},
		"memory limit":               {exception(241), true},
		"too many parts":             {exception(252), true},
		"too many queries":           {exception(202), true},
		"not enough space":           {exception(243), true},
		"read-only table":            {exception(242), true},
		"timeout":                    {exception(159), true},
		"network error":              {exception(210), true},
		"request cut":                {exception(33), true},
		"shutting down":              {exception(236), true},
		"a code nobody knows":        {exception(12345), true},
		"full disk, whatever failed": {&clickhouse.Exception{Code: 117, Message: "No space left on device"}, true},
		"connection refused":         {&net.OpError{Op: "dial", Err: errors.New("refused")}, true},
		"end of file":                {io.ErrUnexpectedEOF, true},
		"deadline":                   {context.DeadlineExceeded, true},
		"canceled":                   {context.Canceled, true},
		"wrapped by HTTP":            {&clickhouse.HTTPError{StatusCode: 500, Err: exception(53)}, false},
		"anything else":              {errors.New("?"), true},
		"nothing":                    {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.retryable, store.Retryable(tt.err))
			if tt.err != nil {
				require.Equal(t, tt.retryable, store.Retryable(fmt.Errorf("around: %w", tt.err)))
			}
		})
	}
}

func exception(code int32) error { return &clickhouse.Exception{Code: code} }

func TestAFaultyDSNIsExplainedWithoutRepeatingIt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		dsn     string
		options store.Options
		want    string
	}{
		"empty":             {"", store.Options{}, "endpoint: write it like http://127.0.0.1:8123/sockeye"},
		"no host":           {"http:///x?password=" + secret, store.Options{}, "endpoint: write it like"},
		"another scheme":    {"mysql://ann:" + secret + "@h/x", store.Options{}, "endpoint: write it like"},
		"unparseable":       {"http://ann:" + secret + "@h:port/x", store.Options{}, "endpoint: write it like"},
		"bad parameter":     {"http://ann:" + secret + "@h/x?dial_timeout=soon", store.Options{}, "endpoint: a query parameter"},
		"bad database":      {"http://ann:" + secret + "@h/x%60y", store.Options{}, "database: use letters"},
		"unknown algorithm": {"http://h/x", store.Options{Compression: "rar"}, `compression: must be none, lz4 or zstd, got "rar"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := store.CheckDSN(tt.dsn, tt.options)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), secret)
		})
	}
	for _, dsn := range []string{
		"http://127.0.0.1:8123", "http://127.0.0.1:8123/sockeye", "https://h:8443/x", "https://h:8443/x?secure=true",
		"clickhouse://a,b:9000/x", "clickhouse://h:9440/x?secure=true&dial_timeout=3s",
	} {
		require.NoError(t, store.CheckDSN(dsn, store.Options{}), dsn)
	}
}
