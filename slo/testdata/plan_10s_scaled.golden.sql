SELECT toUInt8(0) AS part, slot, grp, toUInt32(at) AS span, sum(h) AS hits, sum(t) AS totals, sum(j) AS judgeds
FROM
(
    SELECT m.1 AS slot, '' AS grp, at, m.3 AS h, m.4 AS t, m.5 AS j
    FROM
    (
        SELECT
            multiIf(bucket >= toDateTime(1772368480), 6, bucket >= toDateTime(1772368460), 5, bucket >= toDateTime(1772368430), 4, bucket >= toDateTime(1772368370), 3, bucket >= toDateTime(1772368130), 2, bucket >= toDateTime(1772367050), 1, 0) AS at,
            service,
            environment,
            vantage,
            tenant,
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
        GROUP BY at, service, environment, vantage, tenant, event, outcome, error_type, fault
    )
    ARRAY JOIN arrayFilter(x -> x.2, [
        (toUInt32(0), service = 'chat' AND vantage = 'app' AND environment = 'production' AND ((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure'))), judged_n, 0)),
        (toUInt32(1), service = 'chat' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth'), within_200ms, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), timed_n, 0)),
        (toUInt32(2), service = 'chat' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0)),
        (toUInt32(4), service = 'chat' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server'))), judged_n, 0)),
        (toUInt32(5), service = 'chat' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), judged_n, 0)),
        (toUInt32(6), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND ((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure'))), judged_n, 0)),
        (toUInt32(7), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth'), within_200ms, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), timed_n, 0)),
        (toUInt32(8), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0)),
        (toUInt32(10), service = 'it\'s a \\ service' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server'))), judged_n, 0)),
        (toUInt32(11), service = 'it\'s a \\ service' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), judged_n, 0))
    ]) AS m
)
GROUP BY slot, grp, span
UNION ALL
SELECT toUInt8(1) AS part, slot, grp, toUInt32(at) AS span, sum(h) AS hits, sum(t) AS totals, sum(j) AS judgeds
FROM
(
    SELECT m.1 AS slot, '' AS grp, at, m.3 AS h, m.4 AS t, m.5 AS j
    FROM
    (
        SELECT
            0 AS at,
            service,
            environment,
            vantage,
            tenant,
            event,
            outcome,
            error_type,
            fault,
            sum(count) AS n,
            sum(judged) AS judged_n,
            sum(duration_count) AS timed_n,
            sum(le_200ms) AS within_200ms
        FROM
        (
            SELECT bucket, service, environment, vantage, tenant, event, outcome, error_type, fault, count, judged, duration_count, le_200ms
            FROM rollup_1m
            WHERE (bucket >= toDateTime(1769776440) AND bucket < toDateTime(1769777100) OR bucket >= toDateTime(1772368200) AND bucket < toDateTime(1772368440))
                AND service IN ('chat', 'it\'s a \\ service')
                AND vantage IN ('app', 'edge')
                AND event IN ('websocket.auth', 'websocket.handshake.rejected', 'websocket.open')
            UNION ALL
            SELECT bucket, service, environment, vantage, tenant, event, outcome, error_type, fault, count, judged, duration_count, le_200ms
            FROM rollup_15m
            WHERE (bucket >= toDateTime(1769777100) AND bucket < toDateTime(1772368200))
                AND service IN ('chat', 'it\'s a \\ service')
                AND vantage IN ('app', 'edge')
                AND event IN ('websocket.auth', 'websocket.handshake.rejected', 'websocket.open')
        )
        GROUP BY at, service, environment, vantage, tenant, event, outcome, error_type, fault
    )
    ARRAY JOIN arrayFilter(x -> x.2, [
        (toUInt32(0), service = 'chat' AND vantage = 'app' AND environment = 'production' AND ((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure'))), judged_n, 0)),
        (toUInt32(1), service = 'chat' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth'), within_200ms, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), timed_n, 0)),
        (toUInt32(2), service = 'chat' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0)),
        (toUInt32(4), service = 'chat' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server'))), judged_n, 0)),
        (toUInt32(5), service = 'chat' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), judged_n, 0)),
        (toUInt32(6), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND ((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure')) OR (event = 'websocket.auth' AND fault IN ('unknown') AND outcome IN ('failure'))), n, 0), if(((event = 'websocket.auth' AND outcome IN ('success')) OR (event = 'websocket.auth' AND fault IN ('idp', 'server') AND outcome IN ('failure'))), judged_n, 0)),
        (toUInt32(7), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth'), within_200ms, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), timed_n, 0)),
        (toUInt32(8), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0)),
        (toUInt32(10), service = 'it\'s a \\ service' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server')) OR (event = 'websocket.handshake.rejected' AND fault IN ('unknown') AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND fault IN ('idp', 'network', 'server'))), judged_n, 0)),
        (toUInt32(11), service = 'it\'s a \\ service' AND vantage = 'edge' AND environment = 'production' AND (event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), if((event = 'websocket.open'), judged_n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), n, 0), if((event = 'websocket.open' OR (event = 'websocket.handshake.rejected' AND error_type NOT IN ('tls_failed'))), judged_n, 0))
    ]) AS m
)
GROUP BY slot, grp, span
UNION ALL
SELECT toUInt8(2) AS part, slot, grp, toUInt32(at) AS span, sum(h) AS hits, sum(t) AS totals, sum(j) AS judgeds
FROM
(
    SELECT m.1 AS slot, if((m.1, m.3) IN
    (
        SELECT slot, grp FROM
        (
            SELECT slot, grp, row_number() OVER (PARTITION BY slot ORDER BY sum(t) DESC, grp) AS place
            FROM
            (
                SELECT slot, grp, t FROM
                (
                    SELECT m.1 AS slot, m.3 AS grp, at, m.4 AS h, m.5 AS t, m.6 AS j
                    FROM
                    (
                        SELECT
                            0 AS at,
                            service,
                            environment,
                            vantage,
                            tenant,
                            event,
                            outcome,
                            sum(count) AS n,
                            sum(judged) AS judged_n
                        FROM
                        (
                            SELECT bucket, service, environment, vantage, tenant, event, outcome, count, judged
                            FROM rollup_1m
                            WHERE (bucket >= toDateTime(1769776440) AND bucket < toDateTime(1769777100) OR bucket >= toDateTime(1772368200) AND bucket < toDateTime(1772368440))
                                AND service IN ('chat', 'it\'s a \\ service')
                                AND vantage IN ('app')
                                AND event IN ('websocket.auth')
                            UNION ALL
                            SELECT bucket, service, environment, vantage, tenant, event, outcome, count, judged
                            FROM rollup_15m
                            WHERE (bucket >= toDateTime(1769777100) AND bucket < toDateTime(1772368200))
                                AND service IN ('chat', 'it\'s a \\ service')
                                AND vantage IN ('app')
                                AND event IN ('websocket.auth')
                        )
                        GROUP BY at, service, environment, vantage, tenant, event, outcome
                    )
                    ARRAY JOIN arrayFilter(x -> x.2, [
                        (toUInt32(3), service = 'chat' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth') AND at >= 0, concat('x', hex(tenant)), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0)),
                        (toUInt32(9), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth') AND at >= 0, concat('x', hex(tenant)), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0))
                    ]) AS m
                )
            )
            GROUP BY slot, grp
        )
        WHERE place <= 20
    ), m.3, 'others') AS grp, at, m.4 AS h, m.5 AS t, m.6 AS j
    FROM
    (
        SELECT
            multiIf(bucket >= toDateTime(1772368480), 6, bucket >= toDateTime(1772368460), 5, bucket >= toDateTime(1772368430), 4, bucket >= toDateTime(1772368370), 3, bucket >= toDateTime(1772368130), 2, bucket >= toDateTime(1772367050), 1, 0) AS at,
            service,
            environment,
            vantage,
            tenant,
            event,
            outcome,
            sum(count) AS n,
            sum(judged) AS judged_n
        FROM rollup_10s
        WHERE bucket >= toDateTime(1772364170) AND bucket < toDateTime(1772368490)
            AND service IN ('chat', 'it\'s a \\ service')
            AND vantage IN ('app')
            AND event IN ('websocket.auth')
        GROUP BY at, service, environment, vantage, tenant, event, outcome
    )
    ARRAY JOIN arrayFilter(x -> x.2, [
        (toUInt32(3), service = 'chat' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), concat('x', hex(tenant)), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0)),
        (toUInt32(9), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), concat('x', hex(tenant)), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0))
    ]) AS m
)
GROUP BY slot, grp, span
UNION ALL
SELECT toUInt8(3) AS part, slot, grp, toUInt32(at) AS span, sum(h) AS hits, sum(t) AS totals, sum(j) AS judgeds
FROM
(
    SELECT m.1 AS slot, if((m.1, m.3) IN
    (
        SELECT slot, grp FROM
        (
            SELECT slot, grp, row_number() OVER (PARTITION BY slot ORDER BY sum(t) DESC, grp) AS place
            FROM
            (
                SELECT slot, grp, t FROM
                (
                    SELECT m.1 AS slot, m.3 AS grp, at, m.4 AS h, m.5 AS t, m.6 AS j
                    FROM
                    (
                        SELECT
                            0 AS at,
                            service,
                            environment,
                            vantage,
                            tenant,
                            event,
                            outcome,
                            sum(count) AS n,
                            sum(judged) AS judged_n
                        FROM
                        (
                            SELECT bucket, service, environment, vantage, tenant, event, outcome, count, judged
                            FROM rollup_1m
                            WHERE (bucket >= toDateTime(1769776440) AND bucket < toDateTime(1769777100) OR bucket >= toDateTime(1772368200) AND bucket < toDateTime(1772368440))
                                AND service IN ('chat', 'it\'s a \\ service')
                                AND vantage IN ('app')
                                AND event IN ('websocket.auth')
                            UNION ALL
                            SELECT bucket, service, environment, vantage, tenant, event, outcome, count, judged
                            FROM rollup_15m
                            WHERE (bucket >= toDateTime(1769777100) AND bucket < toDateTime(1772368200))
                                AND service IN ('chat', 'it\'s a \\ service')
                                AND vantage IN ('app')
                                AND event IN ('websocket.auth')
                        )
                        GROUP BY at, service, environment, vantage, tenant, event, outcome
                    )
                    ARRAY JOIN arrayFilter(x -> x.2, [
                        (toUInt32(3), service = 'chat' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth') AND at >= 0, concat('x', hex(tenant)), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0)),
                        (toUInt32(9), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth') AND at >= 0, concat('x', hex(tenant)), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0))
                    ]) AS m
                )
            )
            GROUP BY slot, grp
        )
        WHERE place <= 20
    ), m.3, 'others') AS grp, at, m.4 AS h, m.5 AS t, m.6 AS j
    FROM
    (
        SELECT
            0 AS at,
            service,
            environment,
            vantage,
            tenant,
            event,
            outcome,
            sum(count) AS n,
            sum(judged) AS judged_n
        FROM
        (
            SELECT bucket, service, environment, vantage, tenant, event, outcome, count, judged
            FROM rollup_1m
            WHERE (bucket >= toDateTime(1769776440) AND bucket < toDateTime(1769777100) OR bucket >= toDateTime(1772368200) AND bucket < toDateTime(1772368440))
                AND service IN ('chat', 'it\'s a \\ service')
                AND vantage IN ('app')
                AND event IN ('websocket.auth')
            UNION ALL
            SELECT bucket, service, environment, vantage, tenant, event, outcome, count, judged
            FROM rollup_15m
            WHERE (bucket >= toDateTime(1769777100) AND bucket < toDateTime(1772368200))
                AND service IN ('chat', 'it\'s a \\ service')
                AND vantage IN ('app')
                AND event IN ('websocket.auth')
        )
        GROUP BY at, service, environment, vantage, tenant, event, outcome
    )
    ARRAY JOIN arrayFilter(x -> x.2, [
        (toUInt32(3), service = 'chat' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), concat('x', hex(tenant)), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0)),
        (toUInt32(9), service = 'it\'s a \\ service' AND vantage = 'app' AND environment = 'production' AND (event = 'websocket.auth'), concat('x', hex(tenant)), if((event = 'websocket.auth' AND outcome IN ('success')), judged_n, 0), if((event = 'websocket.auth'), n, 0), if((event = 'websocket.auth'), judged_n, 0))
    ]) AS m
)
GROUP BY slot, grp, span
