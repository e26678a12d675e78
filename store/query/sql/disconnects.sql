-- Who was disconnected, and why?
-- Ends that nobody wanted: a reset, a lost peer, a close that was not clean. Ask `connection` about the example.
SELECT
    service, region, tenant, error_type, close_code, close_initiator,
    sum(count) AS closes,
    uniqIf(client_hash, client_hash != '') AS clients,
    round(quantile(0.5)(connection_duration), 1) AS median_seconds,
    argMax(connection_id, time) AS example,
    max(time) AS last
FROM events
WHERE event = 'websocket.close' AND outcome = 'failure'
    AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
    AND ({service:String} = '' OR service = {service:String})
    AND ({tenant:String} = '' OR tenant = {tenant:String})
GROUP BY service, region, tenant, error_type, close_code, close_initiator
ORDER BY closes DESC, service, region, tenant, error_type, close_code, close_initiator
LIMIT {limit:UInt32}
