// What the package ws does with the endpoint at argv[2], as lines of JSON. Its certificate's authority is in NODE_EXTRA_CA_CERTS.
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import WebSocket from "ws";

const url = process.argv[2];
const say = (what, values) => console.log(JSON.stringify({ what, ...values }));
const bearer = (token) => ({ headers: { Authorization: "Bearer " + token } });

async function open(protocols, options) {
  const ws = new WebSocket(url, protocols, options);
  await once(ws, "open");
  return ws;
}

async function echo(ws, data, options = {}) {
  const back = once(ws, "message");
  for (const [i, piece] of [].concat(data).entries()) {
    ws.send(piece, { fin: i === [].concat(data).length - 1, ...options });
  }
  const [got, binary] = await back;
  return Buffer.concat([].concat(data).map((piece) => Buffer.from(piece))).equals(got) && binary === Buffer.isBuffer([].concat(data)[0]);
}

async function closed(ws) {
  const [code, reason] = await once(ws, "close");
  return { code, reason: reason.toString() };
}

// Compressed: with a window on both sides, then with none.
for (const offer of [{ threshold: 0 }, { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true }]) {
  const ws = await open(["chat.v1", "chat.v2"], { ...bearer("good-ann"), perMessageDeflate: offer });
  const again = "the same again, ".repeat(1000);
  say("compressed", {
    protocol: ws.protocol, extensions: ws.extensions,
    empty: await echo(ws, ""), short: await echo(ws, "grüße 网络 😀"), long: await echo(ws, again), again: await echo(ws, again),
    fragments: await echo(ws, ["one ", "two ", "three"]), plain: await echo(ws, "plain", { compress: false }),
    large: await echo(ws, randomBytes(1 << 20)),
  });
  ws.close(4001, "bye");
  say("closed", await closed(ws));
}

// Plain, with Pings in both directions, and another token on the way.
{
  const ws = await open([], { ...bearer("good-ann"), perMessageDeflate: false });
  const [pinged] = await once(ws, "ping"); // which ws answers by itself
  const pong = once(ws, "pong");
  ws.ping("are you there");
  const [ponged] = await pong;
  ws.send('{"auth":"good-ann"}');
  const sizes = {};
  for (const n of [0, 1, 125, 126, 65535, 65536, 1 << 20]) {
    sizes[n] = await echo(ws, randomBytes(n));
  }
  say("plain", { extensions: ws.extensions, pinged: pinged.length > 0, ponged: ponged.toString(), sizes });
  const end = closed(ws);
  ws.send('{"auth":"good-bob"}');
  say("refused a refresh", await end);
}

// Too much: the fragment that passes 2 MiB is refused by its header.
{
  const ws = await open([], bearer("good-ann"));
  const end = closed(ws);
  ws.send(randomBytes(1 << 20), { fin: false });
  ws.send(randomBytes(900 << 10), { fin: false });
  ws.send(randomBytes(200 << 10));
  say("too big", await end);
}

// Refused, with what a program sees of it.
for (const [what, options] of Object.entries({
  "no credential": {}, "a wrong token": bearer("secret"), "another site": { ...bearer("good-ann"), origin: "https://evil.example" },
})) {
  const ws = new WebSocket(url, [], options);
  ws.on("error", () => {}); // which terminate makes
  const [, answer] = await once(ws, "unexpected-response");
  say(what, { status: answer.statusCode, challenge: answer.headers["www-authenticate"] ?? "" });
  ws.terminate();
}

// Gone without a word.
(await open([], bearer("good-ann"))).terminate();
