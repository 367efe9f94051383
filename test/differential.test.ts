/**
 * All stores behave the same: random calls run on all of them, and every answer is compared with that of the memory store, field by
 * field. A failure has the seed, the run and the step; DIFFERENTIAL_SEED=… repeats it, DIFFERENTIAL_RUNS=… sets the number
 * of runs.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TaskId } from "../src/core/task.ts";
import { systemClock } from "../src/lib/system-clock.ts";
import { openStore } from "../src/store/open.ts";
import type { Change, Cursor, Position, TaskPage, TaskStore } from "../src/store/store.ts";
import { type Call, createSteps } from "./differential/steps.ts";
import { createTestLog } from "./support/engine.ts";
import { type AnyParts, cutTo } from "./support/parts.ts";
import { createRandom } from "./support/random.ts";
import { sharedPostgres, sharedRedis } from "./support/servers/shared.ts";

const RUNS = Number(process.env.DIFFERENTIAL_RUNS || 15);
const SEED = Number(process.env.DIFFERENTIAL_SEED || Math.floor(Math.random() * 2 ** 31));
const STEPS = 200;
const CENSUS_EVERY = 10;
const TIMEOUT_MS = 300_000 + RUNS * 10_000;

const VERBS = [
  "insert",
  "get",
  "list",
  "count",
  "claim",
  "extend",
  "replace",
  "remove",
  "readLog",
  "changes",
  "typeCounts",
  "positionOf",
  "writeDocuments",
  "readDocuments",
] as const;

type Side = { readonly name: string; readonly store: TaskStore; position: Position };

const sides: Side[] = [];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tasktrack-differential-"));
  const name = `differential_${crypto.randomUUID().slice(0, 8)}`;
  const urls = [
    "memory:",
    `sqlite:${join(folder, "tasks.db")}`,
    `${sharedPostgres()}?schema=${name}`,
    `${sharedRedis()}?prefix=${name}`,
  ];
  for (const url of urls) {
    const store = await openStore({
      url,
      clock: systemClock,
      log: createTestLog(),
      random: Math.random,
      nonce: () => crypto.randomUUID().slice(0, 8),
      worker: "differential",
      allowVolatileRedis: false,
    });
    sides.push({
      name: url.split(":", 1)[0] ?? url,
      store,
      position: (await store.changes(null, 1)).position,
    });
  }
});

afterAll(async () => {
  for (const { store } of sides) await store.close();
  await rm(folder, { recursive: true });
});

/** The answer of a store to a call, in a form that must be the same for all stores. */
async function answerOf(side: Side, call: Call): Promise<unknown> {
  const { store } = side;
  switch (call.verb) {
    case "insert":
      return store.insert(call.requests(), call.now);
    case "get":
      return (await store.get(call.ids, call.parts)).map((task) => task && cutTo(call.parts, task));
    case "list":
      return walk(store, call.query);
    case "count":
      return store.count(call.filter);
    case "claim":
      return store.claim(call.asks, call);
    case "extend":
      return store.extend(call.beats, call.now);
    case "replace":
      return store.replace(call.steps);
    case "remove":
      return store.remove(call.refs);
    case "readLog":
      return store.readLog(call.id, call.after);
    case "changes":
      return changesOf(side);
    case "typeCounts":
      return store.typeCounts();
    case "positionOf":
      return store.positionOf(call.id, call.now, call.atMost);
    case "writeDocuments":
      return store.writeDocuments(call.writes, call.now);
    case "readDocuments":
      return store.readDocuments(call.prefix, call.now);
    default:
      return call satisfies never;
  }
}

/** All pages together, because each store may end a page elsewhere. */
async function walk(store: TaskStore, query: Extract<Call, { verb: "list" }>["query"]): Promise<AnyParts[]> {
  const tasks: AnyParts[] = [];
  let after: Cursor | null = null;
  do {
    const page: TaskPage<AnyParts> = await store.list({ ...query, after });
    tasks.push(...page.tasks.map((task) => cutTo(query.parts, task)));
    after = page.next;
  } while (after !== null);
  return tasks;
}

/** The changes since the last read, for each task: the order between different tasks may differ between stores. */
async function changesOf(side: Side): Promise<Record<TaskId, Omit<Change, "rev" | "id">[]>> {
  const byTask: Record<TaskId, Omit<Change, "rev" | "id">[]> = {};
  for (;;) {
    const page = await side.store.changes(side.position, 1_000);
    if (page.kind === "gone") throw new Error("expected changes, the position is gone");
    side.position = page.position;
    if (page.changes.length === 0) return byTask;
    for (const { id, version, status, kind } of page.changes) {
      byTask[id] = [...(byTask[id] ?? []), { version, status, kind }];
    }
  }
}

/** Whether the call had an effect or found something, so that no method is compared only by its refusals. */
function hasSucceeded(call: Call, answer: unknown): boolean {
  const text = JSON.stringify(answer);
  switch (call.verb) {
    case "insert":
      return text.includes('"created"');
    case "extend":
    case "replace":
    case "writeDocuments":
      return text.includes('"ok"');
    case "remove":
      return text.includes("true");
    case "get":
    case "claim":
      return text.includes('"id"');
    default:
      return !["[]", "{}", "0", "null"].includes(text);
  }
}

test(
  "all stores give the same answer to every call",
  async () => {
    console.log(`DIFFERENTIAL_SEED=${SEED} DIFFERENTIAL_RUNS=${RUNS}`);
    const succeeded = new Map<string, number>();
    const [oracle, ...others] = sides;
    if (oracle === undefined) throw new Error("there is no store to compare with");
    let now = Math.floor(await oracle.store.now());
    for (let run = 0; run < RUNS; run++) {
      const steps = createSteps(createRandom(SEED + run));
      for (let step = 0; step < STEPS; step++) {
        now += steps.advance();
        const { tasks } = await oracle.store.list({ filter: {}, sort: "-id", after: null, limit: 40 });
        const call = steps.draw(tasks, now);
        const expected = await answerOf(oracle, call);
        const answers = await Promise.all(others.map((side) => answerOf(side, call)));
        for (const [at, side] of others.entries()) {
          if (!Bun.deepEquals(answers[at], expected, true)) {
            const where = { store: side.name, seed: SEED, run, step, call };
            expect({ ...where, answer: answers[at] }).toStrictEqual({ ...where, answer: expected });
          }
        }
        if (step % CENSUS_EVERY === 0) await compareCensus({ seed: SEED, run, step });
        if (hasSucceeded(call, expected)) succeeded.set(call.verb, (succeeded.get(call.verb) ?? 0) + 1);
      }
      await clear();
    }
    expect(VERBS.filter((verb) => succeeded.get(verb) === undefined)).toEqual([]);
  },
  TIMEOUT_MS,
);

/** All stores have the same counts. */
async function compareCensus(where: object): Promise<void> {
  const [expected, ...others] = await Promise.all(sides.map(({ store }) => store.typeCounts()));
  for (const [at, typeCounts] of others.entries()) {
    const store = sides[at + 1]?.name;
    expect({ ...where, store, typeCounts }).toStrictEqual({ ...where, store, typeCounts: expected ?? [] });
  }
}

/** The next run begins without tasks; ids continue. */
async function clear(): Promise<void> {
  const [oracle] = sides;
  if (oracle === undefined) return;
  const refs = (await walk(oracle.store, { filter: {}, sort: "id", limit: 1_000, parts: "whole" })).map(
    ({ id }) => ({ id }),
  );
  const removed = await Promise.all(sides.map(({ store }) => store.remove(refs)));
  expect(removed.flat().every((gone) => gone)).toBe(true);
}
