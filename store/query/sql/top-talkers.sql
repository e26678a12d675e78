-- Which clients send and receive the most?
-- Messages where the source counts them; else the bytes that it saw at the connection's end.
WITH talkers AS
    (
        SELECT
            if(client_hash != '', client_hash, client_address) AS client,
            sumIf(count, event = 'websocket.message' AND direction = 'receive') AS received,
            sumIf(count, event = 'websocket.message' AND direction = 'transmit') AS sent,
            if(received + sent > 0, sumIf(bytes, event = 'websocket.message'),
                toUInt64(sumIf(ifNull(io_received, 0) + ifNull(io_sent, 0), event = 'websocket.close'))) AS bytes_in_all
        FROM events
        WHERE event IN ('websocket.message', 'websocket.close') AND client != ''
            AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
            AND ({service:String} = '' OR service = {service:String})
            AND ({tenant:String} = '' OR tenant = {tenant:String})
        GROUP BY client
        ORDER BY bytes_in_all DESC, received + sent DESC, client
        LIMIT {limit:UInt32}
    )
SELECT
    client,
    arraySort(groupUniqArray(10)(tenant)) AS tenants,
    uniqExact(connection_id) AS connections,
    any(received) AS messages_received,
    any(sent) AS messages_sent,
    any(t.bytes_in_all) AS bytes_in_all,
    max(time) AS last
FROM
(
    -- Only of those who are in the answer: which connections all others had takes gigabytes of memory.
    SELECT if(client_hash != '', client_hash, client_address) AS client, tenant, connection_id, time
    FROM events
    WHERE event IN ('websocket.message', 'websocket.close') AND client GLOBAL IN (SELECT client FROM talkers)
        AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
        AND ({service:String} = '' OR service = {service:String})
        AND ({tenant:String} = '' OR tenant = {tenant:String})
) AS e
INNER JOIN talkers AS t USING (client)
GROUP BY client
ORDER BY bytes_in_all DESC, messages_received + messages_sent DESC, client
LIMIT {limit:UInt32}
