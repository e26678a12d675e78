-- The events of the minutes from {from:UInt32} on, {minutes:UInt32} of them, numbered from {start:UInt32}. Every value follows from
-- a minute and a number in it, so the same parameters give the same rows. A connection is of one of 200 tenants, of which the
-- first has a sixth of all; a tenant lives in one of 5 regions and uses 3 of 20 services. An edge logs it at its end, the
-- application as it happens. One in thirty is refused, one in twenty-five ends badly, and in one hour of the last days
-- the identity provider of s07 and some of its connections fail.
INSERT INTO events (time, observed, counted_at, event, severity, service, instance, environment, region, vantage, visibility, tenant,
    outcome, fault, error_type, direction, policy, count, bytes, judged, duration, source_type, evidence, connection_id, status,
    server_address, url_scheme, url_path, url_template, subprotocol, client_address, client_hash, close_code, close_initiator, close_clean,
    connection_duration, io_received, io_sent, trace_id, span_id, attributes, resource, chunk_id)
WITH
    x -> intHash64(h + x) / 18446744073709551616. AS part, -- evenly from 0 up to 1
    kind IN ('edge refused', 'edge open', 'edge close') AS edge,
    kind IN ('edge open', 'edge close') AS late,
    multiIf(late OR kind IN ('received', 'sent', 'close'), ended, kind = 'auth', began + 20, kind IN ('edge refused', 'refused', 'no auth',
        'limited', 'open'), began, intDiv(began + ended, 2)) AS counted,
    multiIf(kind = 'edge open', began, counted) AS at,
    kind IN ('edge refused', 'refused', 'no auth', 'limited', 'error', 'bad message', 'message limited', 'dropped')
        OR lost AND kind IN ('edge close', 'close') AS failed,
    multiIf(kind = 'no auth', if(why < 0.3, 'token_expired', if(broken, 'idp_unavailable', 'token_invalid')),
        kind IN ('edge refused', 'refused'), multiIf(broken, 'upstream_unavailable', why < 0.6, 'unauthenticated', why < 0.8, 'forbidden',
            why < 0.95, 'rate_limited', 'upstream_unavailable'),
        kind = 'error', if(why < 0.5, 'invalid_utf8', 'message_too_big'), kind = 'bad message', 'schema_invalid',
        kind = 'dropped', if(why < 0.8, 'slow_consumer', 'queue_full'),
        kind IN ('edge close', 'close') AND lost, if(why < 0.5, 'connection_reset', 'connection_lost'), '') AS error,
    if(kind IN ('received', 'sent'), 1 + toUInt64(seconds * part(20) / 4), 1) AS n
SELECT fromUnixTimestamp64Milli(at, 'UTC'), fromUnixTimestamp64Milli(counted, 'UTC'), fromUnixTimestamp64Milli(counted, 'UTC'),
    multiIf(kind IN ('edge refused', 'refused'), 'websocket.handshake.rejected', kind IN ('edge open', 'open'), 'websocket.open',
        kind IN ('edge close', 'close'), 'websocket.close', kind IN ('auth', 'no auth'), 'websocket.auth',
        kind IN ('received', 'sent'), 'websocket.message', kind = 'error', 'websocket.error', kind = 'bad message',
        'websocket.message.rejected', kind = 'dropped', 'websocket.message.dropped', 'websocket.rate_limited'),
    multiIf(kind = 'error', 17, failed, 13, kind IN ('received', 'sent'), 5, 9),
    service, if(edge, concat('edge-', region, '-', toString(h % 2)), concat(service, '-', region, '-', toString(h % 2))), 'production', region,
    if(edge, 'edge', 'app'), if(edge, 'at_close', 'at_open'), tenant,
    if(failed, 'failure', 'success'),
    if(NOT failed, '', multiIf(error = 'idp_unavailable', 'idp', error IN ('upstream_unavailable', 'queue_full'), 'server',
        error IN ('connection_reset', 'connection_lost'), 'network', error IN ('forbidden', 'rate_limited', ''), 'policy', 'client')),
    error, multiIf(kind IN ('received', 'bad message', 'message limited', 'error'), 'receive', kind IN ('sent', 'dropped'), 'transmit', ''),
    if(kind IN ('limited', 'message limited'), if(why < 0.9, 'per_user', 'per_tenant'), ''),
    n, multiIf(kind IN ('received', 'sent'), n * 180, kind IN ('edge close', 'close'), toUInt64(seconds * 300), 0), n,
    multiIf(kind IN ('edge open', 'open', 'edge refused', 'refused'), 0.002 - log(part(21) + 1e-9) * 0.01,
        kind IN ('auth', 'no auth'), 0.004 - log(part(22) + 1e-9) * if(broken, 1.5, 0.04), NULL),
    if(edge, 'nginx', 'websocketendpoint'), 'observed', lower(hex(intHash64(h + edge))), multiIf(kind IN ('edge open', 'open'), 101,
        kind IN ('edge refused', 'refused'), multiIf(error = 'unauthenticated', 401, error = 'forbidden', 403, error = 'rate_limited', 429, 503), 0),
    concat(service, '.example.com'),
    if(kind IN ('received', 'sent', 'bad message', 'dropped', 'limited', 'message limited'), '', if(edge AND why < 0.005, 'ws', 'wss')),
    concat('/ws/room/', toString(client % 500)), if(edge, '', '/ws/room/{id}'),
    if(kind IN ('open', 'close'), 'chat.v2', ''), concat('10.', toString(client % 251), '.', toString(client % 253), '.0'),
    concat('p1:k1:', lower(hex(intHash64(client)))),
    if(kind IN ('edge close', 'close') AND NOT (edge AND lost), multiIf(lost, 1006, why < 0.7, 1000, why < 0.95, 1001, 1011), NULL),
    multiIf(kind = 'edge close', 'unknown', kind != 'close', '', why < 0.7, 'client', 'server'),
    if(kind = 'close', NOT lost, NULL), if(kind IN ('edge close', 'close'), seconds, NULL),
    if(kind = 'close', toInt64(seconds * 100), NULL), if(kind IN ('edge close', 'close'), toInt64(seconds * 200), NULL),
    if(edge OR h % 10 > 0, '', lower(hex(toUInt128(h) * 18446744073709551557))), if(edge OR h % 10 > 0, '', lower(hex(intHash64(h + 9)))),
    multiIf(kind IN ('edge open', 'edge refused'), map('network.transport', 'tcp', 'client.port', toString(1024 + h % 60000), 'http.request.method', 'GET', 'websocket.http.version', '1.1', 'user_agent.original', agent),
        edge, map('network.transport', 'tcp', 'client.port', toString(1024 + h % 60000)),
        kind IN ('auth', 'no auth'), map('websocket.auth.method', 'bearer', 'websocket.auth.idp.duration', toString(round(part(23) / 50, 4))),
        kind IN ('received', 'sent'), map('websocket.message.type', 'text', 'websocket.interval.duration', toString(round(seconds, 1))),
        kind IN ('bad message', 'dropped'), map('websocket.message.type', 'text', 'websocket.schema.id', 'chat.v1/post'),
        kind IN ('limited', 'message limited'), map('websocket.rate_limit.scope', if(kind = 'limited', 'handshake', 'message')),
        map('tls.protocol.version', '1.3')),
    if(edge, map(), map('service.version', version)),
    chunk
