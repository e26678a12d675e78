-- What people and policies changed: revocations, blocks, disconnections, limits, deployments. A table of its own,
-- because it is kept for more than a year, and so that others may read it than read events.
CREATE TABLE IF NOT EXISTS audit
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
    -- What changed, to what, why, and by whom: an operator, where it was one.
    kind LowCardinality(String),
    state LowCardinality(String),
    reason LowCardinality(String),
    actor LowCardinality(String),
    -- Whom it is about.
    connection_id String CODEC(ZSTD(1)),
    client_address String CODEC(ZSTD(1)),
    client_hash String CODEC(ZSTD(1)),
    user_hash String CODEC(ZSTD(1)),
    outcome LowCardinality(String),
    error_type LowCardinality(String),
    source_type LowCardinality(String),
    evidence LowCardinality(String),
    trace_id String CODEC(ZSTD(1)),
    -- As in events: all other attributes, and those of the resource.
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    chunk_id LowCardinality(String)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(counted_at)
ORDER BY (counted_at, service, event)
TTL toDateTime(counted_at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1, min_rows_for_wide_part = 100000;

CREATE MATERIALIZED VIEW IF NOT EXISTS audit_view TO audit AS
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
FROM events AS e
WHERE e.event IN ('websocket.policy.changed', 'websocket.auth.revoked', 'websocket.deploy');

-- The same view of connections, which now says what was seen of each, when it was opened where only its close told, and
-- how many messages it had.
CREATE OR REPLACE VIEW connections AS
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
    -- Unknown is NULL, never 0: a log line may be the only thing ever seen of a connection. A close that says how long the
    -- connection lasted says when it was opened.
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
    -- whole: its open and its close; open: no close, so it is open or its end was lost; close: no open; part: neither.
    multiIf(countIf(e.event = 'websocket.open') > 0 AND countIf(e.event = 'websocket.close') > 0, 'whole',
        countIf(e.event = 'websocket.open') > 0, 'open', countIf(e.event = 'websocket.close') > 0, 'close', 'part') AS coverage
FROM events AS e
WHERE e.connection_id != '' AND e.event NOT IN (
    'websocket.handshake.start', 'websocket.handshake.rejected',
    'websocket.message', 'websocket.frame', 'websocket.ping')
GROUP BY service, connection_id, vantage;

-- What a client did is found by its pseudonym, or by what is stored of its address; the query asks for either, so each needs
-- an index. Parts that are there already go with the retention of events.
ALTER TABLE events ADD INDEX IF NOT EXISTS client_hash_index client_hash TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS client_address_index client_address TYPE bloom_filter(0.01) GRANULARITY 1;
