-- What did each tenant use?
-- Whole hours. Empty is unknown: the source does not see it.
SELECT
    service, vantage, tenant,
    sum(opened) AS opens,
    round(sum(connection_milliseconds) / 3600000, 3) AS connection_hours,
    sum(messages) AS messages,
    sum(message_bytes) AS message_bytes,
    sum(bytes_received) AS bytes_received,
    sum(bytes_sent) AS bytes_sent
FROM usage_1h AS u
WHERE u.bucket >= toStartOfHour({since:DateTime64(3)}) AND u.bucket < {until:DateTime64(3)}
    AND ({service:String} = '' OR service = {service:String})
    AND ({tenant:String} = '' OR tenant = {tenant:String})
GROUP BY service, vantage, tenant
ORDER BY connection_hours DESC NULLS LAST, opens DESC, service, vantage, tenant
LIMIT {limit:UInt32}