FROM
(
    SELECT minute, h, client, tenant, service, region, seconds, lost, broken, why, agent, version, chunk, began,
        began + toInt64(seconds * 1000) AS ended, arrayJoin(kinds) AS kind
    FROM
    (
        WITH x -> intHash64(h + x) / 18446744073709551616. AS part
        SELECT minute, cityHash64(minute, i) AS h, chunk, toUInt32(200 * pow(part(1), 3)) AS t, concat('tenant-', leftPad(toString(t), 3, '0')) AS tenant,
            (t * 7 + multiIf(part(2) < 0.6, 0, part(2) < 0.9, 1, 2)) % 20 AS s, concat('s', leftPad(toString(s), 2, '0')) AS service,
            ['eu-west-1', 'eu-central-1', 'us-east-1', 'us-west-2', 'ap-south-1'][1 + if(part(3) < 0.05, h, t) % 5] AS region,
            t + 200 * toUInt64(pow(part(4), 2) * (40 + 12000 / (t + 1))) AS client,
            least(-log(part(5) + 1e-9) * 600, 21600) AS seconds,
            s = 7 AND minute >= {minutes_in_all:UInt32} - 4000 AND minute < {minutes_in_all:UInt32} - 3955 AS broken,
            part(6) < if(broken, 0.3, 0.04) AS lost, part(7) AS why,
            concat('Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/', toString(100 + client % 40), '.0.0.0 Safari/537.36') AS agent,
            concat('1.', toString(intDiv(minute + 700 * s, 10080))) AS version,
            1000 * (toInt64({start:UInt32}) + 60 * minute) + toInt64(60000 * i / n) AS began,
            multiIf(part(8) < if(broken, 0.4, 0.033),
                arrayConcat(['edge refused', 'refused'], if(broken OR why < 0.6, ['no auth'], []), if(NOT broken AND why >= 0.8 AND why < 0.95, ['limited'], [])),
                arrayConcat(['edge open', 'edge close', 'open', 'auth', 'received', 'sent', 'close'],
                    multiIf(part(9) < 0.005, ['error'], part(9) < 0.015, ['bad message'], part(9) < 0.02, ['message limited'], part(9) < 0.022, ['dropped'], []))) AS kinds
        FROM
        (
            SELECT number AS minute, arrayJoin(range(n)) AS i, lower(hex(SHA256(toString(number)))) AS chunk,
                -- The night has a quarter of the day's traffic, a week's end two thirds.
                toUInt64({connections:Float64} * (1 + 0.6 * sin(2 * pi() * number / 1440 - 2)) * if(intDiv(number, 1440) % 7 < 5, 1.1, 0.75)
                    + intHash64(number) / 18446744073709551616.) AS n
            FROM numbers({from:UInt32}, {minutes:UInt32})
        )
    )
)
WHERE counted < 1000 * (toInt64({start:UInt32}) + 60 * toInt64({minutes_in_all:UInt32}))
