// Frames to scores: one prediction for all that waits, and errors kept apart.

import * as model from "./model.js";

const MISSING = { f8: 0, i8: 0n, b1: false, str: "" };

/** For each frame `{ columns }` or `{ error }`, and `errors` by request where only some have no score. */
export function scoreFrames(frames) {
  const requests = frames.flatMap(requestsOf);
  const scored = new Map();
  score(requests.filter((request) => !request.error), scored);
  return frames.map((frame) => result(requests.filter((request) => request.frame === frame), scored));
}

/** Where each request's rows lie in its frame; `error` where the frame cannot be scored at all. */
function requestsOf(frame) {
  const rows = frame.rows ?? frame.ids.map(() => 1);
  const total = rows.reduce((sum, count) => sum + count, 0);
  const error = problemOf(frame, rows, total);
  let start = 0;
  return frame.ids.map((_, index) => {
    const request = { frame, index, start, rows: rows[index], error };
    start += rows[index];
    return request;
  });
}

function problemOf(frame, rows, total) {
  if (rows.length !== frame.ids.length || rows.some((count) => count < 1)) return "its requests and rows disagree";
  for (const [name, dtype] of Object.entries(model.inputs)) {
    const column = frame.columns[name];
    if (!column) return `the frame has no input "${name}"`;
    if (column.dtype !== dtype) return `the input "${name}" is ${column.dtype}, expected ${dtype}`;
    if (column.shape.length !== 1 || column.shape[0] !== total)
      return `the input "${name}" has shape [${column.shape}], expected ${total} rows`;
  }
}

/** Score these requests together; where the model refuses that, halve them until the guilty one is alone. */
function score(requests, scored) {
  if (!requests.length) return;
  try {
    const outputs = predict(requests);
    let start = 0;
    for (const request of requests) {
      const end = start + request.rows;
      scored.set(request, cut(outputs, start, end));
      start = end;
    }
  } catch (problem) {
    if (requests.length === 1) {
      requests[0].error = String(problem.message).slice(0, 500);
      return;
    }
    const middle = requests.length >> 1;
    score(requests.slice(0, middle), scored);
    score(requests.slice(middle), scored);
  }
}

function predict(requests) {
  const joined = {};
  for (const name of Object.keys(model.inputs))
    joined[name] = requests.flatMap(({ frame, start, rows }) => Array.from(frame.columns[name].values.slice(start, start + rows)));
  const rows = requests.reduce((sum, request) => sum + request.rows, 0);
  const outputs = model.predict(joined);
  for (const name of Object.keys(model.outputs))
    if (outputs[name]?.length !== rows) throw new Error(`"${name}" has ${outputs[name]?.length ?? "no"} rows, expected ${rows}`);
  for (const [name, dtype] of Object.entries(model.outputs))
    if (dtype === "f8" && !outputs[name].every(Number.isFinite)) throw new Error("the model's output is NaN or infinite");
  return outputs;
}

const cut = (outputs, start, end) =>
  Object.fromEntries(Object.keys(model.outputs).map((name) => [name, outputs[name].slice(start, end)]));

function result(requests, scored) {
  const failed = requests.filter((request) => request.error);
  if (failed.length === requests.length) return { error: requests[0]?.error ?? "a frame without requests", columns: {} };
  const columns = {};
  for (const [name, dtype] of Object.entries(model.outputs)) {
    const values = requests.flatMap((request) =>
      request.error ? Array(request.rows).fill(MISSING[dtype]) : scored.get(request)[name]);
    columns[name] = { dtype, shape: [values.length], values };
  }
  return { columns, errors: failed.length ? new Map(failed.map(({ index, error }) => [index, error])) : undefined };
}
