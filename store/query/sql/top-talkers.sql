-- Which clients send and receive the most?
-- Messages where the source counts them; else the bytes that it saw at the connection's end. A client is its pseudonym, or what is
-- stored of its address where there is none.
WITH
    (
        SELECT groupArray(client_hash)
        FROM
        (
            SELECT client_hash
            FROM
            (
                SELECT
                    client_hash, sumIf(count, direction IN ('receive', 'transmit')) AS messages,
                    sum(bytes) AS message_bytes, 0 AS close_bytes
                FROM events
                WHERE event = 'websocket.message' AND client_hash != ''
                    AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
                    AND ({service:String} = '' OR service = {service:String})
                    AND ({tenant:String} = '' OR tenant = {tenant:String})
                GROUP BY client_hash
                UNION ALL
                SELECT client_hash, 0, 0, toUInt64(sum(ifNull(io_received, 0) + ifNull(io_sent, 0)))
                FROM events
                WHERE event = 'websocket.close' AND client_hash != ''
                    AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
                    AND ({service:String} = '' OR service = {service:String})
                    AND ({tenant:String} = '' OR tenant = {tenant:String})
                GROUP BY client_hash
            )
            GROUP BY client_hash
            ORDER BY if(sum(messages) > 0, sum(message_bytes), sum(close_bytes)) DESC, sum(messages) DESC, client_hash
            LIMIT {limit:UInt32}
        )
    ) AS named,
    -- IN, because the index of pseudonyms is not asked for = ''.
    (
        SELECT groupArray(client_address)
        FROM
        (
            SELECT client_address
            FROM
            (
                SELECT
                    client_address,
                    sumIf(count, event = 'websocket.message' AND direction = 'receive') AS received,
                    sumIf(count, event = 'websocket.message' AND direction = 'transmit') AS sent,
                    if(received + sent > 0, sumIf(bytes, event = 'websocket.message'),
                        toUInt64(sumIf(ifNull(io_received, 0) + ifNull(io_sent, 0), event = 'websocket.close'))) AS bytes_of
                FROM events
                WHERE event IN ('websocket.message', 'websocket.close') AND client_hash IN ('') AND client_address != ''
                    AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
                    AND ({service:String} = '' OR service = {service:String})
                    AND ({tenant:String} = '' OR tenant = {tenant:String})
                GROUP BY client_address
                ORDER BY bytes_of DESC, received + sent DESC, client_address
                LIMIT {limit:UInt32}
            )
        )
    ) AS unnamed
SELECT
    client, tenants, connections, received AS messages_received, sent AS messages_sent, bytes_of AS bytes_in_all, latest AS last
FROM
(
    -- Only of those who may be in the answer: which connections all others had takes gigabytes of memory.
    SELECT
        client_hash AS client,
        arraySort(groupUniqArray(10)(tenant)) AS tenants,
        uniqExact(connection_id) AS connections,
        sumIf(count, event = 'websocket.message' AND direction = 'receive') AS received,
        sumIf(count, event = 'websocket.message' AND direction = 'transmit') AS sent,
        if(received + sent > 0, sumIf(bytes, event = 'websocket.message'),
            toUInt64(sumIf(ifNull(io_received, 0) + ifNull(io_sent, 0), event = 'websocket.close'))) AS bytes_of,
        max(time) AS latest
    FROM events
    WHERE event IN ('websocket.message', 'websocket.close')
        AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
        AND ({service:String} = '' OR service = {service:String})
        AND ({tenant:String} = '' OR tenant = {tenant:String})
        AND client_hash IN (SELECT arrayJoin(named))
    GROUP BY client
    UNION ALL
    SELECT
        client_address AS client,
        arraySort(groupUniqArray(10)(tenant)) AS tenants,
        uniqExact(connection_id) AS connections,
        sumIf(count, event = 'websocket.message' AND direction = 'receive') AS received,
        sumIf(count, event = 'websocket.message' AND direction = 'transmit') AS sent,
        if(received + sent > 0, sumIf(bytes, event = 'websocket.message'),
            toUInt64(sumIf(ifNull(io_received, 0) + ifNull(io_sent, 0), event = 'websocket.close'))) AS bytes_of,
        max(time) AS latest
    FROM events
    WHERE event IN ('websocket.message', 'websocket.close') AND client_hash IN ('')
        AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
        AND ({service:String} = '' OR service = {service:String})
        AND ({tenant:String} = '' OR tenant = {tenant:String})
        AND client_address IN (SELECT arrayJoin(unnamed))
    GROUP BY client
)
ORDER BY bytes_in_all DESC, messages_received + messages_sent DESC, client
LIMIT {limit:UInt32}
