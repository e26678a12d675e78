SELECT
    toUInt8(0) AS part,
    m.1 AS slo,
    [sumIf(m.3, age <= 0), sumIf(m.3, age <= 1), sumIf(m.3, age <= 2), sumIf(m.3, age <= 3), sumIf(m.3, age <= 4), sumIf(m.3, age <= 5), sumIf(m.3, age <= 6)] AS hits,
    [sumIf(m.4, age <= 0), sumIf(m.4, age <= 1), sumIf(m.4, age <= 2), sumIf(m.4, age <= 3), sumIf(m.4, age <= 4), sumIf(m.4, age <= 5), sumIf(m.4, age <= 6)] AS totals,
    [sumIf(m.5, age <= 0), sumIf(m.5, age <= 1), sumIf(m.5, age <= 2), sumIf(m.5, age <= 3), sumIf(m.5, age <= 4), sumIf(m.5, age <= 5), sumIf(m.5, age <= 6)] AS judgeds
FROM
(
    SELECT
        multiIf(bucket >= toDateTime(1772368480), 0, bucket >= toDateTime(1772368460), 1, bucket >= toDateTime(1772368430), 2, bucket >= toDateTime(1772368370), 3, bucket >= toDateTime(1772368130), 4, bucket >= toDateTime(1772367050), 5, 6) AS age,
        service,
        environment,
        vantage,
        event,
        outcome,
        error_type,
        fault,
        sum(count) AS n,
        sum(judged) AS judged_n,
        sum(duration_count) AS timed_n,
        sum(le_200ms) AS within_200ms
    FROM rollup_10s
    WHERE bucket >= toDateTime(1772364170) AND bucket < toDateTime(1772368490)
        AND service IN ('chat', 'it\'s a \\ service')
        AND vantage IN ('app', 'edge')
        AND event IN ('websocket.auth', 'websocket.handshake.rejected', 'websocket.open')
    GROUP BY age, service, environment, vantage, event, outcome, error_type, fault
)
ARRAY JOIN arrayFilter(x -> x.2, [
    (toUInt32(0), service = 'chat' AND vantage = 'app' AND environment = 'production' AND ((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure'))), judged_n, 0)),
    (toUInt32(1), service = 'chat' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth'), within_200ms, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), timed_n, 0)),
    (toUInt32(2), service = 'chat' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0)),
    (toUInt32(3), service = 'chat' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server'))), judged_n, 0)),
    (toUInt32(4), service = 'chat' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), judged_n, 0)),
    (toUInt32(5), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND ((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure'))), judged_n, 0)),
    (toUInt32(6), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth'), within_200ms, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), timed_n, 0)),
    (toUInt32(7), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0)),
    (toUInt32(8), service = 'it\'s a \\ service' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server'))), judged_n, 0)),
    (toUInt32(9), service = 'it\'s a \\ service' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), judged_n, 0))
]) AS m
GROUP BY slo
UNION ALL
SELECT
    toUInt8(1) AS part,
    m.1 AS slo,
    [sumIf(m.3, age <= 0)] AS hits,
    [sumIf(m.4, age <= 0)] AS totals,
    [sumIf(m.5, age <= 0)] AS judgeds
FROM
(
    SELECT
        multiIf(true, 0, 0) AS age,
        service,
        environment,
        vantage,
        event,
        outcome,
        error_type,
        fault,
        sum(count) AS n,
        sum(judged) AS judged_n,
        sum(duration_count) AS timed_n,
        sum(le_200ms) AS within_200ms
    FROM rollup_1m
    WHERE bucket >= toDateTime(1769776440) AND bucket < toDateTime(1772368440)
        AND service IN ('chat', 'it\'s a \\ service')
        AND vantage IN ('app', 'edge')
        AND event IN ('websocket.auth', 'websocket.handshake.rejected', 'websocket.open')
    GROUP BY age, service, environment, vantage, event, outcome, error_type, fault
)
ARRAY JOIN arrayFilter(x -> x.2, [
    (toUInt32(0), service = 'chat' AND vantage = 'app' AND environment = 'production' AND ((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure'))), judged_n, 0)),
    (toUInt32(1), service = 'chat' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth'), within_200ms, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), timed_n, 0)),
    (toUInt32(2), service = 'chat' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0)),
    (toUInt32(3), service = 'chat' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server'))), judged_n, 0)),
    (toUInt32(4), service = 'chat' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), judged_n, 0)),
    (toUInt32(5), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND ((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure'))), judged_n, 0)),
    (toUInt32(6), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth'), within_200ms, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), timed_n, 0)),
    (toUInt32(7), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0)),
    (toUInt32(8), service = 'it\'s a \\ service' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server'))), judged_n, 0)),
    (toUInt32(9), service = 'it\'s a \\ service' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), judged_n, 0))
]) AS m
GROUP BY slo
