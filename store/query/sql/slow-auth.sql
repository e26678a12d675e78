-- Which authentications took longest?
-- idp_seconds is the identity provider's part of it. A trace id finds the spans.
SELECT
    time, service, tenant, attributes['websocket.auth.method'] AS method, outcome, error_type,
    round(duration, 3) AS seconds,
    round(toFloat64OrNull(attributes['websocket.auth.idp.duration']), 3) AS idp_seconds,
    connection_id, trace_id
FROM events
WHERE event = 'websocket.auth' AND duration IS NOT NULL
    AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
    AND ({service:String} = '' OR service = {service:String})
    AND ({tenant:String} = '' OR tenant = {tenant:String})
ORDER BY duration DESC, time, connection_id
LIMIT {limit:UInt32}
