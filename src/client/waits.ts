/** The methods of the client that wait for the end of a task. */
import type { Clock } from "../core/clock.ts";
import type { Api } from "./api.ts";
import { TaskFailed } from "./error.ts";
import type { Client, CreateOptions, WaitOptions } from "./methods.ts";
import { polls } from "./polls.ts";
import { answered, pathOf } from "./requests.ts";
import type { Task, TaskSpec } from "./types.ts";

/** How long one request asks the server to wait for the end of a task. */
const WAIT_MS = 30_000;
/** The same with `onProgress`: the answers in between show the progress. */
const PROGRESS_WAIT_MS = 1_000;
const NEVER = new AbortController().signal;

export type WaitsSetup = { readonly api: Api; readonly clock: Clock; readonly create: Client["create"] };

export function createWaits({ api, clock, create }: WaitsSetup): Pick<Client, "wait" | "run"> {
  async function wait(id: number, options: WaitOptions = {}): Promise<Task> {
    const { withinMs = Number.POSITIVE_INFINITY, onProgress, signal } = options;
    const endsAt = clock.monotonic() + withinMs;
    for (let shown = ""; ; ) {
      const leftMs = Math.max(0, endsAt - clock.monotonic());
      const askedMs = Math.ceil(Math.min(leftMs, onProgress === undefined ? WAIT_MS : PROGRESS_WAIT_MS));
      const turn = await polls.begin(signal ?? NEVER);
      if (turn === null) throw signal?.reason;
      const waitMs = turn.mayWait ? askedMs : 0;
      const path = `${pathOf(id)}?wait=${waitMs}ms`;
      const task = answered(await api.send<Task>({ method: "GET", path, waitMs, signal }).finally(turn.end));
      const seen = JSON.stringify([task.status, task.attempt, task.progress]);
      if (seen !== shown) onProgress?.(task);
      shown = seen;
      if (task.finished_at !== null || clock.monotonic() >= endsAt) return task;
      if (!turn.mayWait) await api.pause(Math.min(polls.pauseMs(), endsAt - clock.monotonic()), signal);
    }
  }

  async function run(spec: TaskSpec, options: CreateOptions & WaitOptions = {}): Promise<Task> {
    const { id } = await create(spec, options);
    const task = await wait(id, options);
    if (task.finished_at !== null && task.status !== "done") throw new TaskFailed(task);
    return task;
  }

  return { wait, run };
}
