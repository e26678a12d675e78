-- Which limits are reached, and by how many?
SELECT
    service, attributes['websocket.rate_limit.scope'] AS scope, policy, tenant,
    sum(count) AS breaches,
    uniqIf(client_hash, client_hash != '') AS clients,
    min(time) AS first,
    max(time) AS last
FROM events
WHERE event = 'websocket.rate_limited'
    AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
    AND ({service:String} = '' OR service = {service:String})
    AND ({tenant:String} = '' OR tenant = {tenant:String})
GROUP BY service, scope, policy, tenant
ORDER BY breaches DESC, service, scope, policy, tenant
LIMIT {limit:UInt32}
