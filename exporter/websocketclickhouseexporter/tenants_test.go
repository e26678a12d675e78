package websocketclickhouseexporter

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/store"
)

// tenantEvent is an event of a client that claims to belong to a tenant.
func tenantEvent(name event.Name, tenant string, change ...func(*event.Event)) event.Event {
	e := event.Event{
		Name: name, Time: now.Add(-time.Minute),
		Resource: event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("chat")}),
	}
	e.SetString(event.TenantID, tenant)
	for _, c := range change {
		c(&e)
	}
	return e
}

func authResult(result string) func(*event.Event) {
	return func(e *event.Event) { e.SetString(event.AuthResult, result) }
}

func errorType(value string) func(*event.Event) {
	return func(e *event.Event) { e.SetString(event.ErrorType, value) }
}

func named(id string, events ...event.Event) plog.Logs {
	return eventlog.Encode(events, eventlog.Chunk{ID: id})
}

// opensOf is an open event for each of the tenants from first on.
func opensOf(first, n int) []event.Event {
	list := make([]event.Event, n)
	for i := range list {
		list[i] = tenantEvent(event.Open, fmt.Sprintf("t%05d", first+i))
	}
	return list
}

// requireTenants checks how many tenants count by name, and how many events count as other, in events and every tier.
func requireTenants(t *testing.T, s *store.Store, byName, other int) {
	t.Helper()
	for _, table := range []string{"events", "rollup_10s", "rollup_1m", "rollup_15m"} {
		require.Equal(t, byName, number(t, s, "SELECT uniqExactIf(tenant, tenant NOT IN ('', 'other', 'unverified')) FROM "+table), table)
		require.Equal(t, other, number(t, s, "SELECT sumIf(count, tenant = 'other') FROM "+table), table)
	}
}

// content is everything that depends on how tenants were decided.
func content(t *testing.T, s *store.Store) (text string) {
	t.Helper()
	require.NoError(t, s.Conn().QueryRow(t.Context(), `SELECT toString((SELECT groupArray((tenant, attributes, n)) FROM (
		SELECT tenant, attributes, count() AS n FROM events GROUP BY ALL ORDER BY ALL))) || toString((
		SELECT groupArray((tenant, n)) FROM (
		SELECT tenant, sum(count) AS n FROM rollup_1m GROUP BY ALL ORDER BY ALL)))`).Scan(&text))
	return text
}

func testServicesThatHaveTenantsAreBounded(t *testing.T) {
	const limit, more = 1000, 5
	dsn := database(t)
	e, s := start(t, dsn), open(t, dsn)
	events := opensOf(0, limit+more)
	for i := range events {
		events[i].Resource = event.NewResource(event.Named{Name: event.ServiceName, Value: event.String(fmt.Sprint("s", i))})
	}
	require.NoError(t, e.ConsumeLogs(t.Context(), named("all", events...)))
	requireTenants(t, s, limit, more)
	require.Equal(t, limit, number(t, s, "SELECT count() FROM tenants"))
}

func testTenantsAreBoundedForGood(t *testing.T) {
	dsn := database(t)
	s := open(t, dsn)
	// Half of the last chunk's tenants are beyond the limit of 10,000.
	first, last := named("first", opensOf(0, 9_950)...), named("last", opensOf(9_950, 100)...)
	t.Run("the first run", func(t *testing.T) {
		e := start(t, dsn)
		require.NoError(t, e.ConsumeLogs(t.Context(), first))
		require.NoError(t, e.ConsumeLogs(t.Context(), last))
		requireTenants(t, s, 10_000, 50)
	})
	before := content(t, s)
	require.Equal(t, 50, number(t, s, `SELECT count() FROM events WHERE tenant = 'other' AND attributes['websocket.tenant.id'] != ''`))
	require.Equal(t, 0, number(t, s, `SELECT count() FROM events WHERE tenant != 'other' AND mapContains(attributes, 'websocket.tenant.id')`))

	// After a restart, and in another collector, the same tenants count by name; a chunk sent again changes nothing.
	again, second := start(t, dsn), start(t, dsn)
	for _, e := range []*rig{again, second} {
		require.NoError(t, e.ConsumeLogs(t.Context(), last))
		require.NoError(t, e.ConsumeLogs(t.Context(), first))
		require.Equal(t, before, content(t, s))
	}
	// The decision itself is the same, not only the token: under another name the chunk gives the same rows once more.
	require.NoError(t, second.ConsumeLogs(t.Context(), named("last, as new", opensOf(9_950, 100)...)))
	requireTenants(t, s, 10_000, 100)
	// Each service has its own limit.
	other := opensOf(20_000, 3)
	for i := range other {
		other[i].Resource = event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("feed")})
	}
	require.NoError(t, again.ConsumeLogs(t.Context(), named("feed", other...)))
	requireTenants(t, s, 10_003, 100)
	require.Equal(t, 10_003, number(t, s, "SELECT uniqExact(service, tenant) FROM tenants"))
}

