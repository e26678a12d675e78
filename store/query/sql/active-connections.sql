-- How many connections were open at a moment, and how sure is that?
-- By the best proof there is. gauges: what instances said of themselves in the half minute before. opens: those without a close
-- by then, of sources that tell an open at once; a close that was lost counts as open. closes: a source that tells an open only
-- when it has ended proves later how many there were at least. Opens and closes of a day before and after are looked at.
-- coverage_percent is of gauges the instances that reported, among those of ten minutes before; of opens and closes the closes
-- that say when the connection was opened. Empty is unknown, never 0.
SELECT
    service, vantage,
    multiIf(gauged IS NOT NULL, gauged, only_at_open = 1, held + unclosed, NULL) AS active,
    nullIf(greatest(ifNull(gauged, 0), ifNull(held, 0)), 0) AS at_least,
    multiIf(gauged IS NOT NULL, 'gauges', only_at_open = 1, 'opens', only_at_open = 0, 'closes', 'none') AS proof,
    round(if(gauged IS NOT NULL, 100 * reporting / instances, 100 * dated / nullIf(closes, 0)), 1) AS coverage_percent,
    reporting AS instances_reporting, instances, held AS closed_later, unclosed AS not_closed
FROM
(
    SELECT
        service, vantage, max(gauged) AS gauged, max(reporting) AS reporting, max(instances) AS instances,
        max(only_at_open) AS only_at_open, max(held) AS held, max(unclosed) AS unclosed, max(closes) AS closes,
        max(dated) AS dated
    FROM
    (
        SELECT
            service, vantage, sum(now_active) AS gauged, count(now_active) AS reporting, toNullable(count()) AS instances,
            NULL AS only_at_open, NULL AS held, NULL AS unclosed, NULL AS closes, NULL AS dated
        FROM
        (
            SELECT
                service, environment, region, vantage, instance,
                argMaxOrNullIf(active, bucket, active IS NOT NULL AND bucket > {at:DateTime64(3)} - INTERVAL 30 SECOND)
                    AS now_active
            FROM
            (
                SELECT bucket, service, environment, region, vantage, instance, max(active) AS active
                FROM gauges_10s
                WHERE bucket > {at:DateTime64(3)} - INTERVAL 10 MINUTE AND bucket <= {at:DateTime64(3)}
                    AND ({service:String} = '' OR service = {service:String})
                GROUP BY bucket, service, environment, region, vantage, instance
            )
            WHERE active IS NOT NULL
            GROUP BY service, environment, region, vantage, instance
        )
        GROUP BY service, vantage
        UNION ALL
        SELECT
            service, vantage, NULL AS gauged, NULL AS reporting, NULL AS instances,
            toNullable(min(at_open)) AS only_at_open,
            toNullable(countIf(opened <= {at:DateTime64(3)} AND closed > {at:DateTime64(3)})) AS held,
            toNullable(countIf(opened <= {at:DateTime64(3)} AND closed IS NULL)) AS unclosed,
            toNullable(countIf(closed IS NOT NULL)) AS closes,
            toNullable(countIf(closed IS NOT NULL AND opened IS NOT NULL)) AS dated
        FROM
        (
            SELECT
                service, vantage, sipHash64(connection_id) AS connection,
                min(visibility = 'at_open') AS at_open,
                minOrNullIf(if(event = 'websocket.open', time,
                        time - toIntervalMillisecond(toInt64(least(ifNull(connection_duration, 0), 1e9) * 1000))),
                    event = 'websocket.open' OR connection_duration >= 0) AS opened,
                maxOrNullIf(time, event = 'websocket.close') AS closed
            FROM events
            WHERE event IN ('websocket.open', 'websocket.close') AND connection_id != ''
                AND counted_at >= {at:DateTime64(3)} - INTERVAL 1 DAY AND counted_at < {at:DateTime64(3)} + INTERVAL 1 DAY
                AND ({service:String} = '' OR service = {service:String})
            GROUP BY service, vantage, connection
        )
        GROUP BY service, vantage
    )
    GROUP BY service, vantage
)
ORDER BY active DESC NULLS LAST, at_least DESC NULLS LAST, service, vantage
LIMIT {limit:UInt32}
