-- What was changed by people or by policies?
SELECT
    time, service, instance, event,
    arrayStringConcat(arrayMap(k -> concat(k, '=', attributes[k]),
        arraySort(arrayFilter(k -> startsWith(k, 'websocket.policy.') OR startsWith(k, 'websocket.deploy.'),
            mapKeys(attributes)))), ' ') AS what
FROM events
PREWHERE event IN ('websocket.deploy', 'websocket.policy.changed')
WHERE counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
    AND ({service:String} = '' OR service = {service:String})
ORDER BY time DESC, service, instance, event, what
LIMIT {limit:UInt32}
