-- Where do clients connect without TLS?
-- ws:// as the source saw it: behind a proxy that ends TLS, ask what the proxy saw, by its vantage.
SELECT
    service, vantage, instance, server_address, if(url_template != '', url_template, url_path) AS path,
    sum(count) AS opens,
    uniqIf(client_hash, client_hash != '') AS clients,
    max(time) AS last
FROM events
WHERE event = 'websocket.open' AND url_scheme IN ('ws', 'http')
    AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
    AND ({service:String} = '' OR service = {service:String})
GROUP BY service, vantage, instance, server_address, path
ORDER BY opens DESC, service, vantage, instance, server_address, path
LIMIT {limit:UInt32}
