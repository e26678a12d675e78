-- Times that do not count into budgets and burn rates. Rows are never changed or deleted: what is in force of an id is its
-- highest version, so what was said before stays to be read. Whoever may write here decides what counts.
CREATE TABLE IF NOT EXISTS slo_exclusions
(
    id String,
    version UInt32,
    service LowCardinality(String),
    -- Empty for all SLOs of the service.
    slo String,
    -- Whole minutes, half-open.
    starts DateTime('UTC'),
    ends DateTime('UTC'),
    reason String,
    withdrawn Bool,
    written DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (id, version)
SETTINGS non_replicated_deduplication_window = 100000;
