-- Which clients are refused the most?
-- A client is its pseudonym, or what is left of its address where there is none. Ask `client` what else it did.
SELECT
    if(client_hash != '', client_hash, client_address) AS client,
    sum(count) AS refusals,
    arraySort(groupUniqArray(10)(if(error_type != '', error_type, policy))) AS reasons,
    arraySort(groupUniqArray(10)(service)) AS services,
    min(time) AS first,
    max(time) AS last
FROM events
WHERE (event = 'websocket.handshake.rejected'
        -- A handshake over a limit has a rejection as well.
        OR event = 'websocket.rate_limited' AND attributes['websocket.rate_limit.scope'] = 'message')
    AND client != ''
    AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
    AND ({service:String} = '' OR service = {service:String})
GROUP BY client
ORDER BY refusals DESC, client
LIMIT {limit:UInt32}
