/** Random calls of the store port, drawn from a seed: plain data that depends on the current tasks of the reference store. */
import {
  cancel,
  create,
  edit,
  expire,
  retry,
  settle,
  type TaskSpec,
  TYPE_DEFAULTS,
} from "../../src/core/lifecycle.ts";
import type { Outcome } from "../../src/core/outcome.ts";
import { parseSearch } from "../../src/core/search.ts";
import { isEnded, isRunning, type Parts, STATUSES, type Task } from "../../src/core/task.ts";
import type {
  Ask,
  Beat,
  DocumentWrite,
  InsertRequest,
  Sort,
  Step,
  TaskFilter,
  TaskQuery,
  TaskRef,
} from "../../src/store/store.ts";
import { lightOf } from "../support/parts.ts";

/** One call of the port. Drafts are created separately for each store, because a store keeps them. */
export type Call =
  | { readonly verb: "insert"; readonly requests: () => InsertRequest[]; readonly now: number }
  | { readonly verb: "get"; readonly ids: number[]; readonly parts: Parts }
  | { readonly verb: "list"; readonly query: Omit<TaskQuery<Parts>, "after" | "parts"> & { parts: Parts } }
  | { readonly verb: "count"; readonly filter: TaskFilter }
  | { readonly verb: "claim"; readonly asks: Ask[]; readonly now: number; readonly nonce: string }
  | { readonly verb: "extend"; readonly beats: Beat[]; readonly now: number }
  | { readonly verb: "replace"; readonly steps: Step[] }
  | { readonly verb: "remove"; readonly refs: TaskRef[] }
  | { readonly verb: "readLog"; readonly id: number; readonly after: number }
  | { readonly verb: "changes" }
  | { readonly verb: "typeCounts" }
  | { readonly verb: "positionOf"; readonly id: number; readonly now: number; readonly atMost: number }
  | { readonly verb: "writeDocuments"; readonly writes: DocumentWrite[]; readonly now: number }
  | { readonly verb: "readDocuments"; readonly prefix: string; readonly now: number };

/** Most tasks have no log lines; claimed ones may have some, so a read chooses one of them if there is one. */
const logging = (tasks: readonly Task[]): readonly Task[] => orAll(tasks, ({ claims }) => claims > 0);

/** A heartbeat writes log lines only to a running task: without this choice some runs had no log line. */
const beating = (tasks: readonly Task[]): readonly Task[] =>
  orAll(tasks, ({ status }) => status === "running");

/** Only a pending task has a position. */
const waiting = (tasks: readonly Task[]): readonly Task[] =>
  orAll(tasks, ({ status }) => status === "pending");

const orAll = (tasks: readonly Task[], isMeant: (task: Task) => boolean): readonly Task[] => {
  const meant = tasks.filter(isMeant);
  return meant.length > 0 ? meant : tasks;
};

type WholeStep = { readonly from: Task; readonly to: Task };

const TYPES = ["a", "a.b", "b", "b_c", "simulate"];
const PATTERNS = ["a", "a*", "a.*", "b", "b_*", "*", "simulate", "none"];
const NAMES = ["alpha", "Бета", "gamma delta", "ΣΊΣΥΦΟΣ", "100%_x"];
const WORDS = ["alpha", "бета", "delta", "σίσυφος", "%_", "none", "payload.k:one"];
const PAYLOADS = [null, '{"k":"One"}', "[1,2]", '"\\u0000"', '{"z":1,"a":2}'];
const LABELS = [{}, {}, { l: "1" }, { l: "2", m: "a:b" }, { m: "" }];
const KEYS = [null, null, null, "k", "l"];
const NOTES = ["a", "a/1", "a/2", "b%", "b_"];
const PREFIXES = ["", "a", "a/", "b", "b_", "c"];
const PARTS: readonly Parts[] = ["whole", "light", "head"];
const SORTS: readonly Sort[] = ["id", "-id", "finished_at", "-finished_at"];

