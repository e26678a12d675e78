-- Events, their rollup tiers and side tables, connections and the progress of sources.
--
-- Exactly once: every table that takes inserts, and every table that a view fills, remembers the last 100,000 insert
-- tokens (non_replicated_deduplication_window; its default of 0 would double every tier on a retry). A view is never
-- dropped and created again: the tokens of its target are derived from the view's identity. A Replicated engine needs
-- replicated_deduplication_window instead, and a replicated_deduplication_window_seconds that outlasts every queue.
--
-- A part that one chunk makes is compact (min_rows_for_wide_part is more than a chunk's 50,000 rows): a wide part of
-- events is 150 files, and making them cost a fifth of the engine's processor time. What merges make is wide.

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
    url_scheme LowCardinality(String),
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
-- What failed lies together, and is a small part of what a question about failures would read otherwise; so does each rare event.
ORDER BY (event, outcome, service, counted_at)
TTL toDateTime(counted_at) + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000;

-- The rollup, independent of any SLO: sums by the dimensions, with a cumulative duration histogram. An insert may leave
-- several rows of one key until they are merged, so a reader always sums and groups.
--
-- The SLO engine asks for all services at one time, a board or `slo explain` for one over a month. So the rows of a service
-- lie together within an hour, or a day where the tier is coarse: the first reads an hour at most for a minute, the second
-- its own rows.
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
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000;

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
PRIMARY KEY (toStartOfHour(bucket), service, bucket)
ORDER BY (toStartOfHour(bucket), service, bucket, environment, region, vantage, visibility, tenant, event, direction,
    outcome, error_type, fault, policy)
TTL bucket + INTERVAL 35 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000;

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
PRIMARY KEY (toDate(bucket), service, bucket)
ORDER BY (toDate(bucket), service, bucket, environment, region, vantage, visibility, tenant, event, direction,
    outcome, error_type, fault, policy)
TTL bucket + INTERVAL 396 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000;

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

-- One row a connection, from open to close. It is a plain view: nothing is paid at the insert, and it is exact because the
-- events are. Filter by connection_id, which events finds by its index; any other filter reads all events. Messages and
-- pings are left out: the close event brings their totals.
CREATE VIEW IF NOT EXISTS connections AS
SELECT
    e.service AS service,
    e.connection_id AS connection_id,
    e.vantage AS vantage,
    max(e.environment) AS environment,
    max(e.instance) AS instance,
    max(e.source_type) AS source_type,
    max(e.tenant) AS tenant,
    max(e.server_address) AS server_address,
    max(e.url_path) AS url_path,
    max(e.subprotocol) AS subprotocol,
    max(e.client_address) AS client_address,
    max(e.client_hash) AS client_hash,
    -- Unknown is NULL, never 0: a log line may be the only thing ever seen of a connection.
    minOrNullIf(e.time, e.event = 'websocket.open') AS opened,
    maxOrNullIf(e.time, e.event = 'websocket.close') AS closed,
    min(e.time) AS first_seen,
    max(e.time) AS last_seen,
    max(e.close_code) AS close_code,
    max(e.close_initiator) AS close_initiator,
    max(e.close_clean) AS close_clean,
    maxIf(e.error_type, e.event = 'websocket.close') AS close_error,
    max(e.connection_duration) AS duration,
    max(e.io_received) AS io_received,
    max(e.io_sent) AS io_sent,
    sumIf(e.count, e.event = 'websocket.error') AS errors
FROM events AS e
WHERE e.connection_id != '' AND e.event NOT IN (
    'websocket.handshake.start', 'websocket.handshake.rejected',
    'websocket.message', 'websocket.frame', 'websocket.ping')
GROUP BY service, connection_id, vantage;

-- Side tables: what the rollup cannot hold, because it is no sum or concerns few events. A reader groups them as it does
-- a rollup. NULL is unknown, and so is a key without a row.

-- What each instance said of itself: the highest value of each bucket, which a repeated report does not change.
CREATE TABLE IF NOT EXISTS gauges_10s
(
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    environment LowCardinality(String),
    region LowCardinality(String),
    vantage LowCardinality(String),
    instance LowCardinality(String),
    active SimpleAggregateFunction(max, Nullable(UInt64)) CODEC(ZSTD(1)),
    idle SimpleAggregateFunction(max, Nullable(UInt64)) CODEC(ZSTD(1)),
    capacity SimpleAggregateFunction(max, Nullable(UInt64)) CODEC(ZSTD(1)),
    memory_bytes SimpleAggregateFunction(max, Nullable(UInt64)) CODEC(ZSTD(1)),
    file_descriptors SimpleAggregateFunction(max, Nullable(UInt64)) CODEC(ZSTD(1)),
    file_descriptor_limit SimpleAggregateFunction(max, Nullable(UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(bucket)
ORDER BY (bucket, service, environment, region, vantage, instance)
TTL bucket + INTERVAL 3 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000;

CREATE MATERIALIZED VIEW IF NOT EXISTS gauges_10s_view TO gauges_10s AS
SELECT
    toDateTime(toStartOfInterval(e.counted_at, INTERVAL 10 SECOND, 'UTC'), 'UTC') AS bucket,
    e.service AS service,
    e.environment AS environment,
    e.region AS region,
    e.vantage AS vantage,
    e.instance AS instance,
    max(toUInt64OrNull(e.attributes['websocket.connections.active'])) AS active,
    max(toUInt64OrNull(e.attributes['websocket.connections.idle'])) AS idle,
    max(toUInt64OrNull(e.attributes['websocket.connections.capacity'])) AS capacity,
    max(toUInt64OrNull(e.attributes['process.memory.usage'])) AS memory_bytes,
    max(toUInt64OrNull(e.attributes['process.open_file_descriptor.count'])) AS file_descriptors,
    max(toUInt64OrNull(e.attributes['process.open_file_descriptor.limit'])) AS file_descriptor_limit
FROM events AS e
WHERE e.event = 'websocket.connections'
GROUP BY bucket, service, environment, region, vantage, instance;

-- Distinct clients among those that opened a connection, of sources that name a client.
CREATE TABLE IF NOT EXISTS clients_1h
(
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    environment LowCardinality(String),
    region LowCardinality(String),
    vantage LowCardinality(String),
    clients AggregateFunction(uniq, String) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(bucket)
ORDER BY (bucket, service, environment, region, vantage)
TTL bucket + INTERVAL 35 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000;

CREATE MATERIALIZED VIEW IF NOT EXISTS clients_1h_view TO clients_1h AS
SELECT
    toDateTime(toStartOfInterval(e.counted_at, INTERVAL 1 HOUR, 'UTC'), 'UTC') AS bucket,
    e.service AS service,
    e.environment AS environment,
    e.region AS region,
    e.vantage AS vantage,
    uniqState(e.client_hash) AS clients
FROM events AS e
WHERE e.event = 'websocket.open' AND e.client_hash != ''
GROUP BY bucket, service, environment, region, vantage;

-- Bytes a second of the connections that closed in a minute, each direction by itself, since a source may know only one.
-- DDSketch and not t-digest: merging in another order gives the same quantiles, to 1 %.
CREATE TABLE IF NOT EXISTS connection_rate_1m
(
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    environment LowCardinality(String),
    region LowCardinality(String),
    vantage LowCardinality(String),
    -- How many connections each sketch holds.
    received_count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sent_count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    received_rate AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) CODEC(ZSTD(1)),
    sent_rate AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) CODEC(ZSTD(1)),
    received_rate_max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    sent_rate_max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(bucket)
-- By day, and in small granules: a state is dear to read, and a month of a service is asked for in 30 ranges instead of 720.
PRIMARY KEY (toDate(bucket), service, bucket)
ORDER BY (toDate(bucket), service, bucket, environment, region, vantage)
TTL bucket + INTERVAL 35 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000, index_granularity = 256;

CREATE MATERIALIZED VIEW IF NOT EXISTS connection_rate_1m_view TO connection_rate_1m AS
WITH
    e.io_received / e.connection_duration AS received,
    e.io_sent / e.connection_duration AS sent
SELECT
    toDateTime(toStartOfInterval(e.counted_at, INTERVAL 1 MINUTE, 'UTC'), 'UTC') AS bucket,
    e.service AS service,
    e.environment AS environment,
    e.region AS region,
    e.vantage AS vantage,
    count(received) AS received_count,
    count(sent) AS sent_count,
    quantilesDDStateIf(0.01, 0.5, 0.95, 0.99)(ifNull(received, 0), received IS NOT NULL) AS received_rate,
    quantilesDDStateIf(0.01, 0.5, 0.95, 0.99)(ifNull(sent, 0), sent IS NOT NULL) AS sent_rate,
    max(received) AS received_rate_max,
    max(sent) AS sent_rate_max
FROM events AS e
WHERE e.event = 'websocket.close' AND e.connection_duration > 0
    AND (e.io_received IS NOT NULL OR e.io_sent IS NOT NULL)
GROUP BY bucket, service, environment, region, vantage;

-- Usage by tenant. What a close reports lands in the hour of the close. Milliseconds, because a sum of integers is the
-- same in any order; a connection counts for 30 years at most.
CREATE TABLE IF NOT EXISTS usage_1h
(
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    environment LowCardinality(String),
    region LowCardinality(String),
    vantage LowCardinality(String),
    tenant LowCardinality(String),
    opened SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    closed SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    connection_milliseconds SimpleAggregateFunction(sum, Nullable(UInt64)) CODEC(ZSTD(1)),
    bytes_received SimpleAggregateFunction(sum, Nullable(Int64)) CODEC(ZSTD(1)),
    bytes_sent SimpleAggregateFunction(sum, Nullable(Int64)) CODEC(ZSTD(1)),
    messages SimpleAggregateFunction(sum, Nullable(UInt64)) CODEC(ZSTD(1)),
    message_bytes SimpleAggregateFunction(sum, Nullable(UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(bucket)
ORDER BY (bucket, service, environment, region, vantage, tenant)
TTL bucket + INTERVAL 396 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000;

CREATE MATERIALIZED VIEW IF NOT EXISTS usage_1h_view TO usage_1h AS
SELECT
    toDateTime(toStartOfInterval(e.counted_at, INTERVAL 1 HOUR, 'UTC'), 'UTC') AS bucket,
    e.service AS service,
    e.environment AS environment,
    e.region AS region,
    e.vantage AS vantage,
    e.tenant AS tenant,
    countIf(e.event = 'websocket.open') AS opened,
    countIf(e.event = 'websocket.close') AS closed,
    sumOrNullIf(toUInt64(round(least(assumeNotNull(e.connection_duration), 1e9) * 1000)),
        e.event = 'websocket.close' AND e.connection_duration >= 0) AS connection_milliseconds,
    sumIf(e.io_received, e.event = 'websocket.close') AS bytes_received,
    sumIf(e.io_sent, e.event = 'websocket.close') AS bytes_sent,
    sumOrNullIf(e.count, e.event = 'websocket.message') AS messages,
    sumOrNullIf(e.bytes, e.event = 'websocket.message') AS message_bytes
FROM events AS e
WHERE e.event IN ('websocket.open', 'websocket.close', 'websocket.message')
GROUP BY bucket, service, environment, region, vantage, tenant;

-- Usage by client and day: who is loud is asked about weeks, in which events have twenty times the rows.
CREATE TABLE IF NOT EXISTS client_usage_1d
(
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    tenant LowCardinality(String),
    -- Its pseudonym, or what is stored of its address where there is none.
    client String CODEC(ZSTD(1)),
    closed SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    -- Received and sent, as far as the source of the close knows.
    closed_bytes SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
    messages_received SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    messages_sent SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    message_bytes SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    last SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(bucket)
ORDER BY (bucket, service, tenant, client)
TTL bucket + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000;

CREATE MATERIALIZED VIEW IF NOT EXISTS client_usage_1d_view TO client_usage_1d AS
SELECT
    toDateTime(toStartOfInterval(e.counted_at, INTERVAL 1 DAY, 'UTC'), 'UTC') AS bucket,
    e.service AS service,
    e.tenant AS tenant,
    if(e.client_hash = '', e.client_address, e.client_hash) AS client,
    countIf(e.event = 'websocket.close') AS closed,
    sumIf(ifNull(e.io_received, 0) + ifNull(e.io_sent, 0), e.event = 'websocket.close') AS closed_bytes,
    sumIf(e.count, e.event = 'websocket.message' AND e.direction = 'receive') AS messages_received,
    sumIf(e.count, e.event = 'websocket.message' AND e.direction = 'transmit') AS messages_sent,
    sumIf(e.bytes, e.event = 'websocket.message') AS message_bytes,
    max(e.counted_at) AS last
FROM events AS e
WHERE e.event IN ('websocket.close', 'websocket.message') AND (e.client_hash != '' OR e.client_address != '')
GROUP BY bucket, service, tenant, client;

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
