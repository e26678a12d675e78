-- How many connections are open, and how near is each instance to its limits?
-- The newest that each instance said since then. Empty is unknown.
SELECT
    service, region, vantage, instance,
    argMax(active, bucket) AS active,
    argMax(idle, bucket) AS idle,
    argMax(capacity, bucket) AS capacity,
    round(100 * active / capacity, 1) AS used_percent,
    round(argMax(memory_bytes, bucket) / 1048576, 1) AS memory_mib,
    argMax(file_descriptors, bucket) AS file_descriptors,
    argMax(file_descriptor_limit, bucket) AS file_descriptor_limit,
    max(g.bucket) AS said
FROM
(
    SELECT
        bucket, service, region, vantage, instance, max(active) AS active, max(idle) AS idle, max(capacity) AS capacity,
        max(memory_bytes) AS memory_bytes, max(file_descriptors) AS file_descriptors,
        max(file_descriptor_limit) AS file_descriptor_limit
    FROM gauges_10s
    WHERE bucket >= {since:DateTime64(3)} AND bucket < {until:DateTime64(3)}
        AND ({service:String} = '' OR service = {service:String})
    GROUP BY bucket, service, region, vantage, instance
) AS g
GROUP BY service, region, vantage, instance
ORDER BY used_percent DESC NULLS LAST, active DESC, service, region, vantage, instance
LIMIT {limit:UInt32}
