package store_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv(migrateEnv); dsn != "" {
		os.Exit(migrateAlone(dsn))
	}
	// The engine that the tests share lives in a child process; two goroutines of embeddedtest wait for it.
	goleak.VerifyTestMain(embeddedtest.Shared(m))
}

// open returns a store of the test's own with its schema.
func open(t testing.TB) *store.Store {
	t.Helper()
	s := openEmpty(t)
	_, err := s.Migrate(t.Context())
	require.NoError(t, err)
	return s
}

func openEmpty(t testing.TB) *store.Store { return openWith(t, store.Options{}) }

func openWith(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), embeddedtest.Database(t), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// number returns the one number that a query selects.
func number(t testing.TB, s *store.Store, query string, args ...any) uint64 {
	t.Helper()
	var n uint64
	require.NoError(t, s.Conn().QueryRow(t.Context(), "SELECT toUInt64(("+query+"))", args...).Scan(&n))
	return n
}
