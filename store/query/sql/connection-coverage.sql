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
    -- Grouped by numbers that stand for the names, which takes half the time of the names themselves.
    SELECT
        any(e.service) AS service, any(e.vantage) AS vantage, any(e.source_type) AS source_type, any(e.visibility) AS visibility,
        0 AS opened, count() AS closed,
        countIf(e.connection_duration >= 0) AS timed,
        count(e.io_received) AS received,
        count(e.io_sent) AS sent,
        countIf(mapContains(e.attributes, 'websocket.io.messages_received')) AS messages,
        count(e.close_clean) AS clean,
        count(e.close_code) AS coded
    FROM events AS e
    WHERE e.event = 'websocket.close'
        AND e.counted_at >= {since:DateTime64(3)} AND e.counted_at < {until:DateTime64(3)}
        AND ({service:String} = '' OR e.service = {service:String})
    GROUP BY cityHash64(e.service), cityHash64(e.vantage), cityHash64(e.source_type), cityHash64(e.visibility)
    UNION ALL
    SELECT any(e.service), any(e.vantage), any(e.source_type), any(e.visibility), count(), 0, 0, 0, 0, 0, 0, 0
    FROM events AS e
    WHERE e.event = 'websocket.open'
        AND e.counted_at >= {since:DateTime64(3)} AND e.counted_at < {until:DateTime64(3)}
        AND ({service:String} = '' OR e.service = {service:String})
    GROUP BY cityHash64(e.service), cityHash64(e.vantage), cityHash64(e.source_type), cityHash64(e.visibility)
)
GROUP BY service, vantage, source_type, visibility
ORDER BY closes DESC, opens DESC, service, vantage, source_type, visibility
LIMIT {limit:UInt32}
