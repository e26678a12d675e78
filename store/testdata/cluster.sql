-- 0001_events sha256:020606954aa6c89d3a320204cd3c4d84f2d271014cd89c8fe4c5f8bedbdc79c8

CREATE TABLE IF NOT EXISTS `sockeye`.events_local ON CLUSTER 'sockeye'
(
    time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    observed DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
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
    count UInt64 CODEC(T64, ZSTD(1)),
    bytes UInt64 CODEC(T64, ZSTD(1)),
    judged UInt64 CODEC(T64, ZSTD(1)),
    duration Nullable(Float64) CODEC(ZSTD(1)),
    source_type LowCardinality(String),
    evidence LowCardinality(String),
    connection_id String CODEC(ZSTD(1)),
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
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    chunk_id LowCardinality(String),
    INDEX connection_id_index connection_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX trace_id_index trace_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{database}/{table}/{shard}', '{replica}')
PARTITION BY toDate(counted_at)
ORDER BY (event, outcome, service, counted_at)
TTL toDateTime(counted_at) + INTERVAL 7 DAY
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000, storage_policy = 'tiers';

CREATE TABLE IF NOT EXISTS `sockeye`.events ON CLUSTER 'sockeye' AS `sockeye`.events_local
ENGINE = Distributed('sockeye', 'sockeye', 'events_local');

CREATE TABLE IF NOT EXISTS `sockeye`.rollup_10s_local ON CLUSTER 'sockeye'
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
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{database}/{table}/{shard}', '{replica}')
PARTITION BY toDate(bucket)
PRIMARY KEY (bucket, service)
ORDER BY (bucket, service, environment, region, vantage, visibility, tenant, event, direction,
    outcome, error_type, fault, policy, instance)
TTL bucket + INTERVAL 3 DAY
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000, storage_policy = 'tiers';

CREATE TABLE IF NOT EXISTS `sockeye`.rollup_10s ON CLUSTER 'sockeye' AS `sockeye`.rollup_10s_local
ENGINE = Distributed('sockeye', 'sockeye', 'rollup_10s_local');

CREATE TABLE IF NOT EXISTS `sockeye`.rollup_1m_local ON CLUSTER 'sockeye'
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
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{database}/{table}/{shard}', '{replica}')
PARTITION BY toDate(bucket)
PRIMARY KEY (toStartOfHour(bucket), service, bucket)
ORDER BY (toStartOfHour(bucket), service, bucket, environment, region, vantage, visibility, tenant, event, direction,
    outcome, error_type, fault, policy)
TTL bucket + INTERVAL 35 DAY
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000, storage_policy = 'tiers';

CREATE TABLE IF NOT EXISTS `sockeye`.rollup_1m ON CLUSTER 'sockeye' AS `sockeye`.rollup_1m_local
ENGINE = Distributed('sockeye', 'sockeye', 'rollup_1m_local');

CREATE TABLE IF NOT EXISTS `sockeye`.rollup_15m_local ON CLUSTER 'sockeye'
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
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{database}/{table}/{shard}', '{replica}')
PARTITION BY toYYYYMM(bucket)
PRIMARY KEY (toDate(bucket), service, bucket)
ORDER BY (toDate(bucket), service, bucket, environment, region, vantage, visibility, tenant, event, direction,
    outcome, error_type, fault, policy)
TTL bucket + INTERVAL 396 DAY
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000, storage_policy = 'tiers';

CREATE TABLE IF NOT EXISTS `sockeye`.rollup_15m ON CLUSTER 'sockeye' AS `sockeye`.rollup_15m_local
ENGINE = Distributed('sockeye', 'sockeye', 'rollup_15m_local');

CREATE MATERIALIZED VIEW IF NOT EXISTS `sockeye`.rollup_10s_view ON CLUSTER 'sockeye' TO `sockeye`.rollup_10s_local AS
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
FROM `sockeye`.events_local AS e
GROUP BY bucket, service, environment, region, vantage, visibility, tenant, event, direction,
    outcome, error_type, fault, policy, instance;

CREATE MATERIALIZED VIEW IF NOT EXISTS `sockeye`.rollup_1m_view ON CLUSTER 'sockeye' TO `sockeye`.rollup_1m_local AS
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
FROM `sockeye`.events_local AS e
GROUP BY bucket, service, environment, region, vantage, visibility, tenant, event, direction,
    outcome, error_type, fault, policy;

CREATE MATERIALIZED VIEW IF NOT EXISTS `sockeye`.rollup_15m_view ON CLUSTER 'sockeye' TO `sockeye`.rollup_15m_local AS
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
FROM `sockeye`.events_local AS e
GROUP BY bucket, service, environment, region, vantage, visibility, tenant, event, direction,
    outcome, error_type, fault, policy;

CREATE VIEW IF NOT EXISTS `sockeye`.connections ON CLUSTER 'sockeye' AS
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
FROM `sockeye`.events AS e
WHERE e.connection_id != '' AND e.event NOT IN (
    'websocket.handshake.start', 'websocket.handshake.rejected',
    'websocket.message', 'websocket.frame', 'websocket.ping')
GROUP BY service, connection_id, vantage;

CREATE TABLE IF NOT EXISTS `sockeye`.gauges_10s_local ON CLUSTER 'sockeye'
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
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{database}/{table}/{shard}', '{replica}')
PARTITION BY toDate(bucket)
ORDER BY (bucket, service, environment, region, vantage, instance)
TTL bucket + INTERVAL 3 DAY
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000, storage_policy = 'tiers';

CREATE TABLE IF NOT EXISTS `sockeye`.gauges_10s ON CLUSTER 'sockeye' AS `sockeye`.gauges_10s_local
ENGINE = Distributed('sockeye', 'sockeye', 'gauges_10s_local');

CREATE MATERIALIZED VIEW IF NOT EXISTS `sockeye`.gauges_10s_view ON CLUSTER 'sockeye' TO `sockeye`.gauges_10s_local AS
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
FROM `sockeye`.events_local AS e
WHERE e.event = 'websocket.connections'
GROUP BY bucket, service, environment, region, vantage, instance;

CREATE TABLE IF NOT EXISTS `sockeye`.clients_1h_local ON CLUSTER 'sockeye'
(
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    environment LowCardinality(String),
    region LowCardinality(String),
    vantage LowCardinality(String),
    clients AggregateFunction(uniq, String) CODEC(ZSTD(1))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{database}/{table}/{shard}', '{replica}')
PARTITION BY toDate(bucket)
ORDER BY (bucket, service, environment, region, vantage)
TTL bucket + INTERVAL 35 DAY
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000, storage_policy = 'tiers';

CREATE TABLE IF NOT EXISTS `sockeye`.clients_1h ON CLUSTER 'sockeye' AS `sockeye`.clients_1h_local
ENGINE = Distributed('sockeye', 'sockeye', 'clients_1h_local');

CREATE MATERIALIZED VIEW IF NOT EXISTS `sockeye`.clients_1h_view ON CLUSTER 'sockeye' TO `sockeye`.clients_1h_local AS
SELECT
    toDateTime(toStartOfInterval(e.counted_at, INTERVAL 1 HOUR, 'UTC'), 'UTC') AS bucket,
    e.service AS service,
    e.environment AS environment,
    e.region AS region,
    e.vantage AS vantage,
    uniqState(e.client_hash) AS clients
FROM `sockeye`.events_local AS e
WHERE e.event = 'websocket.open' AND e.client_hash != ''
GROUP BY bucket, service, environment, region, vantage;

CREATE TABLE IF NOT EXISTS `sockeye`.connection_rate_1m_local ON CLUSTER 'sockeye'
(
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    environment LowCardinality(String),
    region LowCardinality(String),
    vantage LowCardinality(String),
    received_count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sent_count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    received_rate AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) CODEC(ZSTD(1)),
    sent_rate AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) CODEC(ZSTD(1)),
    received_rate_max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    sent_rate_max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{database}/{table}/{shard}', '{replica}')
PARTITION BY toDate(bucket)
PRIMARY KEY (toDate(bucket), service, bucket)
ORDER BY (toDate(bucket), service, bucket, environment, region, vantage)
TTL bucket + INTERVAL 35 DAY
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000, index_granularity = 256, storage_policy = 'tiers';

CREATE TABLE IF NOT EXISTS `sockeye`.connection_rate_1m ON CLUSTER 'sockeye' AS `sockeye`.connection_rate_1m_local
ENGINE = Distributed('sockeye', 'sockeye', 'connection_rate_1m_local');

CREATE MATERIALIZED VIEW IF NOT EXISTS `sockeye`.connection_rate_1m_view ON CLUSTER 'sockeye' TO `sockeye`.connection_rate_1m_local AS
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
FROM `sockeye`.events_local AS e
WHERE e.event = 'websocket.close' AND e.connection_duration > 0
    AND (e.io_received IS NOT NULL OR e.io_sent IS NOT NULL)
GROUP BY bucket, service, environment, region, vantage;

CREATE TABLE IF NOT EXISTS `sockeye`.usage_1h_local ON CLUSTER 'sockeye'
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
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{database}/{table}/{shard}', '{replica}')
PARTITION BY toYYYYMM(bucket)
ORDER BY (bucket, service, environment, region, vantage, tenant)
TTL bucket + INTERVAL 396 DAY
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000, storage_policy = 'tiers';

CREATE TABLE IF NOT EXISTS `sockeye`.usage_1h ON CLUSTER 'sockeye' AS `sockeye`.usage_1h_local
ENGINE = Distributed('sockeye', 'sockeye', 'usage_1h_local');

CREATE MATERIALIZED VIEW IF NOT EXISTS `sockeye`.usage_1h_view ON CLUSTER 'sockeye' TO `sockeye`.usage_1h_local AS
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
FROM `sockeye`.events_local AS e
WHERE e.event IN ('websocket.open', 'websocket.close', 'websocket.message')
GROUP BY bucket, service, environment, region, vantage, tenant;

CREATE TABLE IF NOT EXISTS `sockeye`.client_usage_1d_local ON CLUSTER 'sockeye'
(
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    tenant LowCardinality(String),
    client String CODEC(ZSTD(1)),
    closed SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    closed_bytes SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
    messages_received SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    messages_sent SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    message_bytes SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    last SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(ZSTD(1))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{database}/{table}/{shard}', '{replica}')
PARTITION BY toDate(bucket)
ORDER BY (bucket, service, tenant, client)
TTL bucket + INTERVAL 7 DAY
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000, storage_policy = 'tiers';

CREATE TABLE IF NOT EXISTS `sockeye`.client_usage_1d ON CLUSTER 'sockeye' AS `sockeye`.client_usage_1d_local
ENGINE = Distributed('sockeye', 'sockeye', 'client_usage_1d_local');

CREATE MATERIALIZED VIEW IF NOT EXISTS `sockeye`.client_usage_1d_view ON CLUSTER 'sockeye' TO `sockeye`.client_usage_1d_local AS
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
FROM `sockeye`.events_local AS e
WHERE e.event IN ('websocket.close', 'websocket.message') AND (e.client_hash != '' OR e.client_address != '')
GROUP BY bucket, service, tenant, client;

CREATE TABLE IF NOT EXISTS `sockeye`.source_progress ON CLUSTER 'sockeye'
(
    source String,
    read_through DateTime64(9, 'UTC'),
    backlog UInt64,
    wall DateTime64(3, 'UTC')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{database}/{table}/all', '{shard}-{replica}')
ORDER BY source
TTL toDateTime(wall) + INTERVAL 7 DAY
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, storage_policy = 'tiers';


-- 0002_slo_status sha256:f2ea2d674eb252b5407e916f7d58c58b11a2ed9c29b2b14b5e056881ffb3fa50

CREATE TABLE IF NOT EXISTS `sockeye`.slo_status ON CLUSTER 'sockeye'
(
    asof DateTime('UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    slo LowCardinality(String),
    state LowCardinality(String),
    severity LowCardinality(String),
    objective LowCardinality(String),
    budget_seconds UInt32,
    good UInt64,
    total UInt64,
    judged UInt64,
    windows Array(Tuple(name String, seconds UInt32, good UInt64, total UInt64, judged UInt64)),
    alerts Array(Tuple(severity String, since DateTime('UTC'))),
    engine LowCardinality(String),
    written DateTime64(3, 'UTC'),
    error_ratio Nullable(Float64) ALIAS if(judged = 0, NULL, (judged - good) / judged),
    budget_remaining Nullable(Float64)
        ALIAS if(judged = 0, NULL, 1 - (judged - good) / judged / (1 - toFloat64OrZero(objective))),
    coverage Nullable(Float64) ALIAS if(total = 0, NULL, judged / total)
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{database}/{table}/all', '{shard}-{replica}', written)
PARTITION BY toYYYYMM(asof)
ORDER BY (service, slo, asof)
TTL asof + INTERVAL 13 MONTH
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, storage_policy = 'tiers';


-- 0003_chunks sha256:1e75302abd29fa460682fec073c3e668390ed900e798a016125dd2449730972d

CREATE TABLE IF NOT EXISTS `sockeye`.chunks_local ON CLUSTER 'sockeye'
(
    chunk_id String CODEC(ZSTD(1)),
    records UInt64 CODEC(T64, ZSTD(1)),
    first DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    last DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    inserted_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    INDEX inserted_at_index inserted_at TYPE minmax
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{database}/{table}/{shard}', '{replica}')
PARTITION BY toDate(last)
ORDER BY chunk_id
TTL toDateTime(last) + INTERVAL 7 DAY
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, ttl_only_drop_parts = 1, index_granularity = 1024,
    min_rows_for_wide_part = 100000, storage_policy = 'tiers';

CREATE TABLE IF NOT EXISTS `sockeye`.chunks ON CLUSTER 'sockeye' AS `sockeye`.chunks_local
ENGINE = Distributed('sockeye', 'sockeye', 'chunks_local');

CREATE MATERIALIZED VIEW IF NOT EXISTS `sockeye`.chunks_view ON CLUSTER 'sockeye' TO `sockeye`.chunks_local AS
SELECT
    e.chunk_id AS chunk_id,
    count() AS records,
    min(e.counted_at) AS first,
    max(e.counted_at) AS last,
    now64(3, 'UTC') AS inserted_at
FROM `sockeye`.events_local AS e
GROUP BY chunk_id;


-- 0004_tenants sha256:5b96cdc7f7e450612ed4dc577c75f421a874c2c56cf02bf4ce3c3f6574fbe6d5

CREATE TABLE IF NOT EXISTS `sockeye`.tenants ON CLUSTER 'sockeye'
(
    service LowCardinality(String),
    tenant String,
    admitted_at SimpleAggregateFunction(min, DateTime64(6, 'UTC')) DEFAULT now64(6, 'UTC')
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{database}/{table}/all', '{shard}-{replica}')
ORDER BY (service, tenant)
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, storage_policy = 'tiers';


-- 0005_slo_events sha256:d6c41d569c4b9f3d4a190b9f87b3341a16a1a7072fbf0fd991b0b2471d9d68e2

CREATE TABLE IF NOT EXISTS `sockeye`.slo_events ON CLUSTER 'sockeye'
(
    service LowCardinality(String),
    slo LowCardinality(String),
    stream LowCardinality(String),
    sequence UInt32,
    asof DateTime('UTC'),
    kind LowCardinality(String),
    spent UInt8,
    severity LowCardinality(String),
    incident UInt32,
    start DateTime('UTC'),
    good UInt64,
    total UInt64,
    judged UInt64,
    engine LowCardinality(String),
    written DateTime64(3, 'UTC'),
    precedence UInt32 DEFAULT 4294967295 - toUInt32(toUnixTimestamp(asof))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{database}/{table}/all', '{shard}-{replica}', precedence)
ORDER BY (service, slo, stream, sequence)
TTL asof + INTERVAL 13 MONTH
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, storage_policy = 'tiers';

CREATE VIEW IF NOT EXISTS `sockeye`.slo_incidents ON CLUSTER 'sockeye' AS
SELECT
    service,
    slo,
    incident,
    min(e.start) AS start,
    minIf(e.asof, e.kind = 'detected') AS detected,
    if(countIf(e.kind = 'ended') = 0, NULL, maxIf(e.asof, e.kind = 'ended')) AS ended,
    if(countIf(e.severity = 'page') > 0, 'page', 'ticket') AS severity,
    argMax(e.good, e.sequence) AS good,
    argMax(e.total, e.sequence) AS total,
    argMax(e.judged, e.sequence) AS judged
FROM `sockeye`.slo_events AS e FINAL
WHERE e.stream = 'incident'
GROUP BY service, slo, incident;


-- 0006_traces sha256:c979af0f47f401c0ae162b014ecf6f755d3e4eb073c8357da6bfbeca916479bd

CREATE TABLE IF NOT EXISTS `sockeye`.traces_local ON CLUSTER 'sockeye'
(
    start DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    duration Float64 CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    parent_id String CODEC(ZSTD(1)),
    trace_state String CODEC(ZSTD(1)),
    name LowCardinality(String),
    kind LowCardinality(String),
    status LowCardinality(String),
    status_message String CODEC(ZSTD(1)),
    error_type LowCardinality(String),
    connection_id String CODEC(ZSTD(1)),
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
    chunk_id LowCardinality(String),
    INDEX trace_id_index trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX connection_id_index connection_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{database}/{table}/{shard}', '{replica}')
PARTITION BY toDate(start)
ORDER BY (service, name, start)
TTL toDateTime(start) + INTERVAL 7 DAY
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, ttl_only_drop_parts = 1,
    min_rows_for_wide_part = 100000, storage_policy = 'tiers';

CREATE TABLE IF NOT EXISTS `sockeye`.traces ON CLUSTER 'sockeye' AS `sockeye`.traces_local
ENGINE = Distributed('sockeye', 'sockeye', 'traces_local');


-- 0007_payload_samples sha256:c55896b0b01fccf88042ec955253a5aceefcf333aea96bc765a0937fc51aa314

CREATE TABLE IF NOT EXISTS `sockeye`.payload_samples_local ON CLUSTER 'sockeye'
(
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    tenant LowCardinality(String),
    connection_id String CODEC(ZSTD(1)),
    error_type LowCardinality(String),
    message_type LowCardinality(String),
    size UInt64 CODEC(T64, ZSTD(1)),
    schema LowCardinality(String),
    sample String CODEC(ZSTD(1))
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{database}/{table}/{shard}', '{replica}')
PARTITION BY toStartOfHour(time)
ORDER BY (service, time)
TTL toDateTime(time) + INTERVAL 1 DAY
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, ttl_only_drop_parts = 1, merge_with_ttl_timeout = 600, storage_policy = 'tiers';

CREATE TABLE IF NOT EXISTS `sockeye`.payload_samples ON CLUSTER 'sockeye' AS `sockeye`.payload_samples_local
ENGINE = Distributed('sockeye', 'sockeye', 'payload_samples_local');


-- 0008_slo_status_composites sha256:88356fe327b74788ed32256d3502616ae481386de46cbac211004a8ab5a50ec9

ALTER TABLE `sockeye`.slo_status ON CLUSTER 'sockeye' ADD COLUMN IF NOT EXISTS budget_window LowCardinality(String),
    ADD COLUMN IF NOT EXISTS budgeted Bool DEFAULT true,
    ADD COLUMN IF NOT EXISTS burns Array(String);

ALTER TABLE `sockeye`.slo_status ON CLUSTER 'sockeye' MODIFY COLUMN IF EXISTS error_ratio Nullable(Float64) ALIAS multiIf(
        notEmpty(burns), toFloat64OrNull(burns[-1]) * (1 - toFloat64OrZero(objective)),
        judged = 0, NULL, (judged - good) / judged),
    MODIFY COLUMN IF EXISTS budget_remaining Nullable(Float64) ALIAS multiIf(
        NOT budgeted, NULL, notEmpty(burns), 1 - toFloat64OrNull(burns[-1]),
        judged = 0, NULL, 1 - (judged - good) / judged / (1 - toFloat64OrZero(objective)));


-- 0009_dead_letters sha256:154c3ef8dce3ddb07cf03447ed3fecea7cb1a08b742ba9f9e8dab85db946f8b5

CREATE TABLE IF NOT EXISTS `sockeye`.dead_letters_local ON CLUSTER 'sockeye'
(
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    source_type LowCardinality(String),
    chunk_id String CODEC(ZSTD(1)),
    first UInt32 CODEC(ZSTD(1)),
    last UInt32 CODEC(ZSTD(1)),
    records UInt32 CODEC(ZSTD(1)),
    reason LowCardinality(String),
    text LowCardinality(String)
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{database}/{table}/{shard}', '{replica}')
ORDER BY (chunk_id, first)
TTL toDateTime(time) + INTERVAL 30 DAY
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, storage_policy = 'tiers';

CREATE TABLE IF NOT EXISTS `sockeye`.dead_letters ON CLUSTER 'sockeye' AS `sockeye`.dead_letters_local
ENGINE = Distributed('sockeye', 'sockeye', 'dead_letters_local');


-- 0010_slo_exclusions sha256:3bc3da25a4a89b64625fa27106385434bbfc51a65b620e5556dba6a7e0ac7f77

CREATE TABLE IF NOT EXISTS `sockeye`.slo_exclusions ON CLUSTER 'sockeye'
(
    id String,
    version UInt32,
    service LowCardinality(String),
    slo String,
    starts DateTime('UTC'),
    ends DateTime('UTC'),
    reason String,
    withdrawn Bool,
    written DateTime64(3, 'UTC')
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{database}/{table}/all', '{shard}-{replica}')
ORDER BY (id, version)
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, storage_policy = 'tiers';


-- 0011_audit sha256:233f2234b6fa5c1136b90630686bc64da4dd7aab755427960d179c3c2f9c33ee

CREATE TABLE IF NOT EXISTS `sockeye`.audit_local ON CLUSTER 'sockeye'
(
    time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    counted_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    event LowCardinality(String),
    service LowCardinality(String),
    environment LowCardinality(String),
    region LowCardinality(String),
    instance LowCardinality(String),
    vantage LowCardinality(String),
    tenant LowCardinality(String),
    kind LowCardinality(String),
    state LowCardinality(String),
    reason LowCardinality(String),
    actor LowCardinality(String),
    connection_id String CODEC(ZSTD(1)),
    client_address String CODEC(ZSTD(1)),
    client_hash String CODEC(ZSTD(1)),
    user_hash String CODEC(ZSTD(1)),
    outcome LowCardinality(String),
    error_type LowCardinality(String),
    source_type LowCardinality(String),
    evidence LowCardinality(String),
    trace_id String CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    chunk_id LowCardinality(String)
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{database}/{table}/{shard}', '{replica}')
PARTITION BY toYYYYMM(counted_at)
ORDER BY (counted_at, service, event)
TTL toDateTime(counted_at) + INTERVAL 400 DAY
SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 100000, ttl_only_drop_parts = 1, min_rows_for_wide_part = 100000, storage_policy = 'tiers';

CREATE TABLE IF NOT EXISTS `sockeye`.audit ON CLUSTER 'sockeye' AS `sockeye`.audit_local
ENGINE = Distributed('sockeye', 'sockeye', 'audit_local');

CREATE MATERIALIZED VIEW IF NOT EXISTS `sockeye`.audit_view ON CLUSTER 'sockeye' TO `sockeye`.audit_local AS
SELECT
    e.time AS time,
    e.counted_at AS counted_at,
    e.event AS event,
    e.service AS service,
    e.environment AS environment,
    e.region AS region,
    e.instance AS instance,
    e.vantage AS vantage,
    e.tenant AS tenant,
    e.attributes['websocket.policy.kind'] AS kind,
    e.attributes['websocket.policy.state'] AS state,
    e.attributes['websocket.policy.reason'] AS reason,
    e.attributes['websocket.policy.actor'] AS actor,
    e.connection_id AS connection_id,
    e.client_address AS client_address,
    e.client_hash AS client_hash,
    e.attributes['user.hash'] AS user_hash,
    e.outcome AS outcome,
    e.error_type AS error_type,
    e.source_type AS source_type,
    e.evidence AS evidence,
    e.trace_id AS trace_id,
    e.attributes AS attributes,
    e.resource AS resource,
    e.chunk_id AS chunk_id
FROM `sockeye`.events_local AS e
WHERE e.event IN ('websocket.policy.changed', 'websocket.auth.revoked', 'websocket.deploy');

CREATE OR REPLACE VIEW `sockeye`.connections ON CLUSTER 'sockeye' AS
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
    ifNull(minOrNullIf(e.time, e.event = 'websocket.open'),
        minOrNullIf(e.time - toIntervalMillisecond(toInt64(least(ifNull(e.connection_duration, 0), 1e9) * 1000)),
            e.event = 'websocket.close' AND e.connection_duration >= 0)) AS opened,
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
    sumIf(e.count, e.event = 'websocket.error') AS errors,
    maxIf(e.attributes['websocket.close.reason'], e.event = 'websocket.close') AS close_reason,
    max(toUInt64OrNull(e.attributes['websocket.io.messages_received'])) AS messages_received,
    max(toUInt64OrNull(e.attributes['websocket.io.messages_sent'])) AS messages_sent,
    multiIf(countIf(e.event = 'websocket.open') > 0 AND countIf(e.event = 'websocket.close') > 0, 'whole',
        countIf(e.event = 'websocket.open') > 0, 'open', countIf(e.event = 'websocket.close') > 0, 'close', 'part') AS coverage
FROM `sockeye`.events AS e
WHERE e.connection_id != '' AND e.event NOT IN (
    'websocket.handshake.start', 'websocket.handshake.rejected',
    'websocket.message', 'websocket.frame', 'websocket.ping')
GROUP BY service, connection_id, vantage;

ALTER TABLE `sockeye`.events_local ON CLUSTER 'sockeye' ADD INDEX IF NOT EXISTS client_hash_index client_hash TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS client_address_index client_address TYPE bloom_filter(0.01) GRANULARITY 1;

