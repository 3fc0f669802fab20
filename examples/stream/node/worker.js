// A Podium worker on the stream (docs/protocol.md, "A worker in another language"). Podium starts it as the
// `command` of a model with `stream = true`; model.js is the model, scoring.js asks it.

import { randomBytes } from "node:crypto";
import { connect } from "@nats-io/transport-node";
import { read, writeScores } from "./frames.js";
import { scoreFrames } from "./scoring.js";
import { Receipts } from "./receipts.js";
import { fetchLarge } from "./large.js";
import { inputs } from "./model.js";

const { PODIUM_STREAM, PODIUM_ENDPOINT, PODIUM_CONTENDER, PODIUM_OWN, PODIUM_BATCH_ROWS } = process.env;
if (!PODIUM_STREAM || !PODIUM_ENDPOINT || !PODIUM_CONTENDER) {
  console.error("PODIUM_STREAM, PODIUM_ENDPOINT and PODIUM_CONTENDER say where to work; `podium up` sets them");
  process.exit(2);
}
const BATCH_ROWS = Number(PODIUM_BATCH_ROWS) || 4096;
const RETRY_MS = 50;
const [model, version] = PODIUM_CONTENDER.split("@");
const subject = (name) => `podium.${PODIUM_ENDPOINT}.${name}`;
const now = () => Date.now() * 1000; // microseconds
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

const source = `node-${randomBytes(8).toString("hex")}`;
const receipts = new Receipts();
const waiting = [];
let seq = 0;
let connection;
let subscriptions = [];
let joined = !PODIUM_OWN; // who is started by hand takes part at once, others when they are let in
let scheduled = false;
let stopping = false;

// --- the connection ----------------------------------------------------------------------------

/** A new connection after each end of one: what was not kept is sent again before anything new. */
async function stayConnected() {
  const options = { ...address(PODIUM_STREAM), reconnect: false, pingInterval: 5000 };
  while (!stopping) {
    try {
      const fresh = await connect(options);
      receipts.restart(fresh, subject("again"));
      connection = fresh;
      subscriptions = [];
      if (PODIUM_OWN) listen(PODIUM_OWN);
      if (joined) join();
      await fresh.closed();
      if (!stopping) console.error("the broker is away");
    } catch (problem) {
      console.error(`not connected: ${problem.message}`);
    }
    await pause(RETRY_MS);
  }
}

/** The broker's servers and the password that they share: `nats://USER:PASSWORD@A:4222,B:4222?…` */
function address(url) {
  const [, user = "", pass = "", hosts] = /^\w+:\/\/(?:([^:@/]*)(?::([^@/]*))?@)?([^/?]*)/.exec(url);
  return { servers: hosts.split(","), user: decodeURIComponent(user), pass: decodeURIComponent(pass) };
}

function listen(name, queue) {
  subscriptions.push(connection.subscribe(subject(name), { queue, callback: take }));
}

/** Take part: one worker of each contender gets a frame. */
function join() {
  joined = true;
  listen("input", PODIUM_CONTENDER);
  listen(`probe.${PODIUM_CONTENDER}`, PODIUM_CONTENDER);
}

// --- what comes in -----------------------------------------------------------------------------

function take(error, message) {
  if (error) return console.error(`a subscription: ${error.message}`);
  try {
    const frame = read(message.data);
    if (frame.kind === "probe") answerProbe(frame);
    else if (frame.large) takeLarge(frame);
    else waiting.push(frame);
  } catch (problem) {
    console.error(`dropped a message on ${message.subject}: ${problem.message}`);
  }
  if (!scheduled) {
    scheduled = true;
    setImmediate(scoreWhatWaits); // all that comes in this turn is one batch
  }
}

/** What is too large for a frame is fetched once; other frames are scored meanwhile. */
async function takeLarge(frame) {
  if (isNotOurs(frame)) return;
  try {
    await fetchLarge(connection, PODIUM_ENDPOINT, frame, Object.keys(inputs));
    waiting.push(frame);
    scoreWhatWaits();
  } catch (problem) {
    const queue_ms = Math.max(0, (now() - frame.sent) / 1000);
    send(frame, { error: String(problem.message).slice(0, 500), columns: {} }, { done: now(), queue_ms, compute_ms: 0 });
  }
}

function isNotOurs(frame) {
  return frame.expires <= now() || (frame.contenders && !(PODIUM_CONTENDER in frame.contenders));
}

function answerProbe(probe) {
  if (!joined) join(); // the first probe of one's own says: the samples were right
  const frame = scores(probe, { columns: {} }, { done: now(), queue_ms: 0, compute_ms: 0 });
  connection.publish(subject(probe.reply), writeScores({ ...frame, seq: 0, ids: [], role: "challenger" }));
}

// --- what goes out -----------------------------------------------------------------------------

function scoreWhatWaits() {
  scheduled = false;
  while (waiting.length) {
    const frames = nextBatch();
    const started = now();
    const clock = performance.now();
    const results = scoreFrames(frames);
    const compute_ms = performance.now() - clock;
    frames.forEach((frame, index) => {
      const queue_ms = Math.max(0, (started - frame.sent) / 1000);
      send(frame, results[index], { done: now(), queue_ms, compute_ms });
    });
  }
}

/** Frames that still matter: not expired, and ours to score. */
function nextBatch() {
  const frames = [];
  let rows = 0;
  while (waiting.length && rows < BATCH_ROWS) {
    const frame = waiting.shift();
    if (isNotOurs(frame)) continue;
    frames.push(frame);
    rows += frame.rows ? frame.rows.reduce((sum, count) => sum + count, 0) : frame.ids.length;
  }
  return frames;
}

function send(frame, result, times) {
  if (times.done > frame.expires) return;
  const late = frame.deadline.flatMap((deadline, index) => (times.done > deadline ? [index] : []));
  let payload = writeScores(scores(frame, result, times, late));
  const limit = connection.info?.max_payload ?? payload.length;
  if (payload.length > limit)
    payload = writeScores(scores(frame, { error: "the scores are too large", columns: {} }, times, late));
  seq += 1;
  const kept = frame.reply.startsWith("scores.");
  const receipt = kept ? receipts.remember(seq, payload) : undefined;
  if (!connection.isClosed()) connection.publish(subject(frame.reply), payload, receipt && { reply: receipt });
}

/** A scores frame in the order of docs/protocol.md. */
function scores(frame, { columns, error, errors }, times, late = []) {
  return {
    kind: "scores", endpoint: frame.endpoint, revision: frame.revision, source, seq: seq + 1,
    origin: frame.source, frame: frame.seq, model, version,
    role: frame.contenders?.[PODIUM_CONTENDER] ?? "challenger",
    ids: frame.ids, rows: frame.rows ?? undefined, error, errors, late: late.length ? late : undefined,
    ...times, columns,
  };
}

// --- the end -----------------------------------------------------------------------------------

/** Take nothing new, score what is here, go. */
async function stop() {
  if (stopping) return;
  stopping = true;
  try {
    await Promise.all(subscriptions.map((subscription) => subscription.drain()));
    scoreWhatWaits();
    await connection.flush(); // closing alone may leave in the socket what was published last
    await connection.close();
  } catch (problem) {
    console.error(`while stopping: ${problem.message}`);
  }
  process.exit(0);
}

process.on("SIGTERM", stop);
process.on("SIGINT", stop);
await stayConnected();
