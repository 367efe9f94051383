/** The engine's verbs in short form for tests. */
import { type ErrorCode, TaskError } from "../../src/core/error.ts";
import type { TaskSpec } from "../../src/core/lifecycle.ts";
import type { Outcome } from "../../src/core/outcome.ts";
import type { RunningTask, TaskId } from "../../src/core/task.ts";
import type { Claimed } from "../../src/engine/dispatch.ts";
import type { Engine } from "../../src/engine/engine.ts";
import type { Ask, TaskStore } from "../../src/store/store.ts";
import { LEASE_MS } from "./engine.ts";

export const HOUR_MS = 3_600_000;

/** A signal that never aborts. */
export const NEVER = new AbortController().signal;

export const DONE = { kind: "done", result: null } as const satisfies Outcome;
export const RELEASED = { kind: "released", delayMs: 0 } as const satisfies Outcome;
export const FAILED = {
  kind: "failed",
  error: { code: "broken", message: "It broke" },
  retryable: true,
  retryAfterMs: null,
} as const satisfies Outcome;

export const ask = (fields: Partial<Ask> = {}): Ask => ({
  worker: "worker-1",
  types: ["*"],
  max: 1,
  leaseMs: LEASE_MS,
  ...fields,
});

export async function create(engine: Engine, spec: Partial<TaskSpec> = {}): Promise<TaskId> {
  const { tasks } = await engine.create([{ name: "name", type: "work", ...spec }]);
  return tasks[0]?.id ?? Number.NaN;
}

export async function createMany(engine: Engine, count: number): Promise<void> {
  const spec = { name: "name", type: "work" };
  for (let left = count; left > 0; left -= 1_000) {
    await engine.create(new Array(Math.min(left, 1_000)).fill(spec));
  }
}

/** Claims one task that is due. */
export async function claim(engine: Engine): Promise<RunningTask> {
  const { tasks } = await engine.claim(ask(), NEVER);
  return tasks[0] as RunningTask; // a claim that is not aborted resolves with a task
}

export const ids = ({ tasks }: Claimed): TaskId[] => tasks.map(({ id }) => id);

/** The error code of a refused call; "ok" if it is not refused. */
export const codeOf = (call: Promise<unknown>): Promise<ErrorCode | "ok"> =>
  call.then(
    () => "ok" as const,
    (error: unknown) => {
      if (error instanceof TaskError) return error.code;
      throw error;
    },
  );

const COUNTED = ["insert", "get", "claim", "replace", "changes", "now"] as const;
type Counted = (typeof COUNTED)[number];

/** Counts the calls of a store; `take` returns the count since the last `take`. */
export function counting() {
  const calls: Record<Counted, number> = { insert: 0, get: 0, claim: 0, replace: 0, changes: 0, now: 0 };
  const count = (name: Counted): void => {
    calls[name]++;
  };
  const around = (store: TaskStore): TaskStore => ({
    ...store,
    insert: (...args) => {
      count("insert");
      return store.insert(...args);
    },
    get: (...args) => {
      count("get");
      return store.get(...args);
    },
    claim: (...args) => {
      count("claim");
      return store.claim(...args);
    },
    replace: (...args) => {
      count("replace");
      return store.replace(...args);
    },
    changes: (...args) => {
      count("changes");
      return store.changes(...args);
    },
    now: () => {
      count("now");
      return store.now();
    },
  });
  const take = (name: Counted): number => {
    const taken = calls[name];
    calls[name] = 0;
    return taken;
  };
  return { around, take };
}
