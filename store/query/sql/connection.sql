-- What happened on this connection?
SELECT
    time, service, instance, vantage, event, direction, outcome, error_type, status, close_code, close_initiator,
    round(ifNull(duration, connection_duration), 3) AS seconds,
    count, bytes, trace_id
FROM events
WHERE connection_id = {connection:String}
    AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
ORDER BY time, event, direction
LIMIT {limit:UInt32}
