// Calls a server through the client that orval generates; prints each successful step.
import * as api from "./generated/client.js";

declare const process: { readonly argv: readonly string[] };
const type = process.argv[3] ?? "";

function step(name: string, isRight: boolean): void {
  if (!isRight) throw new Error(`wrong: ${name}`);
  console.log("ok", name);
}

const created = await api.createTask({ name: "first", type, payload: { n: 1 } });
const first = created.status === 201 ? (created.data.task_id ?? 0) : 0;
step("create", first > 0);

const batch = await api.createTask([
  { name: "second", type },
  { name: "third", type },
]);
const [second = 0, third = 0] = batch.status === 201 ? (batch.data.task_ids ?? []) : [];
step("batch", second > first && third > second);

const list = await api.listTasks({ type: [type], view: "full" });
step("list", list.status === 200 && list.data.length === 3 && list.data[0]?.version === 1);

const get = async (id: number, wait?: string) => {
  const answer = await api.getTask(id, wait === undefined ? {} : { wait });
  return answer.status === 200 ? answer.data : null;
};
step("get", (await get(first))?.name === "first");
step("wait", (await get(first, "1ms"))?.status === "pending");

const claimed = await api.claimTasks({ worker: "w", types: [type], max: 3 });
const tasks = claimed.status === 200 ? claimed.data.tasks : [];
const tokenOf = (id: number): string => tasks.find((task) => task.id === id)?.lease.token ?? "";
step("claim", tasks.length === 3);

const progress = { percent: 50.5, message: "half way" };
const beat = await api.renewLeases({
  worker: "w",
  leases: [{ id: first, token: tokenOf(first), progress, log: ["half way"] }],
});
step("heartbeat", beat.status === 200 && beat.data.leases[0]?.status === "ok");

await api.completeTask(first, { token: tokenOf(first), result: { n: 1 } });
step("complete", (await get(first))?.status === "done");

await api.failTask(second, { token: tokenOf(second), retryable: false });
step("fail", (await get(second))?.status === "failed");

const edited = await api.editTask(third, { name: "renamed" });
step("patch", edited.status === 200 && edited.data.task_id === third);

step("delete", (await api.deleteTask(third)).status === 204);

const gone = await api.getTask(third);
step("404", gone.status === 404 && gone.data.code === "not_found");

const refused = await api.cancelTask(first, {});
step("409", refused.status === 409 && refused.data.code === "wrong_status");
