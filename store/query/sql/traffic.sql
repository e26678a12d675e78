-- What happened, minute by minute?
-- The newest minute comes first. Messages are those of sources that count them.
SELECT
    bucket AS minute, service, vantage,
    sumIf(count, event = 'websocket.open') AS opens,
    sumIf(count, event = 'websocket.handshake.rejected') AS rejects,
    sumIf(count, event = 'websocket.auth' AND outcome = 'failure') AS auth_failures,
    sumIf(count, event = 'websocket.close') AS closes,
    sumIf(count, event = 'websocket.close' AND outcome = 'failure') AS unexpected_closes,
    sumIf(count, event = 'websocket.message') AS messages,
    sumIf(count, event = 'websocket.error') AS errors,
    sumIf(count, event = 'websocket.rate_limited') AS rate_limited
FROM rollup_1m
WHERE event IN ('websocket.open', 'websocket.handshake.rejected', 'websocket.auth', 'websocket.close', 'websocket.message',
        'websocket.error', 'websocket.rate_limited')
    AND bucket >= {since:DateTime64(3)} AND bucket < {until:DateTime64(3)}
    AND ({service:String} = '' OR service = {service:String})
    -- A minute has a row or more, so the answer lies within as many of the newest quarters of an hour.
    AND bucket >= (SELECT min(quarter) FROM (
        SELECT DISTINCT bucket AS quarter
        FROM rollup_15m
        WHERE event IN ('websocket.open', 'websocket.handshake.rejected', 'websocket.auth', 'websocket.close', 'websocket.message',
                'websocket.error', 'websocket.rate_limited')
            AND bucket >= toStartOfFifteenMinutes({since:DateTime64(3)}) AND bucket < {until:DateTime64(3)}
            AND ({service:String} = '' OR service = {service:String})
        ORDER BY quarter DESC
        LIMIT {limit:UInt32}))
GROUP BY minute, service, vantage
ORDER BY minute DESC, service, vantage
LIMIT {limit:UInt32}
