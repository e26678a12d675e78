-- Which handshakes were refused, and for what?
-- The share is of all handshakes of the service at that vantage.
WITH handshakes AS
    (
        SELECT service, vantage, sum(count) AS all
        FROM events
        WHERE event IN ('websocket.open', 'websocket.handshake.rejected')
            AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
            AND ({service:String} = '' OR service = {service:String})
        GROUP BY service, vantage
    )
SELECT
    service, vantage, error_type, fault, policy, status, refusals AS rejects,
    round(100 * refusals / handshakes.all, 2) AS share_percent, refused AS clients, latest AS last
FROM
(
    SELECT
        service, vantage, error_type, fault, policy, status,
        sum(count) AS refusals,
        uniqIf(client_hash, client_hash != '') AS refused,
        max(time) AS latest
    FROM events
    WHERE event = 'websocket.handshake.rejected'
        AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
        AND ({service:String} = '' OR service = {service:String})
    GROUP BY service, vantage, error_type, fault, policy, status
) AS rejected
INNER JOIN handshakes USING (service, vantage)
ORDER BY rejects DESC, service, vantage, error_type, fault, policy, status
LIMIT {limit:UInt32}
