/** A thousand workers that wait for work by long polls: what they cost while there is none, and how soon one of them has it. */
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

const post = (server: Server, path: string, body: unknown, signal?: AbortSignal): Promise<Response> =>
  fetch(`http://127.0.0.1:${server.port}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });

const taken = async <T>(answer: Response, status: number): Promise<T> => {
  if (answer.status !== status) {
    throw new Error(`${answer.url} answered ${answer.status}`);
  }
  return (await answer.json()) as T;
};

/** Asks for one task, ends it, asks again, until the bench is over. */
const work = async (
  server: Server,
  worker: string,
  over: AbortSignal,
  seen: (id: number) => void,
): Promise<void> => {
  const claim = { worker, types: [TYPE], max: 1, wait: `${WAIT_S}s` };
  while (!over.aborted) {
    try {
      const answer = await post(server, "/api/worker/claim", claim, over);
      for (const { id, lease } of (await taken<{ tasks: Leased[] }>(answer, 200)).tasks) {
        seen(id);
        await taken(await post(server, `/api/task/${id}/complete`, { token: lease.token }, over), 200);
      }
    } catch (error) {
      if (!over.aborted) {
        throw error;
      }
    }
  }
};

/** One task at a time, each as soon as the one before was taken: from before its create to its worker's having it. */
const measurePickups = async (
  server: Server,
  tasks: number,
  nextSeen: () => Promise<number>,
): Promise<number[]> => {
  const times: number[] = [];
  for (let task = 0; task < tasks; task += 1) {
    const seen = nextSeen();
    const sentAt = performance.now();
    await taken(await post(server, "/api/task", { name: "work", type: TYPE }), 201);
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
  const all = Array.from({ length: size.workers }, (_, n) => work(server, `worker-${n}`, over.signal, seen));
  await measurePickups(server, 100, nextSeen); // a warm-up, after which all wait
  await Bun.sleep(1_000);

  const before = cpuSeconds(server.pid);
  await Bun.sleep(size.idleSeconds * 1_000);
  const busy = (cpuSeconds(server.pid) - before) / size.idleSeconds;
  const pickups = await measurePickups(server, size.tasks, nextSeen);
  over.abort();
  await Promise.all(all);
  await stop(server);

  printTable([
    [`${figure(size.workers)} workers wait`, "p50", "p99", "p99.9", "most"],
    [
      "create sent to its worker's having it, ms",
      ...[0.5, 0.99, 0.999, 1].map((share) => figure(percentile(pickups, share))),
    ],
    [`idle for ${size.idleSeconds} s, per cent of a core`, figure(busy * 100), "", "", ""],
  ]);
  const who = `${figure(size.workers)} waiting workers`;
  return [
    { what: `${who}, idle`, measured: busy * 100, target: 10, want: "at most", unit: " % of a core" },
    {
      what: `${who}, pickup p99`,
      measured: percentile(pickups, 0.99),
      target: 20,
      want: "at most",
      unit: " ms",
    },
  ];
};
