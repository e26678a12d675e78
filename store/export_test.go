package store

import (
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Parse reads a DSN as Open does.
func Parse(dsn string, o Options) (*clickhouse.Options, error) { return parse(dsn, o) }

// WithConn returns a store that speaks through another connection.
func (s *Store) WithConn(conn driver.Conn) *Store {
	other := *s
	other.conn = conn
	return &other
}
