// Calls a server through the client that openapi-generator makes for TypeScript; prints each successful step.
import { Configuration, ResponseError, TasksApi, WorkersApi } from "./generated/index.js";

declare const process: { readonly argv: readonly string[] };
const [, , basePath = "", type = ""] = process.argv;
const configuration = new Configuration({ basePath });
const tasks = new TasksApi(configuration);
const workers = new WorkersApi(configuration);

function step(name: string, isRight: boolean): void {
  if (!isRight) throw new Error(`wrong: ${name}`);
  console.log("ok", name);
}

const created = await tasks.createTask({ createBody: { name: "first", type, payload: { n: 1 } } });
const first = created.taskId ?? 0;
step("create", first > 0);

const batch = await tasks.createTask({
  createBody: [
    { name: "second", type },
    { name: "third", type },
  ],
});
const [second = 0, third = 0] = batch.taskIds ?? [];
step("batch", second > first && third > second);

const list = await tasks.listTasks({ type: [type], view: "full" });
step("list", list.length === 3 && list[0]?.version === 1 && list[0].createdAt instanceof Date);

step("get", (await tasks.getTask({ id: first })).name === "first");
step("wait", (await tasks.getTask({ id: first, wait: "1ms" })).status === "pending");

const claimed = await workers.claimTasks({ claimRequest: { worker: "w", types: [type], max: 3 } });
const tokenOf = (id: number): string => claimed.tasks.find((task) => task.id === id)?.lease.token ?? "";
step("claim", claimed.tasks.length === 3);

const progress = { percent: 50.5, message: "half way" };
const beat = await workers.renewLeases({
  heartbeatRequest: {
    worker: "w",
    leases: [{ id: first, token: tokenOf(first), progress, log: [{ level: "info", message: "half way" }] }],
  },
});
step("heartbeat", beat.leases[0]?.status === "ok");

await workers.completeTask({ id: first, completeRequest: { token: tokenOf(first), result: { n: 1 } } });
step("complete", (await tasks.getTask({ id: first })).status === "done");

await workers.failTask({ id: second, failRequest: { token: tokenOf(second), retryable: false } });
step("fail", (await tasks.getTask({ id: second })).status === "failed");

const edited = await tasks.editTask({ id: third, taskEdit: { name: "renamed" } });
step("patch", edited.taskId === third);

step("delete", (await tasks.deleteTaskRaw({ id: third })).raw.status === 204);

const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "",
    async (error: unknown) => (error instanceof ResponseError ? (await error.response.json()).code : error),
  );
step("404", (await codeOf(tasks.getTask({ id: third }))) === "not_found");
step("409", (await codeOf(tasks.cancelTask({ id: first }))) === "wrong_status");
