-- Events, their rollup tiers, connections and the progress of sources.
--
-- Exactly once: every table that takes inserts, and every table that a view fills, remembers the last 100,000 insert
-- tokens (non_replicated_deduplication_window; its default of 0 would double every tier on a retry). A view is never
-- dropped and created again: the tokens of its target are derived from the view's identity.

CREATE TABLE IF NOT EXISTS events
(
    time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    observed DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    -- The time by which the event is counted: observed for a source that logs at close, else time.
    counted_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    event LowCardinality(String),
    severity UInt8,
    service LowCardinality(String),
    namespace LowCardinality(String),
    instance LowCardinality(String),
    environment LowCardinality(String),
    region LowCardinality(String),
    vantage LowCardinality(String),
    visibility LowCardinality(String),
    tenant LowCardinality(String),
    outcome LowCardinality(String),
    fault LowCardinality(String),
    error_type LowCardinality(String),
    direction LowCardinality(String),
    policy LowCardinality(String),
    -- How many events this row stands for, their payload bytes, and how many of them could be judged.
    count UInt64 CODEC(T64, ZSTD(1)),
    bytes UInt64 CODEC(T64, ZSTD(1)),
    judged UInt64 CODEC(T64, ZSTD(1)),
    -- Seconds that the latency histogram of the event observes.
    duration Nullable(Float64) CODEC(ZSTD(1)),
    source_type LowCardinality(String),
    evidence LowCardinality(String),
    connection_id String CODEC(ZSTD(1)),
    -- Status of the handshake response; 0 where none was seen.
    status UInt16 CODEC(ZSTD(1)),
    server_address LowCardinality(String),
    url_path String CODEC(ZSTD(1)),
    url_template LowCardinality(String),
    subprotocol LowCardinality(String),
    client_address String CODEC(ZSTD(1)),
    client_hash String CODEC(ZSTD(1)),
    close_code Nullable(UInt16) CODEC(ZSTD(1)),
    close_initiator LowCardinality(String),
    close_clean Nullable(Bool) CODEC(ZSTD(1)),
    connection_duration Nullable(Float64) CODEC(ZSTD(1)),
    io_received Nullable(Int64) CODEC(ZSTD(1)),
    io_sent Nullable(Int64) CODEC(ZSTD(1)),
    -- Lower-case hexadecimal; empty without a trace.
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    -- All other attributes by their dotted names, and those of the resource.
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    -- The INSERT that brought the row.
    chunk_id LowCardinality(String),
    INDEX connection_id_index connection_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX trace_id_index trace_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toDate(counted_at)
PRIMARY KEY (service, event, counted_at)
ORDER BY (service, event, counted_at, connection_id)
TTL toDateTime(counted_at) + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1;

-- The rollup, independent of any SLO: sums by the dimensions, with a cumulative duration histogram. An insert may leave
-- several rows of one key until they are merged, so a reader always sums and groups.
CREATE TABLE IF NOT EXISTS rollup_10s
(
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    environment LowCardinality(String),
    region LowCardinality(String),
    vantage LowCardinality(String),
    visibility LowCardinality(String),
    tenant LowCardinality(String),
    event LowCardinality(String),
    direction LowCardinality(String),
    outcome LowCardinality(String),
    error_type LowCardinality(String),
    fault LowCardinality(String),
    policy LowCardinality(String),
    instance LowCardinality(String),
    count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    bytes SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    judged SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    duration_count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    duration_sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    le_5ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_10ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_25ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_50ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_100ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_150ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_200ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_250ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_300ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_500ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_750ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_1000ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_2500ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_5000ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_10000ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(bucket)
PRIMARY KEY (bucket, service)
ORDER BY (bucket, service, environment, region, vantage, visibility, tenant, event, direction,
    outcome, error_type, fault, policy, instance)
TTL bucket + INTERVAL 3 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS rollup_1m
(
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    environment LowCardinality(String),
    region LowCardinality(String),
    vantage LowCardinality(String),
    visibility LowCardinality(String),
    tenant LowCardinality(String),
    event LowCardinality(String),
    direction LowCardinality(String),
    outcome LowCardinality(String),
    error_type LowCardinality(String),
    fault LowCardinality(String),
    policy LowCardinality(String),
    count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    bytes SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    judged SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    duration_count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    duration_sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    le_5ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_10ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_25ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_50ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_100ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_150ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_200ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_250ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_300ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_500ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_750ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_1000ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_2500ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_5000ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_10000ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(bucket)
PRIMARY KEY (bucket, service)
ORDER BY (bucket, service, environment, region, vantage, visibility, tenant, event, direction,
    outcome, error_type, fault, policy)
TTL bucket + INTERVAL 35 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS rollup_15m
(
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    environment LowCardinality(String),
    region LowCardinality(String),
    vantage LowCardinality(String),
    visibility LowCardinality(String),
    tenant LowCardinality(String),
    event LowCardinality(String),
    direction LowCardinality(String),
    outcome LowCardinality(String),
    error_type LowCardinality(String),
    fault LowCardinality(String),
    policy LowCardinality(String),
    count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    bytes SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    judged SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    duration_count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    duration_sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    le_5ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_10ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_25ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_50ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_100ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_150ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_200ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_250ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_300ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_500ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_750ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_1000ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_2500ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_5000ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    le_10000ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(bucket)
PRIMARY KEY (bucket, service)
ORDER BY (bucket, service, environment, region, vantage, visibility, tenant, event, direction,
    outcome, error_type, fault, policy)
TTL bucket + INTERVAL 396 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1;

-- Each tier is filled from events, not from the next finer tier: it costs the same, one tier can be rebuilt without
-- touching another, and what is written into a tier directly stays there.
CREATE MATERIALIZED VIEW IF NOT EXISTS rollup_10s_view TO rollup_10s AS
SELECT
    toDateTime(toStartOfInterval(e.counted_at, INTERVAL 10 SECOND, 'UTC'), 'UTC') AS bucket,
    e.service AS service,
    e.environment AS environment,
    e.region AS region,
    e.vantage AS vantage,
    e.visibility AS visibility,
    e.tenant AS tenant,
    e.event AS event,
    e.direction AS direction,
    e.outcome AS outcome,
    e.error_type AS error_type,
    e.fault AS fault,
    e.policy AS policy,
    e.instance AS instance,
    sum(e.count) AS count,
    sum(e.bytes) AS bytes,
    sum(e.judged) AS judged,
    sumIf(e.count, e.duration IS NOT NULL) AS duration_count,
    sum(ifNull(e.duration, 0) * e.count) AS duration_sum,
    sumIf(e.count, e.duration <= 0.005) AS le_5ms,
    sumIf(e.count, e.duration <= 0.01) AS le_10ms,
    sumIf(e.count, e.duration <= 0.025) AS le_25ms,
    sumIf(e.count, e.duration <= 0.05) AS le_50ms,
    sumIf(e.count, e.duration <= 0.1) AS le_100ms,
    sumIf(e.count, e.duration <= 0.15) AS le_150ms,
    sumIf(e.count, e.duration <= 0.2) AS le_200ms,
    sumIf(e.count, e.duration <= 0.25) AS le_250ms,
    sumIf(e.count, e.duration <= 0.3) AS le_300ms,
    sumIf(e.count, e.duration <= 0.5) AS le_500ms,
    sumIf(e.count, e.duration <= 0.75) AS le_750ms,
    sumIf(e.count, e.duration <= 1.0) AS le_1000ms,
    sumIf(e.count, e.duration <= 2.5) AS le_2500ms,
    sumIf(e.count, e.duration <= 5.0) AS le_5000ms,
    sumIf(e.count, e.duration <= 10.0) AS le_10000ms
FROM events AS e
GROUP BY bucket, service, environment, region, vantage, visibility, tenant, event, direction,
    outcome, error_type, fault, policy, instance;

CREATE MATERIALIZED VIEW IF NOT EXISTS rollup_1m_view TO rollup_1m AS
SELECT
    toDateTime(toStartOfInterval(e.counted_at, INTERVAL 1 MINUTE, 'UTC'), 'UTC') AS bucket,
    e.service AS service,
    e.environment AS environment,
    e.region AS region,
    e.vantage AS vantage,
    e.visibility AS visibility,
    e.tenant AS tenant,
    e.event AS event,
    e.direction AS direction,
    e.outcome AS outcome,
    e.error_type AS error_type,
    e.fault AS fault,
    e.policy AS policy,
    sum(e.count) AS count,
    sum(e.bytes) AS bytes,
    sum(e.judged) AS judged,
    sumIf(e.count, e.duration IS NOT NULL) AS duration_count,
    sum(ifNull(e.duration, 0) * e.count) AS duration_sum,
    sumIf(e.count, e.duration <= 0.005) AS le_5ms,
    sumIf(e.count, e.duration <= 0.01) AS le_10ms,
    sumIf(e.count, e.duration <= 0.025) AS le_25ms,
    sumIf(e.count, e.duration <= 0.05) AS le_50ms,
    sumIf(e.count, e.duration <= 0.1) AS le_100ms,
    sumIf(e.count, e.duration <= 0.15) AS le_150ms,
    sumIf(e.count, e.duration <= 0.2) AS le_200ms,
    sumIf(e.count, e.duration <= 0.25) AS le_250ms,
    sumIf(e.count, e.duration <= 0.3) AS le_300ms,
    sumIf(e.count, e.duration <= 0.5) AS le_500ms,
    sumIf(e.count, e.duration <= 0.75) AS le_750ms,
    sumIf(e.count, e.duration <= 1.0) AS le_1000ms,
    sumIf(e.count, e.duration <= 2.5) AS le_2500ms,
    sumIf(e.count, e.duration <= 5.0) AS le_5000ms,
    sumIf(e.count, e.duration <= 10.0) AS le_10000ms
FROM events AS e
GROUP BY bucket, service, environment, region, vantage, visibility, tenant, event, direction,
    outcome, error_type, fault, policy;

CREATE MATERIALIZED VIEW IF NOT EXISTS rollup_15m_view TO rollup_15m AS
SELECT
    toDateTime(toStartOfInterval(e.counted_at, INTERVAL 15 MINUTE, 'UTC'), 'UTC') AS bucket,
    e.service AS service,
    e.environment AS environment,
    e.region AS region,
    e.vantage AS vantage,
    e.visibility AS visibility,
    e.tenant AS tenant,
    e.event AS event,
    e.direction AS direction,
    e.outcome AS outcome,
    e.error_type AS error_type,
    e.fault AS fault,
    e.policy AS policy,
    sum(e.count) AS count,
    sum(e.bytes) AS bytes,
    sum(e.judged) AS judged,
    sumIf(e.count, e.duration IS NOT NULL) AS duration_count,
    sum(ifNull(e.duration, 0) * e.count) AS duration_sum,
    sumIf(e.count, e.duration <= 0.005) AS le_5ms,
    sumIf(e.count, e.duration <= 0.01) AS le_10ms,
    sumIf(e.count, e.duration <= 0.025) AS le_25ms,
    sumIf(e.count, e.duration <= 0.05) AS le_50ms,
    sumIf(e.count, e.duration <= 0.1) AS le_100ms,
    sumIf(e.count, e.duration <= 0.15) AS le_150ms,
    sumIf(e.count, e.duration <= 0.2) AS le_200ms,
    sumIf(e.count, e.duration <= 0.25) AS le_250ms,
    sumIf(e.count, e.duration <= 0.3) AS le_300ms,
    sumIf(e.count, e.duration <= 0.5) AS le_500ms,
    sumIf(e.count, e.duration <= 0.75) AS le_750ms,
    sumIf(e.count, e.duration <= 1.0) AS le_1000ms,
    sumIf(e.count, e.duration <= 2.5) AS le_2500ms,
    sumIf(e.count, e.duration <= 5.0) AS le_5000ms,
    sumIf(e.count, e.duration <= 10.0) AS le_10000ms
FROM events AS e
GROUP BY bucket, service, environment, region, vantage, visibility, tenant, event, direction,
    outcome, error_type, fault, policy;

-- One row a connection, from open to close. The view passes on what each event knows and the table merges it, which
-- costs a third of grouping in the view. Rows of one connection may stand in several parts and days, so a reader always
-- groups by service, connection_id and vantage. Messages and pings are left out: the close event brings their totals.
CREATE TABLE IF NOT EXISTS connections
(
    day Date CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    connection_id String CODEC(ZSTD(1)),
    vantage LowCardinality(String),
    environment SimpleAggregateFunction(max, LowCardinality(String)),
    instance SimpleAggregateFunction(max, LowCardinality(String)),
    source_type SimpleAggregateFunction(max, LowCardinality(String)),
    tenant SimpleAggregateFunction(max, LowCardinality(String)),
    server_address SimpleAggregateFunction(max, LowCardinality(String)),
    url_path SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    subprotocol SimpleAggregateFunction(max, LowCardinality(String)),
    client_address SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    client_hash SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    -- Unknown is NULL, never 0: a log line may be the only thing ever seen of a connection.
    opened SimpleAggregateFunction(min, Nullable(DateTime64(9, 'UTC'))) CODEC(ZSTD(1)),
    closed SimpleAggregateFunction(max, Nullable(DateTime64(9, 'UTC'))) CODEC(ZSTD(1)),
    first_seen SimpleAggregateFunction(min, DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    last_seen SimpleAggregateFunction(max, DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    close_code SimpleAggregateFunction(max, Nullable(UInt16)) CODEC(ZSTD(1)),
    close_initiator SimpleAggregateFunction(max, LowCardinality(String)),
    close_clean SimpleAggregateFunction(max, Nullable(UInt8)) CODEC(ZSTD(1)),
    close_error SimpleAggregateFunction(max, LowCardinality(String)),
    duration SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    io_received SimpleAggregateFunction(max, Nullable(Int64)) CODEC(ZSTD(1)),
    io_sent SimpleAggregateFunction(max, Nullable(Int64)) CODEC(ZSTD(1)),
    errors SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY day
PRIMARY KEY (service, connection_id)
ORDER BY (service, connection_id, vantage, day)
TTL day + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS connections_view TO connections AS
SELECT
    toDate(e.counted_at) AS day,
    e.service AS service,
    e.connection_id AS connection_id,
    e.vantage AS vantage,
    e.environment AS environment,
    e.instance AS instance,
    e.source_type AS source_type,
    e.tenant AS tenant,
    e.server_address AS server_address,
    e.url_path AS url_path,
    e.subprotocol AS subprotocol,
    e.client_address AS client_address,
    e.client_hash AS client_hash,
    if(e.event = 'websocket.open', e.time, NULL) AS opened,
    if(e.event = 'websocket.close', e.time, NULL) AS closed,
    e.time AS first_seen,
    e.time AS last_seen,
    e.close_code AS close_code,
    e.close_initiator AS close_initiator,
    toUInt8(e.close_clean) AS close_clean,
    if(e.event = 'websocket.close', e.error_type, '') AS close_error,
    e.connection_duration AS duration,
    e.io_received AS io_received,
    e.io_sent AS io_sent,
    if(e.event = 'websocket.error', e.count, 0) AS errors
FROM events AS e
WHERE e.connection_id != '' AND e.event NOT IN (
    'websocket.handshake.start', 'websocket.handshake.rejected',
    'websocket.message', 'websocket.frame', 'websocket.ping');

-- How far each source has been read and stored; the watermark is the least read_through of the sources alive.
CREATE TABLE IF NOT EXISTS source_progress
(
    source String,
    read_through DateTime64(9, 'UTC'),
    backlog UInt64,
    wall DateTime64(3, 'UTC')
)
-- Without a version the last report stays, whatever the clock said: a report from a clock that ran ahead must not outlive
-- those after it.
ENGINE = ReplacingMergeTree
ORDER BY source
TTL toDateTime(wall) + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 100000;
