package embedded_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(embeddedtest.Shared(m)) }

// open connects clickhouse-go to a database of the shared engine.
func open(t testing.TB, dsn string, method clickhouse.CompressionMethod) driver.Conn {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	conn, err := clickhouse.Open(&clickhouse.Options{
		Addr: []string{u.Host}, Protocol: clickhouse.HTTP,
		Auth:        clickhouse.Auth{Database: strings.Trim(u.Path, "/")},
		Compression: &clickhouse.Compression{Method: method},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestDriver(t *testing.T) {
	dsn := embeddedtest.Database(t)
	for name, method := range map[string]clickhouse.CompressionMethod{
		"plain": clickhouse.CompressionNone, "lz4": clickhouse.CompressionLZ4,
		"zstd": clickhouse.CompressionZSTD, "gzip": clickhouse.CompressionGZIP,
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			conn := open(t, dsn, method)
			require.NoError(t, conn.Ping(ctx))
			table := "driver_" + name
			require.NoError(t, conn.Exec(ctx, "CREATE TABLE "+table+` (
				id UInt64, at DateTime64(9, 'UTC'), low LowCardinality(String), maybe Nullable(Float64),
				extra Map(LowCardinality(String), String), flags Array(Tuple(name String, n UInt32))
			) ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100`))
			at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
			insert := func(token string, rows int) {
				ctx := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
					"insert_deduplication_token": token,
				}))
				batch, err := conn.PrepareBatch(ctx, "INSERT INTO "+table)
				require.NoError(t, err)
				for i := range rows {
					half := 0.5
					require.NoError(t, batch.Append(uint64(i), at, fmt.Sprint("k", i%3), &half,
						map[string]string{"a": fmt.Sprint(i)}, [][]any{{"x", uint32(i)}}))
				}
				require.NoError(t, batch.Send())
			}
			insert("one", 1000)
			insert("one", 1000)
			insert("two", 10)
			var n uint64
			require.NoError(t, conn.QueryRow(ctx, "SELECT count() FROM "+table).Scan(&n))
			require.EqualValues(t, 1010, n, "the retried insert counts once")

			var (
				got   time.Time
				low   string
				maybe *float64
				extra map[string]string
			)
			require.NoError(t, conn.QueryRow(ctx, "SELECT at, low, maybe, extra FROM "+table+
				" WHERE id = {id:UInt64} AND low = {low:String} LIMIT 1",
				clickhouse.Named("id", "7"), clickhouse.Named("low", "k1")).Scan(&got, &low, &maybe, &extra))
			require.True(t, at.Equal(got))
			require.Equal(t, "k1", low)
			require.InDelta(t, 0.5, *maybe, 0)
			require.Equal(t, map[string]string{"a": "7"}, extra)
		})
	}
}
