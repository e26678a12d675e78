-- Which tenants grew?
-- Compared with as long a time before --since; whole minutes, or whole hours where that is more than a day.
WITH
    dateDiff('second', {since:DateTime64(3)}, {until:DateTime64(3)}) > 86400 AS long,
    if(long, toStartOfHour({since:DateTime64(3)}), toStartOfMinute({since:DateTime64(3)})) AS middle,
    if(long, toStartOfHour({until:DateTime64(3)}), toStartOfMinute({until:DateTime64(3)})) AS stop,
    middle - toIntervalSecond(dateDiff('second', middle, stop)) AS start
SELECT
    service, vantage, tenant,
    sumIf(opened, bucket >= middle) AS opens,
    sumIf(opened, bucket < middle) AS opens_before,
    toInt64(opens) - toInt64(opens_before) AS more_opens,
    sumIf(sent, bucket >= middle) AS messages,
    sumIf(sent, bucket < middle) AS messages_before,
    toInt64(messages) - toInt64(messages_before) AS more_messages
FROM
(
    SELECT bucket, service, vantage, tenant, if(event = 'websocket.open', count, 0) AS opened, if(event = 'websocket.message', count, 0) AS sent
    FROM rollup_1m
    WHERE NOT long AND event IN ('websocket.open', 'websocket.message') AND bucket >= start AND bucket < stop
        AND ({service:String} = '' OR service = {service:String})
    UNION ALL
    SELECT bucket, service, vantage, tenant, u.opened AS opened, ifNull(u.messages, 0) AS sent
    FROM usage_1h AS u
    WHERE long AND bucket >= start AND bucket < stop AND (u.opened > 0 OR u.messages > 0)
        AND ({service:String} = '' OR service = {service:String})
)
GROUP BY service, vantage, tenant
ORDER BY more_opens DESC, more_messages DESC, service, vantage, tenant
LIMIT {limit:UInt32}
