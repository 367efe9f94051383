/**
 * Random commands, given to the engine on a memory store and to a small model that shares no code with it. After each
 * command the answers are compared, after each run everything that can be seen. A failure prints the shortest list of
 * commands that shows it; MODEL_SEED=… gives the same runs again, MODEL_RUNS=… more of them.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { TaskError } from "../src/core/error.ts";
import type { TaskId } from "../src/core/task.ts";
import type { Engine } from "../src/engine/engine.ts";
import type { TaskStore } from "../src/store/store.ts";
import { type Command, command, type TokenKind, type Whom } from "./model/commands.ts";
import { createModel, type Model, type ModelBeat } from "./model/model.ts";
import { createManualClock, type ManualClock, settled } from "./support/clock.ts";
import { LEASE_MS, openEngine } from "./support/engine.ts";

const RUNS = Number(process.env.MODEL_RUNS || 2_000);
const SEED = Number(process.env.MODEL_SEED || Math.floor(Math.random() * 2 ** 31));
const TIMEOUT_MS = 60_000 + RUNS * 60;
const COMMANDS_AT_MOST = 60;
const DAY_MS = 86_400_000;

type World = {
  readonly engine: Engine;
  readonly store: TaskStore;
  readonly clock: ManualClock;
  readonly model: Model;
};

/** Fails, and shows where, unless both are the same in every field. */
function same(actual: unknown, expected: unknown): void {
  if (!Bun.deepEquals(actual, expected, true)) expect(actual).toStrictEqual(expected);
}

/** The answer, "ok" where there is nothing to say, or the code of the refusal. */
const answerOf = <T>(call: Promise<T>): Promise<T | string> =>
  call
    .then((answer) => answer ?? "ok")
    .catch((error: unknown) => {
      if (error instanceof TaskError) return error.code;
      throw error;
    });

// ---- one command, done by both

function idOf({ model }: World, { group, nth }: Whom): TaskId {
  const ids = model
    .find({}, "id")
    .filter(({ status, finishedAt }) => (group === "ended" ? finishedAt !== null : status === group))
    .map(({ id }) => id);
  return ids[nth % ids.length] ?? 1 + (nth % (model.lastId + 1));
}

function tokenOf({ model }: World, id: TaskId, kind: TokenKind): string {
  const task = model.get(id);
  if (kind === "nonsense" || task === undefined) return "nonsense";
  return kind === "stale" ? `${task.claims - 1}.n` : (task.token ?? "0.n");
}

async function claim({ engine, model }: World, { wishes }: Extract<Command, { do: "claim" }>): Promise<void> {
  const leaving = new AbortController();
  const claims = wishes.map((wish) => engine.claim(wish, leaving.signal));
  await settled();
  leaving.abort(); // who found nothing would wait for ever
  const given = (await Promise.all(claims)).map(({ tasks }) => tasks);
  for (const [at, wish] of wishes.entries()) same(given[at], model.claim(wish));
}

async function extend(world: World, command: Extract<Command, { do: "extend" }>): Promise<void> {
  const beats = command.beats.map(({ whom, token, progress, lines }): ModelBeat => {
    const id = idOf(world, whom);
    const log = lines.map((level, at) => ({ level, message: `line ${at}` }));
    return { id, token: tokenOf(world, id, token), progress, log };
  });
  const answers = await world.engine.extend(beats);
  same(answers, beats.map(world.model.extend));
}

async function settle({ engine, model }: World, ...said: Parameters<Model["settle"]>): Promise<void> {
  const answer = await answerOf(engine.settle(...said));
  const expected = model.settle(...said);
  if (expected === "either")
    expect(["lease_lost", "ok"]).toContain(answer as string); // a settle answers nothing else
  else same(answer, expected);
}

async function settleAgain(world: World, id: TaskId): Promise<void> {
  const said = world.model.saidOf(id);
  if (said !== null) await settle(world, id, tokenOf(world, id, "right"), said);
}

async function list(
  { engine, model }: World,
  { filter, order, limit }: Extract<Command, { do: "list" }>,
): Promise<void> {
  const { word, ...rest } = filter;
  const search = word === undefined ? {} : { search: { words: [word], fields: [] } };
  const query = { filter: { ...rest, ...search }, sort: order, limit };
  const found: TaskId[] = [];
  for (
    let page = await engine.list({ ...query, after: null });
    ;
    page = await engine.list({ ...query, after: page.next })
  ) {
    expect(page.tasks.length).toBeLessThanOrEqual(limit);
    found.push(...page.tasks.map(({ id }) => id));
    if (page.next === null) break;
  }
  same(
    found,
    model.find(filter, order).map(({ id }) => id),
  );
  same(await engine.count(query.filter), model.find(filter, "id").length);
}

