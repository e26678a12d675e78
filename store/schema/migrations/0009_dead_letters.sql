-- Records that could not be stored. Nothing of what a record said is here: a letter says where it stood and what was wrong.
CREATE TABLE IF NOT EXISTS dead_letters
(
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    source_type LowCardinality(String),
    chunk_id String CODEC(ZSTD(1)),
    -- Places in the chunk, from 0. A letter stands for so many records between the first and the last.
    first UInt32 CODEC(ZSTD(1)),
    last UInt32 CODEC(ZSTD(1)),
    records UInt32 CODEC(ZSTD(1)),
    reason LowCardinality(String),
    text LowCardinality(String)
)
-- Whatever comes again replaces itself, however long after.
ENGINE = ReplacingMergeTree
ORDER BY (chunk_id, first)
TTL toDateTime(time) + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 100000;
