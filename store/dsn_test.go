package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/store"
)

func TestLimitsOfADSNHoldWhereOptionsNameNone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query   string
		options store.Options
		dial    time.Duration
		most    int
	}{
		"neither names one":         {"", store.Options{}, 5 * time.Second, 8},
		"the DSN names them":        {"?dial_timeout=30s&max_open_conns=3", store.Options{}, 30 * time.Second, 3},
		"options go before a DSN's": {"?dial_timeout=30s&max_open_conns=3", store.Options{DialTimeout: time.Second, MaxConnections: 2}, time.Second, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := store.Parse("clickhouse://127.0.0.1:9000/sockeye"+c.query, c.options)
			require.NoError(t, err)
			require.Equal(t, c.dial, parsed.DialTimeout)
			require.Equal(t, c.most, parsed.MaxOpenConns)
		})
	}
}
