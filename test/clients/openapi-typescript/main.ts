// Calls a server through openapi-fetch with the types that openapi-typescript generates; prints each successful step.
import createClient from "openapi-fetch";
import type { paths } from "./generated/schema.js";

declare const process: { readonly argv: readonly string[] };
const [, , baseUrl = "", type = ""] = process.argv;
const client = createClient<paths>({ baseUrl });

function step(name: string, isRight: boolean): void {
  if (!isRight) throw new Error(`wrong: ${name}`);
  console.log("ok", name);
}

const created = await client.POST("/api/task", { body: { name: "first", type, payload: { n: 1 } } });
const first = created.data?.task_id ?? 0;
step("create", created.response.status === 201 && first > 0);

const batch = await client.POST("/api/task", {
  body: [
    { name: "second", type },
    { name: "third", type },
  ],
});
const [second = 0, third = 0] = batch.data?.task_ids ?? [];
step("batch", second > first && third > second);

const list = await client.GET("/api/task", { params: { query: { type: [type], view: "full" } } });
step("list", list.data?.length === 3 && list.data[0]?.version === 1 && list.data[0]?.payload !== null);

const get = (id: number, wait?: string) =>
  client.GET("/api/task/{id}", { params: { path: { id }, query: wait === undefined ? {} : { wait } } });
step("get", (await get(first)).data?.name === "first");
step("wait", (await get(first, "1ms")).data?.status === "pending");

const claimed = await client.POST("/api/worker/claim", { body: { worker: "w", types: [type], max: 3 } });
const tokens = new Map(claimed.data?.tasks.map(({ id, lease }) => [id, lease.token]));
const tokenOf = (id: number): string => tokens.get(id) ?? "";
step("claim", tokens.size === 3);

const progress = { percent: 50.5, message: "half way" };
const beat = await client.POST("/api/worker/heartbeat", {
  body: { worker: "w", leases: [{ id: first, token: tokenOf(first), progress, log: ["half way"] }] },
});
step("heartbeat", beat.data?.leases[0]?.status === "ok");

const at = (id: number) => ({ params: { path: { id } } });
await client.POST("/api/task/{id}/complete", {
  ...at(first),
  body: { token: tokenOf(first), result: { n: 1 } },
});
step("complete", (await get(first)).data?.status === "done");

await client.POST("/api/task/{id}/fail", {
  ...at(second),
  body: { token: tokenOf(second), retryable: false },
});
step("fail", (await get(second)).data?.status === "failed");

const edited = await client.PATCH("/api/task/{id}", { ...at(third), body: { name: "renamed" } });
step("patch", edited.data?.task_id === third);

step("delete", (await client.DELETE("/api/task/{id}", at(third))).response.status === 204);
step("404", (await get(third)).error?.code === "not_found");
step("409", (await client.POST("/api/task/{id}/cancel", at(first))).error?.code === "wrong_status");
