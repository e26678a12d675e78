package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// StoredLongAgo reports whether the chunk of that token is stored and ClickHouse may have forgotten the token, so that
// another insert would count it twice. It is false for a chunk that is not stored, and for one whose token is surely
// remembered: inserting that again changes nothing but to complete what a crash left half done.
//
// Tokens are forgotten by number, and by age on a cluster only: each table remembers the last of them as its
// deduplication window says, and an INSERT leaves one in every partition that it touches. Half the window is kept as a
// margin for what chunks does not count: inserts under way, and those of `store check --repair`.
func (s *Store) StoredLongAgo(ctx context.Context, token string) (bool, error) {
	chunks := s.cluster.Stored(schema.Chunks)
	var inserted int64
	err := s.conn.QueryRow(ctx, `SELECT toUnixTimestamp64Milli(`+schema.ChunkInsertedAt+`) FROM `+chunks+
		` WHERE `+schema.ChunkID+` = ? LIMIT 1 SETTINGS max_threads = 1`, token).Scan(&inserted)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, s.explain("look up chunk", err)
	}
	if s.cluster.Enabled() && time.Since(time.UnixMilli(inserted)) >= schema.TokensKept/2 {
		return true, nil
	}
	window, err := s.deduplicationWindow(ctx)
	if err != nil {
		return false, err
	}
	// Every row stands for at least one token, so as many rows as the window are enough to know.
	var since uint64
	err = s.conn.QueryRow(ctx, `SELECT sum(tokens) FROM (
		SELECT toUInt64(dateDiff('day', `+schema.ChunkFirst+`, `+schema.ChunkLast+`) + 1) AS tokens FROM `+chunks+`
		WHERE `+schema.ChunkInsertedAt+` >= fromUnixTimestamp64Milli(?, 'UTC') LIMIT ?)`, inserted, window).Scan(&since)
	if err != nil {
		return false, s.explain("count inserts since a chunk", err)
	}
	return since >= window/2, nil
}

// deduplicationWindow is the least number of tokens that a table of ours remembers. It is asked for anew: an administrator
// may change it, and few chunks need it.
func (s *Store) deduplicationWindow(ctx context.Context) (uint64, error) {
	setting := "non_replicated_deduplication_window"
	if s.cluster.Enabled() {
		setting = `\breplicated_deduplication_window`
	}
	var window uint64
	err := s.conn.QueryRow(ctx, `SELECT min(toUInt64(window)) FROM (
		SELECT extract(engine_full, ?) AS window
		FROM system.tables WHERE database = currentDatabase()) WHERE window != ''`, setting+` = (\d+)`).Scan(&window)
	return window, s.explain("read the deduplication window", err)
}
