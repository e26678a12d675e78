-- Spans, one a row. An event leads to its trace by trace_id, a span to the events of its connection by connection_id.
CREATE TABLE IF NOT EXISTS traces
(
    start DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    -- Seconds.
    duration Float64 CODEC(ZSTD(1)),
    -- Lower-case hexadecimal; parent_id is empty for the first span of a trace.
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    parent_id String CODEC(ZSTD(1)),
    trace_state String CODEC(ZSTD(1)),
    name LowCardinality(String),
    -- unspecified, internal, server, client, producer or consumer; unset, ok or error.
    kind LowCardinality(String),
    status LowCardinality(String),
    status_message String CODEC(ZSTD(1)),
    error_type LowCardinality(String),
    connection_id String CODEC(ZSTD(1)),
    -- Who made the span: the name of its instrumentation.
    scope LowCardinality(String),
    service LowCardinality(String),
    namespace LowCardinality(String),
    instance LowCardinality(String),
    environment LowCardinality(String),
    region LowCardinality(String),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    events Array(Tuple(time DateTime64(9, 'UTC'), name LowCardinality(String), attributes Map(LowCardinality(String), String))) CODEC(ZSTD(1)),
    links Array(Tuple(trace_id String, span_id String, attributes Map(LowCardinality(String), String))) CODEC(ZSTD(1)),
    -- The INSERT that brought the row.
    chunk_id LowCardinality(String),
    INDEX trace_id_index trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX connection_id_index connection_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toDate(start)
ORDER BY (service, name, start)
TTL toDateTime(start) + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000;
