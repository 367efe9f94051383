/** A thousand workers that wait for work with long polls: their cost while there is none, and the time until one of them gets a task. */
import { createRawClient, type RawClient } from "../test/support/raw.ts";
import { cpuSeconds } from "./machine.ts";
import { figure, percentile, printTable, type Verdict } from "./report.ts";
import { type Server, startTasktrack, stop } from "./servers.ts";

type Size = { readonly workers: number; readonly idleSeconds: number; readonly tasks: number };

const FULL: Size = { workers: 1_000, idleSeconds: 20, tasks: 2_000 };
const QUICK: Size = { workers: 200, idleSeconds: 3, tasks: 200 };
const TYPE = "bench";
const WAIT_S = 25;
const GIVE_UP_AFTER_MS = 10_000;

type Leased = { readonly id: number; readonly lease: { readonly token: string } };

/** Each on its own connection: the runtime's fetch has no more than 256 requests under way. */
const connect = (server: Server): RawClient => createRawClient(`http://127.0.0.1:${server.port}`);

const post = async <T>(client: RawClient, path: string, body: unknown): Promise<T> => {
  const headers = [["Content-Type", "application/json"]] as const;
  const answer = await client.send({ method: "POST", target: path, headers, body: JSON.stringify(body) });
  if (answer.status !== 200 && answer.status !== 201) {
    throw new Error(`${path} answered ${answer.status}`);
  }
  return (await answer.json()) as T;
};

/** Claims one task, ends it, claims again, until the end of the benchmark. */
const work = async (
  client: RawClient,
  worker: string,
  over: AbortSignal,
  seen: () => void,
): Promise<void> => {
  const claim = { worker, types: [TYPE], max: 1, wait: `${WAIT_S}s` };
  while (!over.aborted) {
    try {
      const { tasks } = await post<{ tasks: Leased[] }>(client, "/api/worker/claim", claim);
      for (const { id, lease } of tasks) {
        seen();
        await post(client, `/api/task/${id}/complete`, { token: lease.token });
      }
    } catch (error) {
      if (!over.aborted) {
        throw error;
      }
    }
  }
};

/** One task at a time, each as soon as the previous one is claimed: from before its create until its worker has it. */
const measurePickups = async (
  client: RawClient,
  tasks: number,
  nextSeen: () => Promise<number>,
): Promise<number[]> => {
  const times: number[] = [];
  for (let task = 0; task < tasks; task += 1) {
    const seen = nextSeen();
    const sentAt = performance.now();
    await post(client, "/api/task", { name: "work", type: TYPE });
    times.push((await seen) - sentAt);
  }
  return times;
};

export const workers = async (quick: boolean): Promise<Verdict[]> => {
  const size = quick ? QUICK : FULL;
  const server = await startTasktrack({ ROLE: "api", DISPATCH_INTERVAL: "0s" });
  const over = new AbortController();
  let turn = Promise.withResolvers<number>();
  const seen = (): void => turn.resolve(performance.now());
  const nextSeen = (): Promise<number> => {
    turn = Promise.withResolvers<number>();
    const late = setTimeout(
      () => turn.reject(new Error(`no worker had a task within ${GIVE_UP_AFTER_MS} ms`)),
      GIVE_UP_AFTER_MS,
    );
    return turn.promise.finally(() => clearTimeout(late));
  };
  const producer = connect(server);
  const clients = Array.from({ length: size.workers }, () => connect(server));
  const all = clients.map((client, n) => work(client, `worker-${n}`, over.signal, seen));
  await measurePickups(producer, 100, nextSeen); // a warm-up, after which all workers wait
  await Bun.sleep(1_000);

  const before = cpuSeconds(server.pid);
  await Bun.sleep(size.idleSeconds * 1_000);
  const busy = (cpuSeconds(server.pid) - before) / size.idleSeconds;
  const pickups = await measurePickups(producer, size.tasks, nextSeen);
  over.abort();
  for (const client of [producer, ...clients]) {
    client.close();
  }
  await Promise.all(all);
  await stop(server);

  printTable([
    [`${figure(size.workers)} workers wait`, "p50", "p99", "p99.9", "most"],
    [
      "from the create to the worker with the task, ms",
      ...[0.5, 0.99, 0.999, 1].map((share) => figure(percentile(pickups, share))),
    ],
    [`idle for ${size.idleSeconds} s, per cent of a core`, figure(busy * 100), "", "", ""],
  ]);
  const subject = `${figure(size.workers)} waiting workers`;
  return [
    { what: `${subject}, idle`, measured: busy * 100, target: 10, want: "at most", unit: " % of a core" },
    {
      what: `${subject}, pickup p99`,
      measured: percentile(pickups, 0.99),
      target: 20,
      want: "at most",
      unit: " ms",
    },
  ];
};
