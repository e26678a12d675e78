-- Which clients send and receive the most?
-- Messages where the source counts them; else the bytes that it saw at the connection's end. A client is its pseudonym, or what is
-- stored of its address where there is none. A connection counts when it has ended, at each vantage.
WITH
    -- Days that lie wholly in the range are read from what is kept by day, the rest from events.
    toStartOfDay({since:DateTime64(3)} + INTERVAL 86399999 MILLISECOND, 'UTC') AS first_day,
    greatest(first_day, toStartOfDay({until:DateTime64(3)}, 'UTC')) AS days_end
SELECT
    client,
    arraySort(groupUniqArrayArray(10)(tenants)) AS tenants,
    sum(closed) AS connections,
    sum(received) AS messages_received,
    sum(sent) AS messages_sent,
    if(messages_received + messages_sent > 0, sum(bytes_of_messages), toUInt64(sum(bytes_of_closed))) AS bytes_in_all,
    max(latest) AS last
FROM
(
    SELECT
        client, groupUniqArray(10)(tenant) AS tenants, sum(c.closed) AS closed, sum(c.closed_bytes) AS bytes_of_closed,
        sum(messages_received) AS received, sum(messages_sent) AS sent, sum(message_bytes) AS bytes_of_messages, max(c.last) AS latest
    FROM client_usage_1d AS c
    WHERE bucket >= first_day AND bucket < days_end
        AND ({service:String} = '' OR service = {service:String})
        AND ({tenant:String} = '' OR tenant = {tenant:String})
    GROUP BY client
    UNION ALL
    SELECT
        if(client_hash = '', client_address, client_hash) AS client, groupUniqArray(10)(tenant), countIf(event = 'websocket.close'),
        sumIf(ifNull(io_received, 0) + ifNull(io_sent, 0), event = 'websocket.close'),
        sumIf(count, event = 'websocket.message' AND direction = 'receive'),
        sumIf(count, event = 'websocket.message' AND direction = 'transmit'),
        sumIf(bytes, event = 'websocket.message'), max(counted_at)
    FROM events
    WHERE event IN ('websocket.close', 'websocket.message') AND client != ''
        AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
        AND (counted_at < first_day OR counted_at >= days_end)
        AND ({service:String} = '' OR service = {service:String})
        AND ({tenant:String} = '' OR tenant = {tenant:String})
    GROUP BY client
)
GROUP BY client
ORDER BY bytes_in_all DESC, messages_received + messages_sent DESC, client
LIMIT {limit:UInt32}
