-- How far has each source been read, and which fell silent?
-- A source says so every five seconds; one that has not for a minute has fallen silent, and no SLO waits for it.
SELECT
    source, read_through, backlog, wall AS said,
    if(wall < {until:DateTime64(3)} - INTERVAL 60 SECOND, 'silent', 'alive') AS state,
    round(dateDiff('millisecond', read_through, toDateTime64({until:DateTime64(3)}, 9, 'UTC')) / 1000, 1) AS seconds_behind
FROM source_progress FINAL
ORDER BY state DESC, seconds_behind DESC, source
LIMIT {limit:UInt32}
