/**
 * Random commands for the engine on a memory store and for a small model that shares no code with it. The test compares the
 * answers after each command, and all visible state after each run. Concurrent steps must have the result of some sequential
 * order. A failure prints the shortest list of commands that causes it; MODEL_SEED=… repeats the same runs, MODEL_RUNS=…
 * sets their number.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { TaskError } from "../src/core/error.ts";
import type { TaskId } from "../src/core/task.ts";
import type { Engine } from "../src/engine/engine.ts";
import type { Once } from "../src/engine/once.ts";
import type { TaskStore } from "../src/store/store.ts";
import {
  type CallKey,
  type Command,
  commands,
  LONG_RESULTS,
  type Step,
  type TokenKind,
  type Whom,
} from "./model/commands.ts";
import { createModel, type Filter, fork, type Model, type Said } from "./model/model.ts";
import { createManualClock, type ManualClock, settled } from "./support/clock.ts";
import { openEngine } from "./support/engine.ts";

const RUNS = Number(process.env.MODEL_RUNS || 400);
const SEED = Number(process.env.MODEL_SEED || Math.floor(Math.random() * 2 ** 31));
const TIMEOUT_MS = 300_000 + RUNS * 200;
const DAY_MS = 86_400_000;

type World = {
  readonly engine: Engine;
  readonly store: TaskStore;
  readonly clock: ManualClock;
  model: Model;
};

/** Fails, and shows the difference, unless both are the same in every field. */
function same(actual: unknown, expected: unknown): void {
  if (!Bun.deepEquals(actual, expected, true)) expect(actual).toStrictEqual(expected);
}

// ---- steps on one task

/** A prepared step: the call of the engine, and the same call of the model. */
type Ready = {
  readonly take: (engine: Engine) => Promise<unknown>;
  readonly foretell: (model: Model) => unknown;
};

function makeReady(model: Model, step: Step, id: TaskId): Ready {
  switch (step.do) {
    case "extend": {
      const log = step.lines.map((level, at) => ({ level, message: `line ${at}` }));
      const beat = { id, token: tokenOf(model, id, step.token), progress: step.progress, log };
      return {
        take: async (engine) => (await engine.extend([beat]))[0],
        foretell: (model) => model.extend(beat),
      };
    }
    case "settle":
    case "settle again": {
      const said = step.do === "settle" ? inFull(step.said) : model.saidOf(id);
      if (said === null) return makeReady(model, { do: "get", whom: step.whom }, id);
      const token = tokenOf(model, id, step.do === "settle" ? step.token : "right");
      return {
        take: (engine) => engine.settle(id, token, said),
        foretell: (model) => model.settle(id, token, said),
      };
    }
    case "edit": {
      const due = step.dueInMs === null ? {} : { runAt: model.now + step.dueInMs };
      const patch = { ...step.patch, ...due };
      return underKey(step.callKey, JSON.stringify(["edit", id, patch]), {
        take: (engine, terms) => engine.edit(id, patch, terms),
        foretell: (model) => model.edit(id, patch),
      });
    }
    case "get":
      return { take: (engine) => engine.get(id), foretell: (model) => model.get(id) ?? "not_found" };
    case "cancel":
    case "retry":
    case "remove": {
      const verb = step.do;
      return underKey(step.callKey, JSON.stringify([verb, id]), {
        take: async (engine, terms) => (await engine[verb](id, terms)) ?? "ok",
        foretell: (model) => model[verb](id),
      });
    }
    default:
      return step satisfies never;
  }
}

type Keyed = {
  readonly take: (engine: Engine, terms: { readonly once?: Once }) => Promise<unknown>;
  readonly foretell: (model: Model) => ReturnType<Model["edit"]>;
};

/** A step that is executed once for its key, if it has one. */
function underKey(key: CallKey, fingerprint: string, { take, foretell }: Keyed): Ready {
  if (key === null) return { take: (engine) => take(engine, {}), foretell };
  return {
    take: (engine) => engine.once({ name: `call/${key}`, fingerprint }, (once) => take(engine, { once })),
    foretell: (model) => model.once(key, fingerprint, () => foretell(model)),
  };
}

