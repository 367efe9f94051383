/** The time from the acceptance to the start of a task on an idle server without a dispatch interval. */
import { figure, percentile, printTable, type Verdict } from "./report.ts";
import { type Server, startTasktrack, stop } from "./servers.ts";

type Task = { readonly status: string; readonly created_at: string; readonly started_at: string | null };
export type Pickup = { readonly sentMs: number; readonly seenMs: number; readonly storedMs: number };

export const PICKUP_SETTINGS = {
  DISPATCH_INTERVAL: "0s",
  WORKER_CONCURRENCY: "1000",
  SIMULATE_MIN: "5ms",
  SIMULATE_MAX: "5ms",
  SIMULATE_FAILURE_RATE: "0",
};
const GIVE_UP_AFTER_MS = 5_000;

const create = async (server: Server): Promise<number> => {
  const answer = await fetch(`http://127.0.0.1:${server.port}/api/task`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "pick me up", description: "" }),
  });
  if (answer.status !== 201) {
    throw new Error(`a create answered ${answer.status}`);
  }
  return ((await answer.json()) as { task_id: number }).task_id;
};

const get = async (server: Server, id: number): Promise<Task> => {
  const answer = await fetch(`http://127.0.0.1:${server.port}/api/task/${id}`);
  if (answer.status !== 200) {
    throw new Error(`a get answered ${answer.status}`);
  }
  return (await answer.json()) as Task;
};

const until = async (server: Server, id: number, holds: (task: Task) => boolean): Promise<Task> => {
  const giveUpAt = performance.now() + GIVE_UP_AFTER_MS;
  for (;;) {
    const task = await get(server, id);
    if (holds(task)) {
      return task;
    }
    if (performance.now() > giveUpAt) {
      throw new Error(`task ${id} is still ${task.status} after ${GIVE_UP_AFTER_MS} ms`);
    }
  }
};

/**
 * Seen: the time from the 201 to the answer of the first get that is not pending, which includes one round trip. Sent: the same from
 * before the create. Stored: from the two times of the task, in whole milliseconds. Waits for the end of the task, so that the next
 * create finds an idle server.
 */
export const measurePickup = async (server: Server): Promise<Pickup> => {
  const sentAt = performance.now();
  const id = await create(server);
  const acceptedAt = performance.now();
  const task = await until(server, id, ({ status }) => status !== "pending");
  const seenAt = performance.now();
  await until(server, id, ({ status }) => status === "done");
  return {
    sentMs: seenAt - sentAt,
    seenMs: seenAt - acceptedAt,
    storedMs: Date.parse(task.started_at ?? "") - Date.parse(task.created_at),
  };
};

export const pickupRow = (name: string, values: readonly number[]): string[] => [
  name,
  ...[0.5, 0.99, 0.999, 1].map((share) => figure(percentile(values, share))),
];

export const pickup = async (quick: boolean): Promise<Verdict[]> => {
  const server = await startTasktrack(PICKUP_SETTINGS);
  for (let warmUp = 0; warmUp < 200; warmUp += 1) {
    await measurePickup(server);
  }
  const pickups: Pickup[] = [];
  for (let task = 0; task < (quick ? 500 : 5_000); task += 1) {
    pickups.push(await measurePickup(server));
  }
  await stop(server);
  const seen = pickups.map(({ seenMs }) => seenMs);
  printTable([
    [`${figure(pickups.length)} tasks, ms`, "p50", "p99", "p99.9", "most"],
    pickupRow("201 received to a get that says running", seen),
    pickupRow(
      "created_at to started_at",
      pickups.map(({ storedMs }) => storedMs),
    ),
  ]);
  return [
    {
      what: "create to running, p99",
      measured: percentile(seen, 0.99),
      target: 5,
      want: "at most",
      unit: " ms",
    },
  ];
};
