-- What each chunk held when it was inserted: one row per INSERT, exact for the same reason as the rollup tiers. A chunk
-- whose rows in events are fewer or more by now was damaged since.
CREATE TABLE IF NOT EXISTS chunks
(
    chunk_id String CODEC(ZSTD(1)),
    records UInt64 CODEC(T64, ZSTD(1)),
    -- The first and the last counted_at of its events.
    first DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    last DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    inserted_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    INDEX inserted_at_index inserted_at TYPE minmax
)
ENGINE = MergeTree
-- By day for ranges of time, by id within it for whoever asks whether a chunk is stored; granules of 1,024 rows make
-- that lookup read an eighth.
PARTITION BY toDate(last)
ORDER BY chunk_id
TTL toDateTime(last) + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1, index_granularity = 1024,
    min_rows_for_wide_part = 100000;

CREATE MATERIALIZED VIEW IF NOT EXISTS chunks_view TO chunks AS
SELECT
    e.chunk_id AS chunk_id,
    count() AS records,
    min(e.counted_at) AS first,
    max(e.counted_at) AS last,
    now64(3, 'UTC') AS inserted_at
FROM events AS e
GROUP BY chunk_id;
