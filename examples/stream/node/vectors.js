// Reads every vector of docs/protocol.md and compares: `node vectors.js ../../../spec/vectors`.

import { readdirSync, readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { decode } from "./msgpack.js";
import { FIELDS, read, writeScores } from "./frames.js";

const folder = process.argv[2];
const kinds = ["input", "probe", "scores"];
const wrong = [];
const done = { read: 0, written: 0, refused: 0, skipped: 0 };

for (const [name, vector] of vectors("valid")) {
  const message = Buffer.from(vector.message, "hex");
  const kind = vector.means.kind;
  if (!kinds.includes(kind)) {
    decode(message); // a worker never gets one
    done.skipped++;
    continue;
  }
  done.read++;
  if (!isDeepStrictEqual(meaning(read(message, kinds)), vector.means)) wrong.push(`${name}: it means something else`);
  if (kind === "scores" && vector.canonical) {
    done.written++;
    const written = writeScores(frameOf(read(message, kinds)));
    if (!written.equals(message)) wrong.push(`${name}: it is written ${written.toString("hex")}`);
  }
}
for (const [name, vector] of vectors("invalid")) {
  try {
    read(Buffer.from(vector.message, "hex"), vector.read_as === "input" ? ["input"] : kinds);
    wrong.push(`${name}: not refused: ${vector.refused}`);
  } catch {
    done.refused++;
  }
}
for (const line of wrong) console.log(line);
console.log(`${done.read} read, ${done.written} written, ${done.refused} refused, ${done.skipped} of other kinds`);
process.exit(wrong.length ? 1 : 0);

function vectors(kind) {
  const names = readdirSync(`${folder}/${kind}`).filter((name) => name.endsWith(".json"));
  return names.map((name) => [`${kind}/${name}`, JSON.parse(readFileSync(`${folder}/${kind}/${name}`))]);
}

/** As in a vector's `means`: without what is absent, nil or unknown, and tensors readable. */
function meaning(frame) {
  const found = {};
  for (const name of ["kind", ...Object.keys(FIELDS[frame.kind])])
    if (frame[name] != null && name !== "v") found[name] = ["errors", "contenders"].includes(name) ? { ...frame[name] } : frame[name];
  if (frame.large)
    found.large = Object.fromEntries(Object.entries(frame.large).map(([name, [object, digest, size]]) =>
      [name, [object, Buffer.from(digest).toString("hex"), size]]));
  if (frame.columns) found.columns = Object.fromEntries(Object.entries(frame.columns).map(([name, column]) => [name, plain(column)]));
  return found;
}

function plain({ dtype, shape, values }) {
  const as = { f8: (x) => (Number.isFinite(x) ? x : String(x)), i8: String, b1: Boolean, str: (x) => x };
  return { dtype, shape, values: Array.from(values, (value) => as[dtype](value)) };
}

function frameOf(frame) {
  const errors = frame.errors && new Map(Object.entries(frame.errors).map(([index, error]) => [Number(index), error]));
  return { ...frame, errors };
}
