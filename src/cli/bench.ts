/** `tasktrack bench`: measures a running server over HTTP, as clients and workers use it. */
import { createApi } from "../client/api.ts";
import { type Client, createClient, TaskTrackError } from "../client/client.ts";
import {
  type ClaimBody,
  type Completion,
  createWorkCalls,
  type LeasedTask,
  type WorkCalls,
} from "../client/work.ts";
import { systemChance } from "../lib/system-chance.ts";
import { systemClock } from "../lib/system-clock.ts";
import { type Call, type Command, UsageError } from "./command.ts";
import { FAILED, OK } from "./exit-codes.ts";
import { complain } from "./settings.ts";
import { serverUrl, URL_FLAG } from "./tasks/server.ts";

export const benchCommand: Command = {
  name: "bench",
  about: "measure a running server",
  details: `Measures how fast tasks are created, and how fast workers claim and complete them. The tasks do nothing. They have a type of their own, so that other workers do not get them, and are deleted at the end.`,
  positionals: [],
  flags: [
    URL_FLAG,
    { name: "tasks", value: "N", about: "number of tasks, default 10000" },
    { name: "connections", value: "N", about: "number of create requests at the same time, default 64" },
    { name: "workers", value: "N", about: "number of workers that claim and complete, default 16" },
    {
      name: "batch",
      value: "N",
      about: `number of tasks in each create and each claim; default 10, at most 1000`,
    },
    { name: "json", about: "write one line of JSON instead of a table" },
  ],
  examples: [
    { line: "tasktrack bench --tasks 100000", about: "a longer run against the server on this machine" },
  ],
  run: bench,
};

export type Plan = {
  readonly url: string;
  readonly tasks: number;
  readonly connections: number;
  readonly workers: number;
  readonly batch: number;
};

/** The measurements of one phase. Times are milliseconds of one request; `perSecond` counts tasks. */
export type Figures = {
  readonly phase: string;
  readonly tasks: number;
  readonly requests: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
};

const MOST = 10_000_000;
const LARGEST_BATCH = 1_000;
const LEASE = "1m";
const NOT_ALL = "other clients took or deleted some of the tasks";

async function bench(call: Call): Promise<number> {
  const plan = readPlan(call);
  try {
    const figures = await measure(plan);
    const text = call.given.isOn("json") ? `${JSON.stringify(figures)}\n` : table(figures);
    call.terminal.out.write(text);
    return OK;
  } catch (error) {
    if (!(error instanceof TaskTrackError)) throw error;
    complain(error.message);
    return FAILED;
  }
}

function readPlan({ given, terminal }: Call): Plan {
  const number = (name: string, { fallback, most }: { fallback: number; most: number }): number => {
    const text = given.text(name) ?? String(fallback);
    const value = /^[1-9]\d{0,7}$/.test(text) ? Number(text) : Number.NaN;
    if (value <= most) return value;
    throw new UsageError(`--${name}: expected a whole number from 1 to ${most}, got ${JSON.stringify(text)}`);
  };
  return {
    url: serverUrl(given, terminal),
    tasks: number("tasks", { fallback: 10_000, most: MOST }),
    connections: number("connections", { fallback: 64, most: 10_000 }),
    workers: number("workers", { fallback: 16, most: 10_000 }),
    batch: number("batch", { fallback: 10, most: LARGEST_BATCH }),
  };
}

/**
 * Retries last 4 to 8 seconds: a server under measurement may refuse requests for a moment, and a server that
 * is away is soon reported.
 */
const RETRIES = 4;

/** Runs both phases, and deletes the tasks in any case. */
export async function measure(plan: Plan): Promise<readonly Figures[]> {
  const client = createClient(plan.url, { retries: RETRIES });
  const type = `bench.${systemChance.nonce()}`;
  const made: number[] = [];
  try {
    const created = await createAll(client, plan, { type, made });
    return [created, await completeAll(plan, type)];
  } finally {
    await removeAll(client, plan, made);
  }
}

function createAll(
  client: Client,
  plan: Plan,
  { type, made }: { readonly type: string; readonly made: number[] },
): Promise<Figures> {
  let left = plan.tasks;
  return phase("create", plan.connections, async () => {
    if (left === 0) return null;
    const count = Math.min(plan.batch, left);
    left -= count;
    const spec = { name: "benchmark", type };
    const ids =
      count === 1 ? [(await client.create(spec)).id] : await client.createMany(new Array(count).fill(spec));
    made.push(...ids);
    return ids.length;
  });
}

