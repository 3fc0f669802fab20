// Asks the endpoint through types that are generated from its /openapi.json.
import createClient from "openapi-fetch";
import type { paths } from "./endpoint.js";

declare const process: { argv: string[]; env: Record<string, string | undefined> };

const client = createClient<paths>({
  baseUrl: process.argv[2] ?? "http://localhost:8080",
  headers: { "x-api-key": process.env["PODIUM_KEY"] }, // a caller's key, where there is one
});

const scored = await client.POST("/score/diabetes", {
  params: { header: { "podium-id": crypto.randomUUID(), "podium-force": "linear" } },
  body: { bmi: 0.05 },
});
if (!scored.data) throw new Error(scored.error?.detail);
const { id, answer, model, rule } = scored.data;
console.log(model, rule, Array.isArray(answer) || answer.progression.toFixed(2));

// @ts-expect-error: `bmj` is no input, so this does not compile without the line above.
const refused = await client.POST("/score/diabetes", { body: { bmj: 0.05 } });
console.log(refused.response.status, refused.error?.detail);

const taken = await client.POST("/outcome/diabetes/{request}", {
  params: { path: { request: id } },
  body: { progression: 151 },
});
console.log(taken.data?.outcome);
