-- What is there besides connections, however many those are: what instances say of themselves, each minute of the last three days,
INSERT INTO events (time, observed, counted_at, event, severity, service, instance, environment, region, vantage, visibility, outcome,
    count, source_type, evidence, attributes, chunk_id)
SELECT at, at, at, 'websocket.connections', 9, concat('s', leftPad(toString(s), 2, '0')) AS service, concat(service, '-', region, '-', toString(i)),
    'production', ['eu-west-1', 'eu-central-1', 'us-east-1', 'us-west-2', 'ap-south-1'][1 + s % 5] AS region, 'app', 'at_open', 'unknown',
    1, 'websocketendpoint', 'observed',
    map('websocket.connections.active', toString(toUInt64(900 + 500 * sin(2 * pi() * minute / 1440 - 2) + intHash64(number) % 50)),
        'websocket.connections.idle', '120', 'websocket.connections.capacity', '2000', 'process.memory.usage', '314572800',
        'process.open_file_descriptor.count', '1024', 'process.open_file_descriptor.limit', '65536'),
    concat('gauges-', toString(minute))
FROM
(
    SELECT number, intDiv(number, 40) + {minutes_in_all:UInt32} - 4320 AS minute, toDateTime64({start:UInt32} + 60 * minute, 3, 'UTC') AS at,
        number % 20 AS s, intDiv(number, 20) % 2 AS i
    FROM numbers(4320 * 40)
);

-- policies that changed and deploys,
INSERT INTO events (time, observed, counted_at, event, severity, service, instance, environment, region, vantage, visibility, outcome,
    policy, count, source_type, evidence, attributes, chunk_id)
SELECT at, at, at, ['websocket.policy.changed', 'websocket.policy.changed', 'websocket.deploy'][1 + intHash64(number) % 3] AS name, 9,
    concat('s', leftPad(toString(number % 20), 2, '0')), '', 'production', 'eu-west-1', 'app', 'at_open', 'unknown',
    if(name = 'websocket.policy.changed', 'rate_limit', ''), 1, 'websocketendpoint', 'observed',
    multiIf(name = 'websocket.deploy', map('websocket.deploy.version', concat('1.', toString(number % 30))),
        map('websocket.policy.kind', 'rate_limit', 'websocket.policy.state', if(number % 2 = 0, 'on', 'off'), 'websocket.policy.reason', 'operator')),
    concat('changes-', toString(intDiv(number, 20)))
FROM (SELECT number, toDateTime64({start:UInt32} + intDiv(number * 60 * {minutes_in_all:UInt32}, 3000), 3, 'UTC') AS at FROM numbers(3000));

-- how far sources were read,
INSERT INTO source_progress
SELECT concat(if(number < 10, 'websocketlog/edge@edge-', 'websocketendpoint@app-'), toString(number)), toDateTime64(end - number % 5, 9, 'UTC'), number * 100,
    toDateTime64(end - if(number = 3, 900, number % 5), 3, 'UTC')
FROM (SELECT number, {start:UInt32} + 60 * {minutes_in_all:UInt32} AS end FROM numbers(30));

-- and what an SLO engine said each minute of five SLOs of each service.
INSERT INTO slo_status (asof, service, slo, state, severity, objective, budget_seconds, budget_window, good, total, judged, windows, alerts, engine, written)
SELECT toDateTime({start:UInt32} + 60 * intDiv(number, 100), 'UTC') AS at, concat('s', leftPad(toString(number % 20), 2, '0')),
    ['auth-availability', 'auth-latency', 'auth-success', 'connection-availability', 'connection-success'][1 + intDiv(number % 100, 20)],
    if(burning, 'burning', 'ok'), if(burning, 'page', ''), '0.999', 2592000, '30d', 4000000 - bad, 4000000, 4000000,
    arrayMap(w -> (w.1, w.2, w.2 * 2 - bad % (w.2 / 50), toUInt64(w.2 * 2), toUInt64(w.2 * 2)),
        [('5m', 300), ('30m', 1800), ('1h', 3600), ('2h', 7200), ('6h', 21600), ('1d', 86400), ('3d', 259200)]),
    if(burning, [('page', at)], []), 'size', toDateTime64(at, 3, 'UTC') + INTERVAL 5 SECOND
FROM
(
    SELECT number, intHash64(intDiv(number, 100)) % 4000 AS bad, number % 20 = 7 AND minute >= {minutes_in_all:UInt32} - 4000
        AND minute < {minutes_in_all:UInt32} - 3955 AS burning
    FROM (SELECT number, intDiv(number, 100) AS minute FROM numbers(100 * {minutes_in_all:UInt32}))
);

INSERT INTO slo_events (service, slo, stream, sequence, asof, kind, spent, severity, incident, start, good, total, judged, engine, written)
SELECT concat('s', leftPad(toString(intDiv(number, 40)), 2, '0')), 'connection-availability', 'incident', number % 40 + 1,
    toDateTime({start:UInt32} + intDiv(number % 40, 2) * 129600 + (number % 2) * 1800, 'UTC') AS at, if(number % 2 = 0, 'detected', 'ended'), 0, if(number % 2 = 0, 'page', ''),
    number % 40 + 1 - number % 2, at - 600, 900, 1000, 1000, 'size', at
FROM numbers(800);
