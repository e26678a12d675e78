-- Who breaks the protocol or sends what the schema forbids?
SELECT
    service, event, error_type, direction, attributes['websocket.schema.id'] AS schema, tenant,
    sum(count) AS errors,
    uniqIf(client_hash, client_hash != '') AS clients,
    argMax(connection_id, time) AS example,
    max(time) AS last
FROM events
WHERE event IN ('websocket.error', 'websocket.message.rejected', 'websocket.message.dropped')
    AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
    AND ({service:String} = '' OR service = {service:String})
    AND ({tenant:String} = '' OR tenant = {tenant:String})
GROUP BY service, event, error_type, direction, schema, tenant
ORDER BY errors DESC, service, event, error_type, direction, schema, tenant
LIMIT {limit:UInt32}
