package store

import "github.com/ClickHouse/clickhouse-go/v2/lib/driver"

// WithConn returns a store that speaks through another connection.
func (s *Store) WithConn(conn driver.Conn) *Store {
	other := *s
	other.conn = conn
	return &other
}
