-- Which connections were there, how long, what did they carry, and how did they end?
-- Those that were opened or closed in the range; the last to change come first. Empty is unknown. coverage says what was seen in
-- the range: whole, its open and its close; open, no close yet, or it was lost; close, its open was before or nobody told it.
WITH
    -- So many rows hold the connections that changed last: one has an open and a close, and seldom more.
    (
        SELECT min(counted_at)
        FROM
        (
            SELECT counted_at
            FROM events
            WHERE event IN ('websocket.open', 'websocket.close') AND connection_id != ''
                AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
                AND ({service:String} = '' OR service = {service:String})
                AND ({tenant:String} = '' OR tenant = {tenant:String})
            ORDER BY counted_at DESC
            LIMIT 10000 + 10 * {limit:UInt32}
        )
    ) AS changed,
    (
        SELECT groupArray((service, vantage, connection_id))
        FROM
        (
            SELECT service, vantage, connection_id
            FROM events
            WHERE event IN ('websocket.open', 'websocket.close') AND connection_id != ''
                AND counted_at >= changed AND counted_at < {until:DateTime64(3)}
                AND ({service:String} = '' OR service = {service:String})
                AND ({tenant:String} = '' OR tenant = {tenant:String})
            GROUP BY service, vantage, connection_id
            ORDER BY max(counted_at) DESC, service, vantage, connection_id
            LIMIT {limit:UInt32}
        )
    ) AS chosen
SELECT
    service, vantage, connection_id, max(tenant) AS tenant,
    max(if(client_hash != '', client_hash, client_address)) AS client,
    ifNull(minOrNullIf(time, event = 'websocket.open'),
        minOrNullIf(time - toIntervalMillisecond(toInt64(least(ifNull(connection_duration, 0), 1e9) * 1000)),
            event = 'websocket.close' AND connection_duration >= 0)) AS opened,
    maxOrNullIf(time, event = 'websocket.close') AS closed,
    round(max(connection_duration), 3) AS seconds,
    max(close_code) AS close_code, max(close_initiator) AS close_initiator,
    maxIf(error_type, event = 'websocket.close') AS close_error,
    maxIf(attributes['websocket.close.reason'], event = 'websocket.close') AS close_reason,
    max(io_received) AS bytes_received, max(io_sent) AS bytes_sent,
    max(toUInt64OrNull(attributes['websocket.io.messages_received'])) AS messages_received,
    max(toUInt64OrNull(attributes['websocket.io.messages_sent'])) AS messages_sent,
    multiIf(countIf(event = 'websocket.open') = 0, 'close', countIf(event = 'websocket.close') = 0, 'open', 'whole') AS coverage
FROM events
WHERE event IN ('websocket.open', 'websocket.close')
    AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
    -- The id by itself as well, for its index.
    AND (service, vantage, connection_id) IN (SELECT arrayJoin(chosen)) AND connection_id IN (SELECT arrayJoin(chosen).3)
GROUP BY service, vantage, connection_id
ORDER BY max(counted_at) DESC, service, vantage, connection_id
LIMIT {limit:UInt32}
