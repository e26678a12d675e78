package sloextension

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
)

// An engine whose clock is set back an hour goes on judging and paging at once, and tells Alertmanager nothing that begins
// in the future: it would refuse it.
func TestAClockThatIsSetBackBlindsNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{total: 1000, bad: 20})
	r.live()
	r.step(t.Context())
	require.Len(t, r.find(alertBurn), 2)
	queries := r.store.queries

	back := epoch.Add(-time.Hour)
	r.clock = back
	r.live()
	r.step(t.Context())
	require.Equal(t, queries+1, r.store.queries)
	require.Equal(t, back, r.current().SLOs[0].AsOf)
	for _, a := range r.current().Alerts {
		require.False(t, a.StartsAt.After(r.clock), "%v", a.Labels)
		require.True(t, a.EndsAt.IsZero(), "%v", a.Labels)
	}
	r.step(t.Context())
	require.Equal(t, queries+1, r.store.queries, "nothing new")

	r.store.bad = 0
	r.advance(time.Minute)
	r.live()
	r.step(t.Context())
	require.Equal(t, slo.StateOK, r.current().SLOs[0].State)
	for _, a := range r.find(alertBurn) {
		require.Equal(t, back.Add(time.Minute), a.EndsAt)
	}

	// Forward again: the sources need one report until they are heard of.
	r.clock = epoch.Add(2 * time.Minute)
	r.step(t.Context())
	require.Equal(t, slo.StateNoData, r.current().SLOs[0].State)
	r.live()
	r.step(t.Context())
	require.Equal(t, slo.StateOK, r.current().SLOs[0].State)
	require.Equal(t, epoch.Add(2*time.Minute), r.current().SLOs[0].AsOf)
}

// What ended before it began, by a clock that was set back meanwhile, ends now and not in the future.
func TestAnAlertOfTheFutureEndsNow(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{total: 1000, bad: 20})
	r.live()
	r.step(t.Context())
	r.clock, r.store.bad = epoch.Add(-time.Hour), 0
	r.live()
	r.step(t.Context())
	alerts := r.find(alertBurn)
	require.Len(t, alerts, 2)
	for _, a := range alerts {
		require.Equal(t, r.clock, a.EndsAt)
		require.False(t, a.StartsAt.After(a.EndsAt))
	}
}
