// Calls a server through the client that hey-api generates; prints each successful step.
import { client } from "./generated/client.gen.js";
import * as api from "./generated/sdk.gen.js";

declare const process: { readonly argv: readonly string[] };
const [, , baseUrl = "", type = ""] = process.argv;
client.setConfig({ baseUrl });

function step(name: string, isRight: boolean): void {
  if (!isRight) throw new Error(`wrong: ${name}`);
  console.log("ok", name);
}

const created = await api.createTask({ body: { name: "first", type, payload: { n: 1 } } });
const first = created.data?.task_id ?? 0;
step("create", first > 0);

const batch = await api.createTask({
  body: [
    { name: "second", type },
    { name: "third", type },
  ],
});
const [second = 0, third = 0] = batch.data?.task_ids ?? [];
step("batch", second > first && third > second);

const list = await api.listTasks({ query: { type: [type], view: "full" } });
step("list", list.data?.length === 3 && list.data[0]?.version === 1);

const get = (id: number, wait?: string) =>
  api.getTask({ path: { id }, query: wait === undefined ? {} : { wait } });
step("get", (await get(first)).data?.name === "first");
step("wait", (await get(first, "1ms")).data?.status === "pending");

const claimed = await api.claimTasks({ body: { worker: "w", types: [type], max: 3 } });
const tasks = claimed.data?.tasks ?? [];
const tokenOf = (id: number): string => tasks.find((task) => task.id === id)?.lease.token ?? "";
step("claim", tasks.length === 3);

const progress = { percent: 50.5, message: "half way" };
const beat = await api.renewLeases({
  body: { worker: "w", leases: [{ id: first, token: tokenOf(first), progress, log: ["half way"] }] },
});
step("heartbeat", beat.data?.leases[0]?.status === "ok");

await api.completeTask({ path: { id: first }, body: { token: tokenOf(first), result: { n: 1 } } });
step("complete", (await get(first)).data?.status === "done");

await api.failTask({ path: { id: second }, body: { token: tokenOf(second), retryable: false } });
step("fail", (await get(second)).data?.status === "failed");

const edited = await api.editTask({ path: { id: third }, body: { name: "renamed" } });
step("patch", edited.data?.task_id === third);

const deleted = await api.deleteTask({ path: { id: third } });
step("delete", deleted.response?.status === 204);
step("404", (await get(third)).error?.code === "not_found");
step("409", (await api.cancelTask({ path: { id: first } })).error?.code === "wrong_status");
