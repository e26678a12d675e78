-- Who changed, blocked or revoked what?
-- From audit, which is kept for more than a year. about is whom it concerned: a user, a client, a tenant or a connection.
SELECT
    time, service, instance, event, kind, state, reason, actor, tenant,
    multiIf(user_hash != '', user_hash, client_hash != '', client_hash, client_address != '', client_address, connection_id) AS about,
    arrayStringConcat(arrayMap(k -> concat(k, '=', attributes[k]),
        arraySort(arrayFilter(k -> startsWith(k, 'websocket.deploy.') OR k = 'websocket.policy.connections', mapKeys(attributes)))), ' ') AS what
FROM audit
WHERE counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
    AND ({service:String} = '' OR service = {service:String})
    AND ({tenant:String} = '' OR tenant = {tenant:String})
ORDER BY time DESC, service, instance, event, kind, state, about, what
LIMIT {limit:UInt32}
