-- Which endpoints are in use, and which of them did nobody declare?
-- --declared lists host/path of those that should be, such as chat.example.com/ws; an asterisk stands for any text.
-- A declared one without opens is listed too.
WITH
    arrayMap(d -> replaceAll(replaceAll(replaceAll(replaceAll(d, '\\', '\\\\'), '%', '\\%'), '_', '\\_'), '*', '%'),
        {declared:Array(String)}) AS patterns,
    seen AS
    (
        SELECT
            concat(server_address, if(url_template != '', url_template, url_path)) AS endpoint,
            sumIf(count, event = 'websocket.open') AS opens,
            sumIf(count, event = 'websocket.handshake.rejected') AS rejects,
            arraySort(groupUniqArray(10)(service)) AS services,
            max(time) AS last
        FROM events
        WHERE event IN ('websocket.open', 'websocket.handshake.rejected')
            AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
            AND ({service:String} = '' OR service = {service:String})
        GROUP BY endpoint
    )
SELECT endpoint, declared, opens, rejects, services, last
FROM
(
    SELECT
        endpoint, if(arrayExists(p -> endpoint LIKE p, patterns), 'yes', 'no') AS declared, opens, rejects, services,
        toNullable(last) AS last
    FROM seen
    UNION ALL
    SELECT d AS endpoint, 'yes, never seen' AS declared, 0 AS opens, 0 AS rejects, [] AS services, NULL AS last
    FROM (SELECT arrayJoin(arrayZip({declared:Array(String)}, patterns)) AS pair, pair.1 AS d, pair.2 AS pattern)
    WHERE NOT arrayExists(e -> e LIKE pattern, (SELECT groupArray(endpoint) FROM seen))
)
ORDER BY declared, opens DESC, rejects DESC, endpoint
LIMIT {limit:UInt32}
