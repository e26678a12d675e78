-- Which records could not be stored, and why?
-- A letter stands for so many records of a chunk, between the places first and last. Nothing of what they said was kept.
SELECT time, service, source_type, reason, text, records, chunk_id, first, last
FROM dead_letters FINAL
WHERE time >= {since:DateTime64(3)} AND time < {until:DateTime64(3)}
    AND ({service:String} = '' OR service = {service:String})
ORDER BY time, chunk_id, first
LIMIT {limit:UInt32}
