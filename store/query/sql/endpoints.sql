-- Which endpoints are in use, and which of them did nobody declare?
-- --declared lists host/path of those that should be, such as chat.example.com/ws; an asterisk stands for any text.
-- A declared one without opens is listed too.
WITH
    arrayMap(d -> replaceAll(replaceAll(replaceAll(replaceAll(d, '\\', '\\\\'), '%', '\\%'), '_', '\\_'), '*', '%'),
        {declared:Array(String)}) AS patterns
SELECT one.1 AS endpoint, one.2 AS declared, one.3 AS opens, one.4 AS rejects, one.5 AS services, one.6 AS last
FROM
(
    SELECT
        groupArray((endpoint, if(arrayExists(p -> endpoint LIKE p, patterns), 'yes', 'no'), opened, rejected, of, latest)) AS seen,
        arrayFilter((d, p) -> NOT arrayExists(s -> s.1 LIKE p, seen), {declared:Array(String)}, patterns) AS unseen
    FROM
    (
        SELECT
            concat(server_address, path) AS endpoint, sum(opens_of) AS opened, sum(rejects_of) AS rejected,
            arraySort(groupUniqArray(10)(toString(service))) AS of, toNullable(max(last_of)) AS latest
        FROM
        (
            SELECT
                server_address, service, if(url_template != '', url_template, url_path) AS path,
                sumIf(count, event = 'websocket.open') AS opens_of,
                sumIf(count, event = 'websocket.handshake.rejected') AS rejects_of,
                max(time) AS last_of
            FROM events
            WHERE event IN ('websocket.open', 'websocket.handshake.rejected')
                AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
                AND ({service:String} = '' OR service = {service:String})
            GROUP BY server_address, service, path
        )
        GROUP BY endpoint
    )
)
ARRAY JOIN arrayConcat(seen, arrayMap(d -> (d, 'yes, never seen', 0, 0, [], NULL), unseen)) AS one
ORDER BY declared, opens DESC, rejects DESC, endpoint
LIMIT {limit:UInt32}
