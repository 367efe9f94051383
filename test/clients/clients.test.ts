/** The three fastest generators. `npm run clients` tries all. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type RunningApp, startApp } from "../support/app.ts";
import { CLIENTS, STEPS, tryClient } from "./clients.ts";

let server: RunningApp;

beforeAll(async () => {
  server = await startApp({ ROLE: "api" });
});
afterAll(() => server.stop());

const TRIED: ReadonlySet<string> = new Set(["openapi-typescript", "oapi-codegen", "openapi-python-client"]);

test.each(CLIENTS.filter(({ name }) => TRIED.has(name)).map((client) => [client.name, client] as const))(
  "a client that %s makes of the OpenAPI document submits, claims, ends and deletes tasks",
  async (_, client) => {
    expect(await tryClient(client, server.url)).toEqual({ kind: "ran", steps: [...STEPS], fault: null });
  },
  600_000,
);
