-- Which tenants grew?
-- Compared with as long a time before --since; whole minutes.
WITH
    toStartOfMinute({since:DateTime64(3)}) AS middle,
    toStartOfMinute({until:DateTime64(3)}) AS stop
SELECT
    service, vantage, tenant,
    sumIf(count, event = 'websocket.open' AND bucket >= middle) AS opens,
    sumIf(count, event = 'websocket.open' AND bucket < middle) AS opens_before,
    toInt64(opens) - toInt64(opens_before) AS more_opens,
    sumIf(count, event = 'websocket.message' AND bucket >= middle) AS messages,
    sumIf(count, event = 'websocket.message' AND bucket < middle) AS messages_before,
    toInt64(messages) - toInt64(messages_before) AS more_messages
FROM rollup_1m
WHERE event IN ('websocket.open', 'websocket.message') AND bucket < stop
    AND bucket >= middle - toIntervalSecond(dateDiff('second', middle, stop))
    AND ({service:String} = '' OR service = {service:String})
GROUP BY service, vantage, tenant
ORDER BY more_opens DESC, more_messages DESC, service, vantage, tenant
LIMIT {limit:UInt32}
