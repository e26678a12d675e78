package sloextension

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// TestAnExclusionGivesTheBudgetBack: what happened in an excluded time stops counting at the next evaluation, the page says
// so, both numbers can be read, and a withdrawal undoes it.
func TestAnExclusionGivesTheBudgetBack(t *testing.T) {
	t.Parallel()
	dsn := newStore(t)
	clock := time.Now().UTC().Truncate(time.Minute)
	r := newRealRig(t, dsn, clock)
	storeEvents(t, dsn, clock.Add(-50*time.Hour), "acme", 1_000_000, 10)
	storeEvents(t, dsn, clock.Add(-20*time.Minute), "acme", 1000, 5000) // the load test
	storeEvents(t, dsn, clock.Add(-70*time.Minute), "acme", 100_000, 7)
	tick := func() slo.Status {
		r.clock = r.clock.Add(time.Minute)
		r.live(t)
		r.step(t.Context())
		require.Empty(t, r.trouble)
		return r.current().SLOs[0]
	}
	bad := func(w slo.WindowStatus) uint64 { return w.Judged - w.Good }
	before := tick()
	require.Equal(t, slo.StateExhausted, before.State)
	require.Equal(t, slo.SeverityPage, before.Severity)
	require.EqualValues(t, 5017, bad(before.Window))
	reported := r.clock

	write := func(version int, withdrawn bool) {
		embeddedtest.Exec(t, dsn, fmt.Sprintf(`INSERT INTO slo_exclusions (id, version, service, slo, starts, ends, reason, withdrawn, written)
			VALUES ('0badcafe', %d, 'chat', 'connection-availability', %d, %d, 'load test', %t, now64(3)),
			('0ff1ce00', 1, 'feed', '', %[2]d, %[3]d, 'of another service', false, now64(3))`, version,
			clock.Add(-30*time.Minute).Unix(), clock.Add(-15*time.Minute).Unix(), withdrawn))
	}
	write(1, false)
	after := tick()
	require.Equal(t, slo.StateNoTraffic, after.State, "nothing else happened in the last hour")
	require.Equal(t, slo.SeverityNone, after.Severity)
	require.EqualValues(t, 17, bad(after.Window))
	require.EqualValues(t, 7, bad(after.Windows[3]), "over 2h")
	require.Zero(t, after.Windows[2].Total, "over 1h: all of it is excluded")
	require.EqualValues(t, 15*60, after.ExcludedSeconds)
	require.Empty(t, firing(r.current().Alerts))

	api := r.api()
	var e slo.Explanation
	require.NoError(t, json.Unmarshal(get(api, "/api/v1/explain?slo=connection-availability", "").Body.Bytes(), &e))
	require.EqualValues(t, 17, bad(e.Status.Window))
	require.NotNil(t, e.Without)
	require.EqualValues(t, 5017, bad(e.Without.Window))
	require.Equal(t, slo.StateExhausted, e.Without.State)
	require.Len(t, e.Exclusions, 1)
	require.EqualValues(t, 17, e.Burned[0].Bad, "and so does what burned the budget")
	var text strings.Builder
	require.NoError(t, slo.WriteExplanation(&text, e))
	require.Contains(t, text.String(), "15m of 30d do not count\n")
	require.Contains(t, text.String(), "connection-availability of chat: load test (0badcafe, written ")
	require.Regexp(t, `budget left 98\.\d+ %; with all time counted -\d+\.\d+ %, exhausted\n`, text.String())

	var past slo.Past
	at := reported.Format(time.RFC3339)
	require.NoError(t, json.Unmarshal(get(api, "/api/v1/history?slo=connection-availability&at="+at, "").Body.Bytes(), &past))
	require.EqualValues(t, 5017, bad(past.Reported.Window), "what was reported stays")
	require.EqualValues(t, 17, bad(past.Known.Window))
	text.Reset()
	require.NoError(t, slo.WritePast(&text, past))
	require.Contains(t, text.String(), "15m of 30d do not count\n")

	said := get(api, "/slo/chat/connection-availability", browserAccepts).Body.String()
	require.Contains(t, said, "15\u00a0min excluded")
	require.Contains(t, said, "does not count into budgets")

	write(2, true)
	require.EqualValues(t, 5017, bad(tick().Window))
	require.Contains(t, get(api, "/slo/chat/connection-availability", browserAccepts).Body.String(), "None: all time counts.")
}

// TestTooManyExclusionsAreNoData: to leave some out would change what counts without a word.
func TestTooManyExclusionsAreNoData(t *testing.T) {
	t.Parallel()
	dsn := newStore(t)
	r := newRealRig(t, dsn, time.Now().UTC().Truncate(time.Minute))
	embeddedtest.Exec(t, dsn, fmt.Sprintf(`INSERT INTO slo_exclusions (id, version, service, starts, ends, reason)
		SELECT toString(number), 1, 'chat', now(), now() + 60, 'x' FROM numbers(%d)`, slo.MostExclusions+1))
	r.live(t)
	r.step(t.Context())
	require.Contains(t, r.trouble, "more than 500 exclusions are in force")
	require.Equal(t, slo.StateNoData, r.current().SLOs[0].State)
}