func testTwoCollectorsShareTheLimit(t *testing.T) {
	dsn := database(t)
	limit := func(c *Config) { c.MaxTenantsPerService = 10 }
	a, b, s := start(t, dsn, limit), start(t, dsn, limit), open(t, dsn)
	require.NoError(t, a.ConsumeLogs(t.Context(), named("a", opensOf(0, 6)...)))
	require.NoError(t, b.ConsumeLogs(t.Context(), named("b", opensOf(100, 6)...))) // knows nothing of a's yet
	requireTenants(t, s, 10, 2)
	require.NoError(t, a.ConsumeLogs(t.Context(), named("c", opensOf(100, 6)...)))
	requireTenants(t, s, 10, 4)
}

func testWhoWasTurnedAwayAdmitsNoTenant(t *testing.T) {
	dsn := database(t)
	e, s := start(t, dsn), open(t, dsn)
	flood := []event.Event{tenantEvent(event.Auth, "acme", authResult(event.AuthFailure))}
	for i := range 20_000 {
		name := fmt.Sprintf("x%d", i)
		flood = append(flood,
			tenantEvent(event.HandshakeRejected, name, errorType(event.Unauthenticated)),
			tenantEvent(event.Auth, name, authResult(event.AuthFailure)))
	}
	require.NoError(t, e.ConsumeLogs(t.Context(), named("flood", flood...)))
	require.Equal(t, 0, number(t, s, "SELECT count() FROM tenants"))
	require.Equal(t, len(flood), number(t, s, "SELECT sum(count) FROM rollup_1m WHERE tenant = 'unverified'"))
	requireTenants(t, s, 0, 0)

	// In one chunk the order does not matter: what is decided is the same when the chunk comes again.
	mixed := named("mixed", tenantEvent(event.Auth, "acme", authResult(event.AuthFailure), errorType(event.TokenInvalid)),
		tenantEvent(event.Auth, "acme", authResult(event.AuthSuccess)))
	require.NoError(t, e.ConsumeLogs(t.Context(), mixed))
	require.Equal(t, 2, number(t, s, "SELECT sum(count) FROM rollup_1m WHERE tenant = 'acme'"))
	// A failure of a tenant that counts by name is its failure: auth success by tenant needs it.
	require.NoError(t, e.ConsumeLogs(t.Context(), named("failure", tenantEvent(event.Auth, "acme", authResult(event.AuthFailure)))))
	require.Equal(t, 2, number(t, s, "SELECT sum(count) FROM rollup_1m WHERE tenant = 'acme' AND outcome = 'failure'"))
	require.Equal(t, 1, number(t, s, "SELECT count() FROM tenants"))
}

// A chunk without a name is known by its content, whoever is admitted when it comes again.
func testAdmissionDoesNotChangeWhatContentIsCalled(t *testing.T) {
	dsn := database(t)
	e, s := start(t, dsn), open(t, dsn)
	failure := named("", tenantEvent(event.Auth, "acme", authResult(event.AuthFailure)))
	require.NoError(t, e.ConsumeLogs(t.Context(), failure))
	require.NoError(t, e.ConsumeLogs(t.Context(), named("", tenantEvent(event.Open, "acme"))))
	require.NoError(t, e.ConsumeLogs(t.Context(), failure))
	requireStored(t, s, 2)
	require.Equal(t, 1, number(t, s, "SELECT count() FROM events WHERE tenant = 'unverified' AND attributes['websocket.tenant.id'] = 'acme'"))
	require.Equal(t, 1, number(t, s, "SELECT count() FROM events WHERE tenant = 'acme'"))
}
