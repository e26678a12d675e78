-- Beginnings of messages that could not be parsed, redacted. They are here and nowhere else, so that few may read them, and
-- go by the hour: an expired part is dropped within minutes.
CREATE TABLE IF NOT EXISTS payload_samples
(
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    tenant LowCardinality(String),
    connection_id String CODEC(ZSTD(1)),
    error_type LowCardinality(String),
    message_type LowCardinality(String),
    -- Of the whole message.
    size UInt64 CODEC(T64, ZSTD(1)),
    schema LowCardinality(String),
    sample String CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toStartOfHour(time)
ORDER BY (service, time)
TTL toDateTime(time) + INTERVAL 1 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1, merge_with_ttl_timeout = 600;