const OUTCOMES: readonly Outcome[] = [
  { kind: "done", result: null },
  { kind: "done", result: '{"ok":true}' },
  { kind: "failed", error: { code: "broken", message: "it broke" }, retryable: true, retryAfterMs: null },
  { kind: "failed", error: { code: "broken", message: "" }, retryable: false, retryAfterMs: null },
  { kind: "released", delayMs: 0 },
  { kind: "released", delayMs: 5_000 },
  { kind: "lost", message: "its process ended" },
];

export function createSteps(random: () => number) {
  const below = (count: number): number => Math.floor(random() * count);
  const one = <T>(members: readonly T[]): T => members[below(members.length)] as T; // never empty
  const some = <T>(members: readonly T[], most: number): T[] =>
    Array.from({ length: 1 + below(most) }, () => one(members));
  const distinct = <T>(members: readonly T[], most: number): T[] => [...new Set(some(members, most))];

  const spec = (now: number): TaskSpec => ({
    name: one(NAMES),
    description: one(["", "text"]),
    type: one(TYPES),
    payload: one(PAYLOADS),
    priority: one([0, 0, 0, 1, -1]),
    tags: distinct(["x", "y", "z z"], 2),
    labels: one(LABELS),
    key: one(KEYS),
    runAt: now + one([0, 0, 0, -1_000, 4_000]),
    timeoutMs: one([null, 1_000]),
    maxAttempts: one([1, 2, 3]),
  });

  function insert(now: number): Call {
    const planned = some([1, 1, 2, 3], 3).map((size) => {
      const specs = Array.from({ length: size }, () => spec(now));
      const keys = new Set<string | null | undefined>();
      const apart = specs.map((each) => {
        const isTwin = keys.has(each.key);
        keys.add(each.key);
        return isTwin ? { ...each, key: null } : each;
      });
      const idempotency =
        random() < 0.3
          ? { scope: "", key: one(["i", "j"]), fingerprint: one(["f", "f", "g"]), until: now + 20_000 }
          : null;
      return { specs: apart, idempotency };
    });
    const requests = (): InsertRequest[] =>
      planned.map(({ specs, idempotency }) => ({
        drafts: specs.map((each) => create(each, TYPE_DEFAULTS, now)),
        idempotency,
      }));
    return { verb: "insert", requests, now };
  }

  const filter = (now: number): TaskFilter => ({
    ...(random() < 0.4 ? { statuses: distinct(STATUSES, 3) } : {}),
    ...(random() < 0.3 ? { types: distinct(PATTERNS, 2) } : {}),
    ...(random() < 0.2 ? { tags: distinct(["x", "y"], 2) } : {}),
    ...(random() < 0.1 ? { labels: distinct(["l:1", "l:2", "m:a:b", "m:"], 2) } : {}),
    ...(random() < 0.2 ? { search: parseSearch(some(WORDS, 2).join(" ")) } : {}),
    ...(random() < 0.15 ? { finishedBefore: now - below(20_000) } : {}),
    ...(random() < 0.15 ? { expiredAt: now + below(30_000) } : {}),
    ...(random() < 0.1 ? { overlongAt: now - below(60_000) } : {}),
  });

  const claim = (now: number): Call => ({
    verb: "claim",
    asks: Array.from({ length: 1 + below(3) }, (_, n) => ({
      worker: `w${n}`,
      types: distinct(PATTERNS, 3),
      max: below(4),
      leaseMs: one([1_000, 10_000, 30_000]),
    })),
    now,
    nonce: `n${below(1_000)}`,
  });

  const beat = (task: Task): Beat => ({
    id: task.id,
    token: random() < 0.85 ? (task.token ?? "0.n") : "9.other",
    progress: random() < 0.5 ? { percent: below(101), message: one(["", "on it"]) } : null,
    log: random() < 0.4 ? some([{ level: "info", message: "line" } as const], 3) : [],
  });

  /** A rule that can be applied to the task, with its current or an older version. */
  function stepOf(task: Task, now: number): WholeStep {
    const from = random() < 0.1 ? ({ ...task, version: task.version - 1 } as Task) : task; // one version behind
    if (isEnded(from))
      return { from, to: random() < 0.6 ? retry(from, now) : edit(from, { name: one(NAMES) }, now) };
    if (!isRunning(from)) {
      const patch = one([
        { name: "new" },
        { priority: 2 },
        { runAt: now },
        { payload: null },
        { tags: [] },
        { labels: { l: "1" } },
      ]);
      return { from, to: random() < 0.4 ? cancel(from, now) : edit(from, patch, now) };
    }
    const roll = random();
    if (roll < 0.15) return changed(from, cancel(from, now), now);
    if (roll < 0.3) return changed(from, expire(from, Math.max(now, from.lease.until)), now);
    return { from, to: settle(from, { token: from.token, outcome: one(OUTCOMES) }, now, random()) };
  }

  /** Some heartbeats have a time from a clock that was set back, or after the end of their lease. */
  const beatsOf = (tasks: readonly Task[], now: number): Call => ({
    verb: "extend",
    beats: tasks.map(beat),
    now: now + one([0, 0, 0, -3_600_000, -40_000, 60_000]),
  });

  /** A rule that changes nothing returns the same task, which is never written to a store. */
  const changed = (from: Task, to: Task, now: number): WholeStep =>
    to === from ? { from, to: edit(from, { description: "again" }, now) } : { from, to };

  /** Sometimes the step that the rule makes of a light task, if the rule allows that. */
  function lightened({ from, to }: WholeStep): Step {
    const changesSearched =
      from.name !== to.name || from.description !== to.description || from.payload !== to.payload;
    if (changesSearched || random() < 0.6) return { from, to };
    const result = from.result === to.result ? {} : { result: to.result };
    return { from: lightOf(from), to: { ...lightOf(to), ...result } };
  }

  function writeDocuments(now: number): Call {
    const writes = distinct(NOTES, 3).map((name) => ({
      name,
      value: random() < 0.2 ? null : one(["", "one", '{"k":"Ключ\\n"}\n']),
      until: now + one([0, 400, 6_000, 60_000]),
      ...(random() < 0.6 ? { ifVersion: below(4) } : {}),
    }));
    return { verb: "writeDocuments", writes, now };
  }

  /** Sometimes the document of a step with an idempotency key; its name may exist already, from another step or from `writeDocuments`. */
  const once = (now: number): Pick<Step, "once"> =>
    random() < 0.75
      ? {}
      : {
          once: {
            name: one(NOTES),
            value: one(["", "done"]),
            until: now + one([400, 6_000, 60_000]),
            now,
          },
        };

  function draw(tasks: readonly Task[], now: number): Call {
    const roll = random();
    if (roll < 0.18 || tasks.length === 0) return insert(now);
    const chosen = distinct(tasks, 4);
    if (roll < 0.36) return claim(now);
    if (roll < 0.48) return beatsOf(distinct(random() < 0.7 ? beating(tasks) : tasks, 4), now);
    if (roll < 0.7)
      return {
        verb: "replace",
        steps: chosen.map((task) => ({ ...lightened(stepOf(task, now)), ...once(now) })),
      };
    if (roll < 0.75) {
      const refs = chosen.map(({ id, version }) => ({
        id,
        ...(random() < 0.5 ? {} : { version: version - below(2) }),
        ...once(now),
      }));
      return { verb: "remove", refs };
    }
    const parts = one(PARTS);
    if (roll < 0.78) return { verb: "get", ids: [...chosen.map(({ id }) => id), 1 + below(2_000)], parts };
    if (roll < 0.87) {
      return {
        verb: "list",
        query: { filter: filter(now), sort: one(SORTS), limit: one([1, 3, 100]), parts },
      };
    }
    if (roll < 0.89) return { verb: "count", filter: filter(now) };
    if (roll < 0.905) return { verb: "typeCounts" };
    if (roll < 0.925)
      return { verb: "positionOf", id: one(waiting(tasks)).id, now, atMost: one([0, 1, 3, 1_000]) };
    if (roll < 0.94) return writeDocuments(now);
    if (roll < 0.955) return { verb: "readDocuments", prefix: one(PREFIXES), now };
    if (roll < 0.985) return { verb: "readLog", id: one(logging(tasks)).id, after: one([0, 0, 1, 2]) };
    return { verb: "changes" };
  }

  return { draw, advance: (): number => one([0, 0, 1, 400, 1_100, 6_000]) };
}
