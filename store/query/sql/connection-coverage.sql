-- How much of what connections did is known?
-- Percent of the closes in the range that say it, by source. What a source cannot see stays empty in every other answer.
SELECT
    service, vantage, source_type, visibility,
    countIf(event = 'websocket.open') AS opens,
    countIf(event = 'websocket.close') AS closes,
    round(100 * countIf(event = 'websocket.close' AND connection_duration >= 0) / nullIf(closes, 0), 1) AS duration_percent,
    round(100 * countIf(event = 'websocket.close' AND io_received IS NOT NULL) / nullIf(closes, 0), 1) AS bytes_received_percent,
    round(100 * countIf(event = 'websocket.close' AND io_sent IS NOT NULL) / nullIf(closes, 0), 1) AS bytes_sent_percent,
    round(100 * countIf(event = 'websocket.close' AND mapContains(attributes, 'websocket.io.messages_received'))
        / nullIf(closes, 0), 1) AS messages_percent,
    round(100 * countIf(event = 'websocket.close' AND close_clean IS NOT NULL) / nullIf(closes, 0), 1) AS clean_percent,
    round(100 * countIf(event = 'websocket.close' AND close_code IS NOT NULL) / nullIf(closes, 0), 1) AS code_percent
FROM events
WHERE event IN ('websocket.open', 'websocket.close')
    AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
    AND ({service:String} = '' OR service = {service:String})
GROUP BY service, vantage, source_type, visibility
ORDER BY closes DESC, opens DESC, service, vantage, source_type, visibility
LIMIT {limit:UInt32}