const inFull = (said: Said): Said =>
  said.kind === "done" ? { ...said, result: LONG_RESULTS.get(said.result ?? "") ?? said.result } : said;

function idOf(model: Model, { group, nth }: Whom): TaskId {
  const tasks = model.find({}, "id");
  const members = tasks.filter(({ status, finishedAt }) =>
    group === "ended" ? finishedAt !== null : status === group,
  );
  const chosen = members.length > 0 ? members : tasks;
  return chosen[nth % chosen.length]?.id ?? 1 + (nth % (model.lastId + 1));
}

function tokenOf(model: Model, id: TaskId, kind: TokenKind): string {
  const task = model.get(id);
  if (kind === "nonsense" || task === undefined) return "nonsense";
  return kind === "stale" ? `${task.claims - 1}.n` : (task.token ?? "0.n");
}

/** The answer, "ok" if it is empty, or the code of the refusal. */
const answerOf = (call: Promise<unknown>): Promise<unknown> =>
  call
    .then((answer) => answer ?? "ok")
    .catch((error: unknown) => {
      if (error instanceof TaskError) return error.code;
      throw error;
    });

const agrees = (answer: unknown, foretold: unknown): boolean =>
  foretold === "either" ? answer === "ok" || answer === "lease_lost" : Bun.deepEquals(answer, foretold, true);

async function takeStep(world: World, step: Step): Promise<void> {
  const { take, foretell } = makeReady(world.model, step, idOf(world.model, step.whom));
  const answer = await answerOf(take(world.engine));
  const foretold = foretell(world.model);
  if (!agrees(answer, foretold)) same(answer, foretold);
}

/** Continues with the model whose order of steps explains every answer and the state of the task. */
async function takeAtOnce(world: World, steps: readonly Step[]): Promise<void> {
  const [first] = steps;
  if (first === undefined) return;
  const id = idOf(world.model, first.whom);
  const ready = steps.map((step) => makeReady(world.model, step, id));
  const answers = await Promise.all(ready.map(({ take }) => answerOf(take(world.engine))));
  const after = { task: await answerOf(world.engine.get(id)), log: await world.store.readLog(id, 0) };
  const taken = ready.map(({ foretell }, at) => ({ foretell, answer: answers[at] }));
  const explained = orders(taken).map((order) => explain(world.model, order, id, after));
  const model = explained.find((found) => found !== null);
  if (model == null) throw new Error(`no order of the steps explains ${JSON.stringify({ answers, after })}`);
  world.model = model;
}

type Taken = { readonly foretell: Ready["foretell"]; readonly answer: unknown };

function explain(model: Model, order: readonly Taken[], id: TaskId, after: unknown): Model | null {
  const tried = fork(model);
  for (const { foretell, answer } of order) if (!agrees(answer, foretell(tried))) return null;
  const expected = { task: tried.get(id) ?? "not_found", log: tried.logOf(id) };
  return Bun.deepEquals(after, expected, true) ? tried : null;
}

/** All permutations. */
function orders<T>(members: readonly T[]): T[][] {
  if (members.length <= 1) return [[...members]];
  return members.flatMap((first, at) => orders(members.toSpliced(at, 1)).map((rest) => [first, ...rest]));
}

// ---- all other commands

async function claim({ engine, model }: World, { wishes }: Extract<Command, { do: "claim" }>): Promise<void> {
  const leaving = new AbortController();
  const claims = wishes.map((wish) => engine.claim(wish, leaving.signal));
  await settled();
  leaving.abort(); // a claim that finds nothing would wait without end
  const given = (await Promise.all(claims)).map(({ tasks }) => tasks);
  for (const [at, wish] of wishes.entries()) same(given[at], model.claim(wish));
}

async function create({ engine, model }: World, command: Extract<Command, { do: "create" }>): Promise<void> {
  const { specs, idempotency } = command;
  const key =
    idempotency === null ? undefined : { scope: "", key: idempotency.key, fingerprint: idempotency.body };
  same(await answerOf(engine.create(specs, key)), model.create(specs, idempotency));
}

