package demo

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

func TestMain(m *testing.M) { os.Exit(embeddedtest.Main(m)) }

func TestTheHistoryLeavesEverySLOWithBudgetAndNothingFiring(t *testing.T) {
	db, err := store.Open(t.Context(), embeddedtest.Database(t), store.Options{})
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Migrate(t.Context())
	require.NoError(t, err)
	end := time.Now().Truncate(time.Minute)
	began := time.Now()
	require.NoError(t, writeHistory(t.Context(), db.Conn(), end, func(string) {}))
	t.Logf("written in %s", time.Since(began).Round(time.Millisecond))

	var attempts uint64
	require.NoError(t, db.Conn().QueryRow(t.Context(),
		"SELECT sum(count) FROM rollup_1m WHERE event IN ('websocket.open', 'websocket.handshake.rejected')").Scan(&attempts))
	require.InEpsilon(t, historyDays*24*3600/secondsPerAttempt, attempts, 0.01)
	var coarse uint64
	require.NoError(t, db.Conn().QueryRow(t.Context(),
		"SELECT sum(count) FROM rollup_15m WHERE event IN ('websocket.open', 'websocket.handshake.rejected')").Scan(&coarse))
	require.InEpsilon(t, attempts, coarse, 0.001, "the tiers tell the same")

	slos, err := slo.Defaults(slo.DefaultSettings{Services: []string{serviceName}, Vantage: "edge", AuthVantage: "app"})
	require.NoError(t, err)
	query := slo.Plan(slos, end, slo.Timing{Resolution: 10 * time.Second, Scale: 60})
	rows, err := db.Conn().Query(t.Context(), query.SQL)
	require.NoError(t, err)
	counts, err := query.Read(rows)
	require.NoError(t, err)
	statuses := make([]slo.Status, len(slos))
	for i := range slos {
		statuses[i] = slo.Evaluate(&slos[i], end, counts[i], true)
	}
	require.NoError(t, slo.WriteTable(os.Stderr, statuses))
	for _, s := range statuses {
		require.Equal(t, slo.StateOK, s.State, s.SLO)
	}
}
