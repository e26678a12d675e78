-- What the SLO engine said, and the counts it said it by. One row per SLO and asof: several engines compute the same row
-- from the same rollups, and merges keep the one written last.
CREATE TABLE IF NOT EXISTS slo_status
(
    asof DateTime('UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    slo LowCardinality(String),
    -- ok, burning, exhausted, low_coverage, no_traffic or no_data.
    state LowCardinality(String),
    -- page, ticket or empty: the loudest alert that fires.
    severity LowCardinality(String),
    -- The objective as an exact decimal between 0 and 1, such as 0.999.
    objective LowCardinality(String),
    -- The budget window: its length and what was counted in it.
    budget_seconds UInt32,
    good UInt64,
    total UInt64,
    judged UInt64,
    -- The burn windows with their real lengths, which differ from their names where a demonstration scales them.
    windows Array(Tuple(name String, seconds UInt32, good UInt64, total UInt64, judged UInt64)),
    -- The alerts that fire, each with the asof at which it began to.
    alerts Array(Tuple(severity String, since DateTime('UTC'))),
    -- The instance that wrote the row.
    engine LowCardinality(String),
    written DateTime64(3, 'UTC'),
    -- For drawing. What decides is computed from the counts without floats.
    error_ratio Nullable(Float64) ALIAS if(judged = 0, NULL, (judged - good) / judged),
    budget_remaining Nullable(Float64)
        ALIAS if(judged = 0, NULL, 1 - (judged - good) / judged / (1 - toFloat64OrZero(objective))),
    coverage Nullable(Float64) ALIAS if(total = 0, NULL, judged / total)
)
ENGINE = ReplacingMergeTree(written)
PARTITION BY toYYYYMM(asof)
ORDER BY (service, slo, asof)
TTL asof + INTERVAL 13 MONTH
SETTINGS non_replicated_deduplication_window = 100000;
