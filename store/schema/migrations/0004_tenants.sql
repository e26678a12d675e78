-- The tenants that count by name. A tenant stays as long as its row; which of a service's count, if there are more rows than
-- may, follows from when they were admitted, so the earliest admission is kept.
CREATE TABLE IF NOT EXISTS tenants
(
    service LowCardinality(String),
    tenant String,
    admitted_at SimpleAggregateFunction(min, DateTime64(6, 'UTC')) DEFAULT now64(6, 'UTC')
)
ENGINE = AggregatingMergeTree
ORDER BY (service, tenant)
SETTINGS non_replicated_deduplication_window = 100000;