async function perform(world: World, command: Command): Promise<void> {
  const { engine, model, clock } = world;
  switch (command.do) {
    case "create": {
      const { specs, idempotency } = command;
      const key =
        idempotency === null ? undefined : { scope: "", key: idempotency.key, fingerprint: idempotency.body };
      return same(await answerOf(engine.create(specs, key)), model.create(specs, idempotency));
    }
    case "claim":
      return claim(world, command);
    case "extend":
      return extend(world, command);
    case "settle": {
      const id = idOf(world, command.whom);
      return settle(world, id, tokenOf(world, id, command.token), command.said);
    }
    case "settle again":
      return settleAgain(world, idOf(world, command.whom));
    case "edit": {
      const id = idOf(world, command.whom);
      const due = command.dueInMs === null ? {} : { runAt: model.now + command.dueInMs };
      const patch = { ...command.patch, ...due };
      return same(await answerOf(engine.edit(id, patch)), model.edit(id, patch));
    }
    case "cancel":
    case "retry": {
      const id = idOf(world, command.whom);
      return same(await answerOf(engine[command.do](id)), model[command.do](id));
    }
    case "remove": {
      const id = idOf(world, command.whom);
      return same(await answerOf(engine.remove(id)), model.remove(id));
    }
    case "get": {
      const id = idOf(world, command.whom);
      return same(await answerOf(engine.get(id)), model.get(id) ?? "not_found");
    }
    case "sweep":
      return same(await engine.sweep(), model.sweep());
    case "advance":
      await clock.advance(command.ms);
      return model.advance(command.ms);
    case "list":
      return list(world, command);
    default:
      return command satisfies never;
  }
}

// ---- all that can be seen

async function compareAll(world: World): Promise<void> {
  const { engine, store, model } = world;
  const { tasks } = await engine.list({ filter: {}, sort: "id", after: null, limit: 10_000 });
  same(tasks, model.find({}, "id"));
  for (const { id } of tasks) same(await store.readLog(id, 0), model.logOf(id));
  await compareChanges(world);
}

/** Each task's own changes, in order; how those of different tasks interleave is nobody's business. */
async function compareChanges({ store, model }: World): Promise<void> {
  const page = await store.changes({ epoch: "test", rev: 0 }, 100_000);
  if (page.kind === "gone") throw new Error("the change log forgot its beginning");
  for (let id = 1; id <= model.lastId; id++) {
    const logged = page.changes
      .filter((change) => change.id === id && change.kind !== "progress")
      .map(({ version, status, kind }) => ({ id, version, status, kind }));
    same(
      logged,
      model.changes.filter((change) => change.id === id),
    );
  }
}

/** What is left is claimed in order, and the rest of time is let pass. */
async function compareEnd(world: World): Promise<void> {
  await perform(world, { do: "advance", ms: DAY_MS });
  await perform(world, {
    do: "claim",
    wishes: [{ worker: "last", types: ["*"], max: 1_000, leaseMs: 1_000 }],
  });
  await perform(world, { do: "advance", ms: DAY_MS });
  await perform(world, { do: "sweep" });
  await compareAll(world);
}

const setting = fc.record({
  random: fc.constantFrom(0, 0.5, 0.999),
  keepDoneMs: fc.constantFrom(0, 60_000),
  keepOthersMs: fc.constantFrom(0, 120_000),
});

test(
  "engine and model agree on every answer and on all that can be seen",
  async () => {
    console.log(`MODEL_SEED=${SEED} MODEL_RUNS=${RUNS}`);
    await fc.assert(
      fc.asyncProperty(
        setting,
        fc.array(command, { minLength: 1, maxLength: COMMANDS_AT_MOST, size: "max" }),
        async ({ random, keepDoneMs, keepOthersMs }, commands) => {
          const clock = createManualClock();
          const { engine, store } = openEngine({
            clock,
            random: () => random,
            retentions: [
              { statuses: ["done"], keepMs: keepDoneMs },
              { statuses: ["failed", "cancelled"], keepMs: keepOthersMs },
            ],
          });
          const model = createModel({
            startAt: clock.now(),
            leaseMs: LEASE_MS,
            random,
            keepDoneMs,
            keepOthersMs,
          });
          const world = { engine, store, clock, model };
          for (const command of commands) await perform(world, command);
          await compareAll(world);
          await compareEnd(world);
          await engine.close();
        },
      ),
      { seed: SEED, numRuns: RUNS },
    );
  },
  TIMEOUT_MS,
);