async function list({ engine, model }: World, command: Extract<Command, { do: "list" }>): Promise<void> {
  const { order, limit } = command;
  const filter = timed(command, model.now);
  const { word, ...rest } = filter;
  const search = word === undefined ? {} : { search: { words: [word], fields: [] } };
  const query = { filter: { ...rest, ...search }, sort: order, limit };
  const found: TaskId[] = [];
  let page = await engine.list({ ...query, after: null });
  for (;;) {
    expect(page.tasks.length).toBeLessThanOrEqual(limit);
    found.push(...page.tasks.map(({ id }) => id));
    if (page.next === null) break;
    page = await engine.list({ ...query, after: page.next });
  }
  same(
    found,
    model.find(filter, order).map(({ id }) => id),
  );
  same(await engine.count(query.filter), model.find(filter, "id").length);
}

const timed = (
  { filter, endedBeforeMs, expiredAtMs }: Extract<Command, { do: "list" }>,
  now: number,
): Filter => ({
  ...filter,
  ...(endedBeforeMs === null ? {} : { finishedBefore: now + endedBeforeMs }),
  ...(expiredAtMs === null ? {} : { expiredAt: now + expiredAtMs }),
});

async function perform(world: World, command: Command): Promise<void> {
  switch (command.do) {
    case "at once":
      return takeAtOnce(world, command.steps);
    case "create":
      return create(world, command);
    case "claim":
      return claim(world, command);
    case "sweep":
      return same(await world.engine.sweep(), world.model.sweep());
    case "advance":
      await world.clock.advance(command.ms);
      return world.model.advance(command.ms);
    case "list":
      return list(world, command);
    default:
      return takeStep(world, command);
  }
}

// ---- all visible state

async function compareAll({ engine, store, model }: World): Promise<void> {
  const { tasks } = await engine.list({ filter: {}, sort: "id", after: null, limit: 10_000 });
  same(tasks, model.find({}, "id"));
  const page = await store.changes({ epoch: "test", rev: 0 }, 100_000);
  if (page.kind === "gone") throw new Error("the change log forgot its beginning");
  for (let id = 1; id <= model.lastId; id++) {
    same(await store.readLog(id, 0), model.logOf(id));
    // Each task's own changes; the order between different tasks is not defined.
    const changes = page.changes
      .filter((change) => change.id === id && change.kind !== "progress")
      .map(({ version, status, kind }) => ({ id, version, status, kind }));
    same(
      changes,
      model.changes.filter((change) => change.id === id),
    );
  }
}

/** Claims the remaining tasks in order, and moves the clock to the end. */
async function compareEnd(world: World): Promise<void> {
  const rest = { worker: "last", types: ["*"], max: 1_000, leaseMs: 1_000 };
  await perform(world, { do: "advance", ms: DAY_MS });
  await perform(world, { do: "claim", wishes: [rest] });
  await perform(world, { do: "advance", ms: DAY_MS });
  await perform(world, { do: "sweep" });
  await compareAll(world);
}

const rules = fc.record({
  random: fc.constantFrom(0, 0.3337, 0.999),
  keepDoneMs: fc.constantFrom(0, 60_000),
  keepOthersMs: fc.constantFrom(0, 120_000),
});

test(
  "engine and model agree on every answer and on all visible state",
  async () => {
    console.log(`MODEL_SEED=${SEED} MODEL_RUNS=${RUNS}`);
    await fc.assert(
      fc.asyncProperty(rules, commands, async ({ random, keepDoneMs, keepOthersMs }, given) => {
        const clock = createManualClock();
        const { engine, store } = openEngine({
          clock,
          random: () => random,
          retentions: [
            { statuses: ["done"], keepMs: keepDoneMs },
            { statuses: ["failed", "cancelled"], keepMs: keepOthersMs },
          ],
        });
        const startAt = clock.now();
        const model = createModel({ startAt, random, keepDoneMs, keepOthersMs });
        const world = { engine, store, clock, model };
        for (const command of given) await perform(world, command);
        await compareAll(world);
        await compareEnd(world);
        await engine.close();
      }),
      { seed: SEED, numRuns: RUNS },
    );
  },
  TIMEOUT_MS,
);
