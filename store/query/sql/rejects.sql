-- Which handshakes were refused, and for what?
-- The share is of all handshakes of the service at that vantage.
WITH opens AS
    (
        SELECT service, vantage, sum(count) AS opened
        FROM events
        WHERE event = 'websocket.open'
            AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
            AND ({service:String} = '' OR service = {service:String})
        GROUP BY service, vantage
    )
SELECT
    service, vantage, error_type, fault, policy, status, rejects,
    round(100 * rejects / (opened + refused), 2) AS share_percent,
    clients, last
FROM
(
    SELECT
        service, vantage, error_type, fault, policy, status,
        sum(count) AS rejects,
        sum(rejects) OVER (PARTITION BY service, vantage) AS refused,
        uniqIf(client_hash, client_hash != '') AS clients,
        max(time) AS last
    FROM events
    WHERE event = 'websocket.handshake.rejected'
        AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
        AND ({service:String} = '' OR service = {service:String})
    GROUP BY service, vantage, error_type, fault, policy, status
) AS r
LEFT JOIN opens USING (service, vantage)
ORDER BY rejects DESC, service, vantage, error_type, fault, policy, status
LIMIT {limit:UInt32}
