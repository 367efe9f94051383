/**
 * Workers over HTTP: sixteen of them claim ten no-op tasks at a time and complete them, until none is left. A complete of TaskTrack
 * returns the next ten; bunqueue pulls and acknowledges with two calls.
 */

import { installPeers, startBunqueue } from "./peers.ts";
import { figure, median, printTable, spread, type Verdict } from "./report.ts";
import { type Server, startTasktrack, stop } from "./servers.ts";
import { createFiles, type Store, startPostgres } from "./stores.ts";

type Size = { readonly tasks: number; readonly rounds: number };
type Post = <T>(path: string, body: unknown) => Promise<T>;
type Side = {
  readonly name: string;
  readonly store: Pick<Store, "empty" | "remove"> | null;
  readonly start: (storeUrl: string) => Promise<Server>;
  readonly fill: (post: Post, count: number) => Promise<unknown>;
  /** One worker, until no task is left; resolves with the number of tasks that it has ended. */
  readonly work: (post: Post, worker: string) => Promise<number>;
};

const FULL: Size = { tasks: 40_000, rounds: 4 };
const QUICK: Size = { tasks: 4_000, rounds: 1 };
const WORKERS = 16;
const BATCH = 10;
const FILL_AT_ONCE = 500;
const TYPE = "bench";

type Leased = { readonly id: number; readonly lease: { readonly token: string } };

const postTo =
  (server: Server): Post =>
  async (path, body) => {
    const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${server.name} answered ${answer.status} to ${path}`);
    return (await answer.json()) as never; // each caller knows the type of its answer
  };

const tasktrack = (name: string, store: Side["store"]): Side => ({
  name: `TaskTrack, ${name}`,
  store,
  start: (storeUrl) => startTasktrack({ STORE_URL: storeUrl, ROLE: "api" }),
  fill: (post, count) => post("/api/task", new Array(count).fill({ name: "no-op", type: TYPE })),
  work: async (post, worker) => {
    const claim = { worker, types: [TYPE], max: BATCH };
    let { tasks } = await post<{ tasks: Leased[] }>("/api/worker/claim", claim);
    let done = 0;
    while (tasks.length > 0) {
      const ended = tasks.map(({ id, lease }) => ({ id, token: lease.token }));
      const answer = await post<{ claimed: Leased[]; tasks: { status: string }[] }>("/api/worker/complete", {
        tasks: ended,
        claim,
      });
      done += answer.tasks.filter(({ status }) => status === "ok").length;
      tasks = answer.claimed;
    }
    return done;
  },
});

const bunqueue = (store: Side["store"]): Side => ({
  name: "bunqueue, its default on disk",
  store,
  start: (storeUrl) => startBunqueue(storeUrl.slice("sqlite:".length)),
  fill: (post, count) =>
    post("/queues/work/jobs/bulk", { jobs: new Array(count).fill({ data: { name: "no-op" } }) }),
  work: async (post, owner) => {
    let done = 0;
    for (;;) {
      const pulled = await post<{ jobs: { id: string }[]; tokens?: string[] }>(
        "/queues/work/jobs/pull-batch",
        {
          count: BATCH,
          owner,
        },
      );
      if (pulled.jobs.length === 0) return done;
      await post("/jobs/ack-batch", { ids: pulled.jobs.map(({ id }) => id), tokens: pulled.tokens });
      done += pulled.jobs.length;
    }
  },
});

const measure = async (side: Side, { tasks }: Size): Promise<number> => {
  const server = await side.start((await side.store?.empty()) ?? "memory:");
  const post = postTo(server);
  for (let made = 0; made < tasks; made += FILL_AT_ONCE) await side.fill(post, FILL_AT_ONCE);
  const startedAt = performance.now();
  const done = await Promise.all(Array.from({ length: WORKERS }, (_, n) => side.work(post, `worker-${n}`)));
  const seconds = (performance.now() - startedAt) / 1000;
  await stop(server);
  const sum = done.reduce((total, count) => total + count, 0);
  if (sum !== tasks) throw new Error(`${side.name} ended ${sum} of ${tasks} tasks`);
  return tasks / seconds;
};

export const pulls = async (quick: boolean): Promise<Verdict[]> => {
  installPeers();
  const size = quick ? QUICK : FULL;
  const [files, postgres] = [createFiles(), await startPostgres()];
  const sides = {
    memory: tasktrack("memory", null),
    sqlite: tasktrack("SQLite", files),
    postgres: tasktrack("PostgreSQL", postgres),
    peer: bunqueue(files),
  };
  const rates = new Map<Side, number[]>(Object.values(sides).map((side) => [side, []]));
  for (let round = 0; round < size.rounds; round += 1) {
    for (const [side, measured] of rates) measured.push(await measure(side, size));
  }
  await postgres.remove();
  await files.remove();
  const rate = (side: Side): number => median(rates.get(side) ?? []);
  printTable([
    [`${WORKERS} workers, ${BATCH} at a time`, "tasks/s", "lowest to highest", "it / bunqueue"],
    ...Object.values(sides).map((side) => [
      side.name,
      figure(rate(side)),
      spread(rates.get(side) ?? []),
      figure(rate(side) / rate(sides.peer)),
    ]),
  ]);
  const atLeast = (what: string, measured: number, target: number, unit: string): Verdict => ({
    ...{ what, measured, target, unit },
    want: "at least",
  });
  return [
    atLeast("claim and complete through HTTP on memory", rate(sides.memory), 5_000, "/s"),
    atLeast("claim and complete through HTTP on PostgreSQL", rate(sides.postgres), 3_000, "/s"),
    atLeast(
      "claim and complete on SQLite / bunqueue's pull and ack",
      rate(sides.sqlite) / rate(sides.peer),
      2,
      "",
    ),
  ];
};
