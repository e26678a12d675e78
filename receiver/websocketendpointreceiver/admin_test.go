package websocketendpointreceiver

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/event"
)

// ask asks the operators' side of r, and returns the status.
func (r *endpointReceiver) ask(t *testing.T, path string, body, answer any) int {
	t.Helper()
	method, text := http.MethodGet, []byte(nil)
	if body != nil {
		method = http.MethodPost
		var err error
		text, err = json.Marshal(body)
		require.NoError(t, err)
	}
	request, err := http.NewRequest(method, "http://"+r.serving.adminAddr.String()+path, bytes.NewReader(text))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}).Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.NoError(t, json.NewDecoder(response.Body).Decode(answer))
	return response.StatusCode
}

// What operators did outlives a reload; so does where they ask, while the section stays as it is.
func TestOperatorsOutliveAReload(t *testing.T) {
	t.Parallel()
	issuer, next := newIssuer(t), &sink{}
	id := idOf(t)
	config := func() *Config {
		c := issuer.config()
		c.KeyFile = filepath.Join(filepath.Dir(issuer.file), "installation.key")
		c.Admin.Endpoint = "localhost:0"
		return c
	}
	require.NoError(t, config().Validate())
	before := start(t, id, config(), next, true)
	c, _, err := dial(t, before.url(), issuer.token("ann"))
	require.NoError(t, err)
	victim, _, err := dial(t, before.url(), issuer.token("bob"))
	require.NoError(t, err)
	say(t, c, "before")
	say(t, victim, "before")
	type body = map[string]any
	var closed struct{ Closed int }
	require.Equal(t, 200, before.ask(t, "/v1/block", body{"subject": "bob", "reason": "abuse"}, &closed))
	require.Equal(t, 1, closed.Closed)
	require.Equal(t, websocket.StatusPolicyViolation, closeOf(t, victim))
	require.Equal(t, 200, before.ask(t, "/v1/revoke", body{"subject": "eve"}, &closed))
	require.Equal(t, "user_block", next.first(t, event.PolicyChanged).String(event.PolicyKind))
	require.NoError(t, before.Shutdown(context.Background()))

	same := start(t, id, config(), next, true)
	var page endpoint.ConnectionPage
	require.Equal(t, 200, same.ask(t, "/v1/connections", nil, &page))
	require.Len(t, page.Connections, 1)
	say(t, c, "after")
	refused := func(r *endpointReceiver) {
		for subject, want := range map[string]int{"bob": http.StatusForbidden, "eve": http.StatusUnauthorized} {
			_, resp, err := dial(t, r.url(), issuer.token(subject))
			require.Error(t, err)
			require.Equal(t, want, resp.StatusCode, subject)
		}
	}
	refused(same)
	require.NoError(t, same.Shutdown(context.Background()))

	changed := config()
	changed.Limits.MaxMessageBytes = 10
	other := start(t, id, changed, next, false)
	require.Equal(t, websocket.StatusServiceRestart, closeOf(t, c))
	refused(other)
	var blocks endpoint.BlockPage
	require.Equal(t, 200, other.ask(t, "/v1/blocks", nil, &blocks))
	require.Len(t, blocks.Blocks, 1)
	require.WithinDuration(t, time.Now().Add(time.Hour), blocks.Blocks[0].Until, time.Minute)
	d, _, err := dial(t, other.url(), issuer.token("ann"))
	require.NoError(t, err)
	say(t, d, "hello")
	go closeOf(t, d)
}

// An address for operators that is taken ends the start, with its key, and leaves nothing behind.
func TestAnAddressForOperatorsThatIsTaken(t *testing.T) {
	t.Parallel()
	taken := start(t, idOf(t), testConfig(), &sink{}, false)
	cfg := testConfig()
	cfg.KeyFile = filepath.Join(t.TempDir(), "key")
	cfg.Admin.Endpoint = taken.serving.addr.String()
	_, err := open(cfg, newRecorder(1000), taken.logger, nil)
	require.ErrorContains(t, err, "admin.endpoint: listen tcp")
	require.ErrorContains(t, err, "choose a free address")
}
