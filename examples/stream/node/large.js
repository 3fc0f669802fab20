// Columns that are too large for a frame: their data is an object in a bucket of JetStream's (docs/protocol.md,
// "Large columns"). Each of its parts is one request, which needs nothing but the connection.

import { createHash } from "node:crypto";
import { decode } from "./msgpack.js";
import { unpack } from "./frames.js";

const PATIENCE_MS = 5000;

/** Fills in the data of these columns of a frame. Throws where it is not there, or is other data. */
export async function fetchLarge(connection, endpoint, frame, names) {
  for (const name of names) {
    if (!frame.large?.[name] || !frame.columns[name]) continue;
    const { dtype, shape } = frame.columns[name];
    const content = await fetchObject(connection, `podium-${endpoint}`, frame.large[name]);
    frame.columns[name] = unpack([dtype, shape, dtype === "str" ? decode(content) : content]);
  }
}

async function fetchObject(connection, bucket, [object, digest, size]) {
  const parts = [];
  let found = 0;
  for (let seq = 1; found < size; ) {
    const wanted = JSON.stringify({ seq, next_by_subj: `$O.${bucket}.C.${object}` });
    const reply = await connection.request(`$JS.API.DIRECT.GET.OBJ_${bucket}`, wanted, { timeout: PATIENCE_MS });
    const at = reply.headers?.get("Nats-Sequence");
    if (!at) throw new Error(`a large input is not there: ${found} of ${size} bytes of ${object}`);
    parts.push(reply.data);
    found += reply.data.length;
    seq = Number(at) + 1;
  }
  const content = Buffer.concat(parts);
  if (content.length !== size || !createHash("sha256").update(content).digest().equals(Buffer.from(digest)))
    throw new Error(`the object ${object} has not the bytes that its digest names`);
  return content;
}
