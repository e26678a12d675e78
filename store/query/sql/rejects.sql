-- Which handshakes were refused, and for what?
-- The share is of all handshakes of the service at that vantage.
SELECT
    service, vantage, error_type, fault, policy, status, rejects, share_percent, clients, last
FROM
(
    SELECT
        service, vantage, error_type, fault, policy, status, event,
        sum(count) AS rejects,
        round(100 * rejects / sum(rejects) OVER (PARTITION BY service, vantage), 2) AS share_percent,
        uniqIf(client_hash, client_hash != '') AS clients,
        max(time) AS last
    FROM events
    WHERE event IN ('websocket.open', 'websocket.handshake.rejected')
        AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
        AND ({service:String} = '' OR service = {service:String})
    GROUP BY service, vantage, error_type, fault, policy, status, event
)
WHERE event = 'websocket.handshake.rejected'
ORDER BY rejects DESC, service, vantage, error_type, fault, policy, status
LIMIT {limit:UInt32}
