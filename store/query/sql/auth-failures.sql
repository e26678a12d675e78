-- Why do authentications fail, and is it ours?
-- fault client is a bad or an expired token; idp and server are the provider's and the service's, and page.
SELECT
    service, tenant, attributes['websocket.auth.method'] AS method, error_type, fault,
    sum(count) AS failures,
    uniqIf(client_hash, client_hash != '') AS clients,
    round(quantile(0.95)(duration), 3) AS p95_seconds,
    min(time) AS first,
    max(time) AS last
FROM events
WHERE event IN ('websocket.auth', 'websocket.auth.refreshed', 'websocket.auth.revoked') AND outcome = 'failure'
    AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
    AND ({service:String} = '' OR service = {service:String})
    AND ({tenant:String} = '' OR tenant = {tenant:String})
GROUP BY service, tenant, method, error_type, fault
ORDER BY failures DESC, service, tenant, method, error_type, fault
LIMIT {limit:UInt32}
