-- What did the traces see of this connection?
-- Spans of the connection, and of every trace that one of its events belongs to. They are sampled and may be lost: count events
-- instead.
WITH
    -- A list, because a cluster refuses what would be asked of each shard by each shard.
    (
        SELECT groupUniqArray(10000)(trace_id) FROM events
        WHERE connection_id = {connection:String} AND trace_id != ''
            AND counted_at >= {since:DateTime64(3)} AND counted_at < {until:DateTime64(3)}
    ) AS traced
SELECT
    start, service, name, kind, round(duration, 6) AS seconds, status, error_type, connection_id,
    trace_id, span_id, parent_id
FROM traces
WHERE start >= {since:DateTime64(3)} AND start < {until:DateTime64(3)}
    AND (connection_id = {connection:String} OR trace_id IN (SELECT arrayJoin(traced)))
ORDER BY start, trace_id, span_id
LIMIT 1 BY trace_id, span_id
LIMIT {limit:UInt32}
