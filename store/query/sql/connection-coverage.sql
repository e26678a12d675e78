-- How much of what connections did is known?
-- Percent of the closes in the range that say it, by source. What a source cannot see stays empty in every other answer.
SELECT
    service, vantage, source_type, visibility,
    sum(opened) AS opens,
    sum(closed) AS closes,
    round(100 * sum(timed) / nullIf(closes, 0), 1) AS duration_percent,
    round(100 * sum(received) / nullIf(closes, 0), 1) AS bytes_received_percent,
    round(100 * sum(sent) / nullIf(closes, 0), 1) AS bytes_sent_percent,
    round(100 * sum(messages) / nullIf(closes, 0), 1) AS messages_percent,
    round(100 * sum(clean) / nullIf(closes, 0), 1) AS clean_percent,
    round(100 * sum(coded) / nullIf(closes, 0), 1) AS code_percent
FROM
(
    SELECT
        service, vantage, source_type, visibility, 0 AS opened, count() AS closed,
        countIf(connection_duration >= 0) AS timed,
        count(io_received) AS received,
        count(io_sent) AS sent,
        countIf(mapContains(attributes, 'websocket.io.messages_received')) AS messages,
        count(close_clean) AS clean,
        count(close_code) AS coded
    FROM events
    WHERE event = 'websocket.close'
        AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
        AND ({service:String} = '' OR service = {service:String})
    GROUP BY service, vantage, source_type, visibility
    UNION ALL
    SELECT service, vantage, source_type, visibility, count(), 0, 0, 0, 0, 0, 0, 0
    FROM events
    WHERE event = 'websocket.open'
        AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
        AND ({service:String} = '' OR service = {service:String})
    GROUP BY service, vantage, source_type, visibility
)
GROUP BY service, vantage, source_type, visibility
ORDER BY closes DESC, opens DESC, service, vantage, source_type, visibility
LIMIT {limit:UInt32}