/** Each worker completes its tasks and gets the next ones with the answer: one request for each batch. */
async function completeAll({ url, tasks, workers, batch }: Plan, type: string): Promise<Figures> {
  const api = createApi({ url, options: {}, clock: systemClock, random: systemChance.random });
  const calls = createWorkCalls(api);
  const signal = new AbortController().signal;
  const claim = (worker: number): ClaimBody => ({
    worker: `${type}-${worker}`,
    types: [type],
    max: batch,
    lease: LEASE,
    request: systemChance.nonce(),
  });
  let done = 0;
  const heldBy = new Map<number, readonly LeasedTask[]>();
  const figures = await phase("claim+complete", workers, async (worker) => {
    const held = heldBy.get(worker);
    if (held?.length === 0 || done >= tasks) return null;
    if (held === undefined) {
      heldBy.set(worker, (await calls.claim(claim(worker), 0, signal)).tasks);
      return 0;
    }
    const { count, next } = await completeOne(calls, held, claim(worker));
    heldBy.set(worker, next);
    done += count;
    return count;
  });
  if (done < tasks) complain(`${NOT_ALL}: ${done} of ${tasks} were completed`);
  return figures;
}

async function completeOne(calls: WorkCalls, held: readonly LeasedTask[], claim: ClaimBody) {
  const completions = held.map(({ id, lease }): Completion => ({ id, token: lease.token, result: null }));
  const { tasks, claimed = [] } = await calls.complete(completions, claim);
  return { count: tasks.filter(({ status }) => status === "ok").length, next: claimed };
}

/** Runs `turn` in parallel until it returns null. It returns how many tasks it has done. */
async function phase(
  name: string,
  workers: number,
  turn: (worker: number) => Promise<number | null>,
): Promise<Figures> {
  const latencies: number[] = [];
  let tasks = 0;
  const startedAt = systemClock.monotonic();
  const run = async (worker: number): Promise<void> => {
    for (;;) {
      const sentAt = systemClock.monotonic();
      const count = await turn(worker);
      if (count === null) return;
      latencies.push(systemClock.monotonic() - sentAt);
      tasks += count;
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, worker) => run(worker)));
  const seconds = (systemClock.monotonic() - startedAt) / 1_000;
  const sorted = latencies.sort((a, b) => a - b);
  return {
    ...{ phase: name, tasks, requests: sorted.length, seconds: rounded(seconds) },
    perSecond: Math.round(tasks / seconds),
    p50Ms: percentile(sorted, 0.5),
    p95Ms: percentile(sorted, 0.95),
    p99Ms: percentile(sorted, 0.99),
  };
}

/** The smallest value that this share of all values does not exceed. */
export const percentile = (sorted: readonly number[], share: number): number =>
  rounded(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0);

const rounded = (value: number): number => Math.round(value * 1_000) / 1_000;

/** Deletes one by one over a few connections: a bulk delete would search all tasks of the store. */
async function removeAll(client: Client, { connections }: Plan, ids: readonly number[]): Promise<void> {
  const left = ids.values();
  const run = async (): Promise<void> => {
    for (const id of left) await client.remove(id).catch(unlessGone);
  };
  await Promise.all(Array.from({ length: connections }, run));
}

function unlessGone(error: unknown): void {
  if (!(error instanceof TaskTrackError) || error.code !== "not_found") throw error;
}

function table(figures: readonly Figures[]): string {
  const heads = ["phase", "tasks", "tasks/s", "requests", "p50 ms", "p95 ms", "p99 ms"];
  const rows = figures.map((of) =>
    [
      of.phase,
      of.tasks,
      of.perSecond,
      of.requests,
      of.p50Ms.toFixed(1),
      of.p95Ms.toFixed(1),
      of.p99Ms.toFixed(1),
    ].map(String),
  );
  const line = (cells: readonly string[]): string =>
    cells.map((cell, at) => (at === 0 ? cell.padEnd(16) : cell.padStart(10))).join("");
  return `${[heads, ...rows].map(line).join("\n")}\n`;
}
