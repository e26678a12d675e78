-- What happened to budgets and when an SLO had an incident. The key is a number within each SLO's stream: several engines
-- that notice the same give it the same number, and merges keep the row of the earliest asof. Read it with FINAL.
CREATE TABLE IF NOT EXISTS slo_events
(
    service LowCardinality(String),
    slo LowCardinality(String),
    -- budget or incident.
    stream LowCardinality(String),
    sequence UInt32,
    asof DateTime('UTC'),
    -- budget: spent, exhausted, recovered; incident: detected, severity, ended.
    kind LowCardinality(String),
    -- The highest of 25, 50, 75, 90 and 100 % of the budget that is spent.
    spent UInt8,
    -- page, ticket or empty: the loudest alert from then on.
    severity LowCardinality(String),
    -- The incident that the event belongs to: the sequence of its detection; and when the burning began.
    incident UInt32,
    start DateTime('UTC'),
    -- Of a budget, what its window held; of an incident, what was counted since its start.
    good UInt64,
    total UInt64,
    judged UInt64,
    engine LowCardinality(String),
    written DateTime64(3, 'UTC'),
    precedence UInt32 DEFAULT 4294967295 - toUInt32(toUnixTimestamp(asof))
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (service, slo, stream, sequence)
TTL asof + INTERVAL 13 MONTH
SETTINGS non_replicated_deduplication_window = 100000;

-- One row per incident.
CREATE VIEW IF NOT EXISTS slo_incidents AS
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
FROM slo_events AS e FINAL
WHERE e.stream = 'incident'
GROUP BY service, slo, incident;
