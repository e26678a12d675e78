-- What did this client do?
-- --client is its pseudonym, such as p1:k1:…, or what is stored of its address. The newest come first.
SELECT
    time, service, connection_id, event, direction, outcome, error_type, status, close_code,
    round(ifNull(duration, connection_duration), 3) AS seconds,
    count, bytes, tenant, url_path, trace_id
FROM events
PREWHERE client_hash = {client:String} OR client_address = {client:String}
WHERE counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
    AND ({service:String} = '' OR service = {service:String})
ORDER BY time DESC, connection_id, event, direction
LIMIT {limit:UInt32}
