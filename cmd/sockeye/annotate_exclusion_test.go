package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

func TestAnnotateExclusion(t *testing.T) {
	dsn := embeddedtest.Database(t)
	t.Cleanup(embeddedtest.StopShared)
	s, err := store.Open(t.Context(), dsn, store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	from := time.Now().UTC().Add(-3 * time.Hour).Truncate(time.Minute)
	exclude := func(args ...string) (stdout, stderr string, status int) {
		args = append([]string{"annotate", "exclusion", "--endpoint", dsn, "--from", from.Format(time.RFC3339), "--to", "90m"}, args...)
		return sockeye(t, args...)
	}

	_, errs, status := exclude("--service", "chat", "--reason", "load test")
	require.Equal(t, 1, status)
	require.Contains(t, errs, "no engine has judged an SLO in this store")
	embeddedtest.Exec(t, dsn, `INSERT INTO slo_status (asof, service, slo) VALUES (now(), 'chat', 'login'), (now(), 'chat', 'login{tenant="acme"}'), (now(), 'feed', 'read')`)
	_, errs, status = exclude("--service", "chat", "--slo", "logout", "--reason", "load test")
	require.Equal(t, 1, status)
	require.Contains(t, errs, `--slo: chat has no SLO "logout"; it has login`+"\n")
	_, errs, _ = exclude("--service", "chats", "--reason", "load test")
	require.Contains(t, errs, `--service: no SLO of "chats" is judged; services are chat, feed`)

	out, errs, status := exclude("--service", "chat", "--slo", "login", "--reason", "load test")
	require.Zero(t, status, errs)
	require.Regexp(t, `^excluded: login of chat from `+from.Format(time.RFC3339)+` to .*Z \(1h3\dm0s\), id [0-9a-f]{8}, version 1\n$`, out)
	id := strings.Fields(out[strings.Index(out, "id ")+3:])[0]
	id = strings.TrimSuffix(id, ",")

	again := []string{"--service", "chat", "--slo", "login", "--to", from.Add(95 * time.Minute).Format(time.RFC3339)}
	out, errs, status = exclude(append(again, "--reason", "x")...)
	require.Zero(t, status, errs)
	require.Contains(t, out, "version 1")
	out, _, _ = exclude(append(again, "--reason", "x")...)
	require.Contains(t, out, "already in force: login of chat")
	out, _, _ = exclude(append(again, "--reason", "it's a \\ better reason")...)
	require.Contains(t, out, "version 2")

	out, _, status = sockeye(t, "annotate", "exclusion", "list", "--endpoint", dsn)
	require.Zero(t, status)
	require.Equal(t, 3, strings.Count(out, "\n"), out)
	require.Contains(t, out, "it's a \\ better reason")
	out, errs, status = sockeye(t, "annotate", "exclusion", "withdraw", id, "--endpoint", dsn, "--reason", "cancelled")
	require.Zero(t, status, errs)
	require.Contains(t, out, "withdrawn: login of chat")
	_, errs, status = sockeye(t, "annotate", "exclusion", "withdraw", id, "--endpoint", dsn, "--reason", "cancelled")
	require.Equal(t, 1, status)
	require.Contains(t, errs, "is withdrawn already")
	_, errs, _ = sockeye(t, "annotate", "exclusion", "withdraw", "nothing", "--endpoint", dsn, "--reason", "cancelled")
	require.Contains(t, errs, `no exclusion has the id "nothing"`)
	out, _, _ = sockeye(t, "annotate", "exclusion", "list", "--endpoint", dsn)
	require.NotContains(t, out, id)
	out, _, _ = sockeye(t, "annotate", "exclusion", "list", "--all", "--service", "chat", "--endpoint", dsn)
	require.Regexp(t, id+` +1 +replaced`, out)
	require.Regexp(t, id+` +2 +withdrawn .* cancelled`, out)
	out, _, _ = sockeye(t, "annotate", "exclusion", "list", "--all", "--service", "feed", "--endpoint", dsn, "--output", "json")
	require.Equal(t, "[]\n", out)
}

func TestAnnotateExclusionRefuses(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 30, 0, time.UTC)
	good := exclusionOptions{service: "chat", from: "2h", to: "1h", reason: "load test"}
	for what, tc := range map[string]struct {
		change func(*exclusionOptions)
		want   string
	}{
		"nothing":              {func(o *exclusionOptions) { *o = exclusionOptions{} }, "--service: name the service\n--from: say when"},
		"no reason":            {func(o *exclusionOptions) { o.reason = " " }, "--reason: say why"},
		"a long reason":        {func(o *exclusionOptions) { o.reason = strings.Repeat("x", 501) }, "--reason: must be at most 500 bytes, got 501"},
		"lines":                {func(o *exclusionOptions) { o.reason = "a\nb" }, "--reason: must be one line of text"},
		"no time":              {func(o *exclusionOptions) { o.from = "noon" }, `--from: "noon" is neither a time`},
		"an end before":        {func(o *exclusionOptions) { o.to = "3h" }, "--to: must be after --from"},
		"too long":             {func(o *exclusionOptions) { o.from = "40d" }, "--to: an exclusion may last at most 31 days"},
		"long ago":             {func(o *exclusionOptions) { o.from, o.to = "401d", "400d" }, "--to: was more than 396 days ago"},
		"far ahead":            {func(o *exclusionOptions) { o.from, o.to = "2028-01-01T00:00:00Z", "2028-01-02T00:00:00Z" }, "--from: is more than 366 days ahead"},
		"a group":              {func(o *exclusionOptions) { o.name = `login{tenant="acme"}` }, "--slo: name the whole SLO"},
		"several, all at once": {func(o *exclusionOptions) { o.service, o.reason = "", "" }, "--service: name the service\n--reason: say why"},
	} {
		o := good
		tc.change(&o)
		_, err := o.exclusion(now)
		require.ErrorContains(t, err, tc.want, what)
	}
	e, err := good.exclusion(now)
	require.NoError(t, err)
	require.Equal(t, time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC), e.From, "whole minutes, outwards")
	require.Equal(t, time.Date(2026, 3, 1, 11, 1, 0, 0, time.UTC), e.To)
	again, err := good.exclusion(now.Add(20 * time.Second))
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(e.ID), again.ID)
}
