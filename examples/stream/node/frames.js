// Frames of docs/protocol.md: read strictly, written as they are described.

import { decode, encode, Float } from "./msgpack.js";

export const VERSION = 1;

const text = (value) => typeof value === "string";
const int = (value) => Number.isInteger(value) || typeof value === "bigint";
const number = (value) => typeof value === "number" || typeof value === "bigint";
const list = (of) => (value) => Array.isArray(value) && value.every(of);
const map = (of) => (value) => isMap(value) && Object.values(value).every(of);
const optional = (of) => (value) => value === undefined || value === null || of(value);
const texts = optional(list(optional(text)));
const isReference = (value) => Array.isArray(value) && value.length === 3 && text(value[0]) && value[1] instanceof Uint8Array && int(value[2]);
const isMap = (value) => typeof value === "object" && value !== null && Object.getPrototypeOf(value) === null;

const ENVELOPE = { v: optional(int), endpoint: text, revision: int, source: text, seq: int };
export const FIELDS = {
  input: {
    ...ENVELOPE, reply: text, ids: list(text), rows: optional(list(int)), arrived: list(int), deadline: list(int),
    sent: int, expires: int, keys: texts, callers: texts, traces: texts, contenders: optional(map(text)), large: optional(map(isReference)),
    columns: map(isTensor),
  },
  probe: { ...ENVELOPE, reply: text },
  scores: {
    ...ENVELOPE, origin: text, frame: int, model: text, version: text, role: text, ids: list(text),
    rows: optional(list(int)), error: optional(text), errors: optional(map(text)), late: optional(list(int)),
    done: int, queue_ms: number, compute_ms: number, columns: map(isTensor),
  },
};

/** A frame of one of these kinds. Throws for what is none, or of a newer protocol. */
export function read(bytes, kinds = ["input", "probe"]) {
  const frame = decode(bytes);
  if (!isMap(frame)) throw new Error("not a map");
  if (!kinds.includes(frame.kind)) throw new Error(`its kind is ${frame.kind}`);
  for (const [name, fits] of Object.entries(FIELDS[frame.kind]))
    if (!fits(frame[name])) throw new Error(`${name} is missing or has a wrong type`);
  if ((frame.v ?? 1) > VERSION) throw new Error(`it is of protocol ${frame.v}, this is ${VERSION}`);
  for (const [name, tensor] of Object.entries(frame.columns ?? {}))
    frame.columns[name] = frame.large?.[name] ? { dtype: tensor[0], shape: tensor[1], values: [] } : unpack(tensor);
  return frame;
}

function isTensor(value) {
  if (!Array.isArray(value) || value.length !== 3 || !text(value[0]) || !list(int)(value[1])) return false;
  return value[2] instanceof Uint8Array || list(text)(value[2]);
}

// --- columns: { dtype, shape, values }, the values flat ----------------------------------------

const DTYPES = { f8: Float64Array, i8: BigInt64Array, b1: Uint8Array };

export function unpack([dtype, shape, data]) {
  const size = shape.reduce((product, axis) => product * axis, 1);
  if (shape.some((axis) => axis < 0)) throw new Error("a tensor with a negative size");
  if ((dtype === "str") !== Array.isArray(data)) throw new Error(`a tensor whose data is not ${dtype}`);
  if (dtype !== "str" && !(dtype in DTYPES)) throw new Error(`a tensor of ${dtype}`);
  const width = dtype === "str" ? 1 : DTYPES[dtype].BYTES_PER_ELEMENT;
  if (data.length !== size * width) throw new Error(`a tensor of ${dtype}[${shape}] with ${data.length} bytes`);
  // The bytes are copied: typed arrays begin at multiples of their width, columns in messages do not.
  const values = dtype === "str" ? data : new DTYPES[dtype](Uint8Array.from(data).buffer);
  return { dtype, shape, values };
}

export function pack({ dtype, shape, values }) {
  if (dtype === "str") return [dtype, shape, values];
  const typed = DTYPES[dtype].from(values);
  return [dtype, shape, new Uint8Array(typed.buffer)];
}

/** A scores frame as bytes; `errors` is a Map from an index to a text, or undefined as all that is optional. */
export function writeScores(frame) {
  return encode({
    ...frame,
    queue_ms: new Float(frame.queue_ms),
    compute_ms: new Float(frame.compute_ms),
    columns: Object.fromEntries(Object.entries(frame.columns).map(([name, column]) => [name, pack(column)])),
  });
}
