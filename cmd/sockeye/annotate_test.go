package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pushed is what a receiver got: bodies and keys.
type pushed struct {
	sync.Mutex
	bodies, keys []string
}

// pushTarget answers with each status in turn, and with the last from then on.
func pushTarget(t *testing.T, statuses ...int) (*pushed, string) {
	t.Helper()
	got := &pushed{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got.Lock()
		defer got.Unlock()
		status := statuses[min(len(got.bodies), len(statuses)-1)]
		got.bodies, got.keys = append(got.bodies, string(body)), append(got.keys, r.Header.Get("Idempotency-Key"))
		w.WriteHeader(status)
		if status == http.StatusOK {
			_, _ = io.WriteString(w, `{"lines":1,"events":1,"chunks":1}`)
		}
	}))
	t.Cleanup(server.Close)
	return got, server.URL
}

func TestAnnotateDeploy(t *testing.T) {
	const at = "2026-11-20T12:00:00Z"
	t.Run("one event, with everything that a reader needs", func(t *testing.T) {
		got, url := pushTarget(t, 200)
		out, errs, status := sockeye(t, "annotate", "deploy", "--service", "chat", "--version", "1.14.2", "--environment", "production",
			"--region", "eu-west-1", "--time", at, "--endpoint", url)
		require.Zero(t, status, errs)
		require.Equal(t, "marked: deploy of chat 1.14.2 at 2026-11-20T12:00:00Z\n", out)
		require.Len(t, got.bodies, 1)
		require.JSONEq(t, `{"time":"2026-11-20T12:00:00Z","event":"websocket.deploy","websocket.vantage":"app","websocket.source.visibility":"at_open",
			"websocket.source.type":"annotate","websocket.source.evidence":"observed","network.protocol.name":"websocket",
			"websocket.deploy.version":"1.14.2","resource":{"service.name":"chat","deployment.environment.name":"production","cloud.region":"eu-west-1"}}`,
			got.bodies[0])
	})
	t.Run("again under the same key until it is acknowledged", func(t *testing.T) {
		got, url := pushTarget(t, 503, 429, 200)
		_, errs, status := sockeye(t, "annotate", "deploy", "--service", "chat", "--version", "1", "--time", at, "--endpoint", url)
		require.Zero(t, status, errs)
		require.Len(t, got.bodies, 3)
		require.NotEmpty(t, got.keys[0])
		require.Equal(t, []string{got.keys[0], got.keys[0], got.keys[0]}, got.keys)
		require.Equal(t, got.bodies[0], got.bodies[2])
	})
	t.Run("two versions have two keys", func(t *testing.T) {
		got, url := pushTarget(t, 200)
		for _, version := range []string{"1", "2"} {
			_, errs, status := sockeye(t, "annotate", "deploy", "--service", "chat", "--version", version, "--time", at, "--endpoint", url)
			require.Zero(t, status, errs)
		}
		require.NotEqual(t, got.keys[0], got.keys[1])
	})
	t.Run("not again where that does not help", func(t *testing.T) {
		got, url := pushTarget(t, 404)
		_, errs, status := sockeye(t, "annotate", "deploy", "--service", "chat", "--version", "1", "--endpoint", url)
		require.Equal(t, 1, status)
		require.Contains(t, errs, "404 Not Found: is --endpoint the HTTP push")
		require.Len(t, got.bodies, 1)
	})
	t.Run("it ends, and says how to go on", func(t *testing.T) {
		_, url := pushTarget(t, 503)
		_, errs, status := sockeye(t, "annotate", "deploy", "--service", "chat", "--version", "1", "--time", at, "--endpoint", url, "--timeout", "20ms")
		require.Equal(t, 1, status)
		require.Contains(t, errs, "safe to run this again with --time 2026-11-20T12:00:00Z")
	})
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"all faults at once":             {nil, "--service: name the service\n--version: name the version"},
		"a time that is none":            {[]string{"--service", "s", "--version", "1", "--time", "noon"}, `--time: must be like 2026-11-20T12:00:00Z, got "noon"`},
		"a time in the future":           {[]string{"--service", "s", "--version", "1", "--time", time.Now().Add(time.Hour).Format(time.RFC3339)}, "--time: is in the future"},
		"a version that is a novel":      {[]string{"--service", "s", "--version", strings.Repeat("v", 600)}, "websocket.deploy.version"},
		"a token file that is not there": {[]string{"--service", "s", "--version", "1", "--token-file", "no.token"}, "--token-file: open no.token"},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs, status := sockeye(t, append([]string{"annotate", "deploy"}, c.args...)...)
			require.Equal(t, 1, status)
			require.Contains(t, errs, c.want)
		})
	}
}
