/** The cost of the change log on PostgreSQL while one, four or sixteen processes create tasks at once. */
import { join } from "node:path";
import type { Subprocess } from "bun";
import { onEveryCore } from "./machine.ts";
import { figure, median, printTable, spread } from "./report.ts";
import { bun, track } from "./servers.ts";
import { type PostgresStore, startPostgres } from "./stores.ts";

type Writer = Subprocess<"pipe", "pipe", "inherit">;
type Size = { readonly rounds: number; readonly forMs: number; readonly processes: readonly number[] };

const FULL: Size = { rounds: 3, forMs: 4_000, processes: [1, 4, 16] };
const QUICK: Size = { rounds: 1, forMs: 500, processes: [1, 4] };

const program = join(import.meta.dir, "changelog-writer.ts");
const preload = ["--preload", join(import.meta.dir, "changelog-off.ts")];

const startWriter = (storeUrl: string, isLogged: boolean, forMs: number): Writer => {
  const flags = isLogged ? [] : preload;
  const child = Bun.spawn([...bun, ...flags, program, String(forMs)], {
    env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", STORE_URL: storeUrl },
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  track(child);
  return child;
};

const nextLine = async (reader: { read(): Promise<{ value?: Uint8Array | undefined }> }): Promise<string> => {
  const { value } = await reader.read();
  if (value === undefined) {
    throw new Error("a writer of the change log's benchmark has failed");
  }
  return new TextDecoder().decode(value).trim();
};

const countOf = async (store: PostgresStore, what: string, table: string): Promise<number> => {
  const [row] = (await store
    .sql()
    .unsafe(`SELECT coalesce(${what}, 0)::int AS count FROM tasktrack.${table}`)) as [{ count: number }];
  return row.count;
};

/** Checks the switch: a change log that is off is empty, one that is on has a change for each task. */
const demandChanges = async (store: PostgresStore, isLogged: boolean): Promise<void> => {
  const [tasks, changes] = [
    await countOf(store, "count(*)", "tasks"),
    await countOf(store, "sum(n)", "changes"),
  ];
  if (changes !== (isLogged ? tasks : 0)) {
    throw new Error(`${tasks} tasks have ${changes} changes with the change log ${isLogged ? "on" : "off"}`);
  }
};

/** All begin together, once all are ready, and share both cores with the server. */
const measure = async (store: PostgresStore, processes: number, isLogged: boolean, forMs: number) => {
  const storeUrl = await store.empty();
  const writers: Writer[] = [];
  await onEveryCore(async () => {
    for (let at = 0; at < processes; at += 1) {
      writers.push(startWriter(storeUrl, isLogged, forMs));
    }
  });
  const readers = writers.map(({ stdout }) => stdout.getReader());
  await Promise.all(readers.map(nextLine));
  await store.settle();
  for (const { stdin } of writers) {
    stdin.write("go\n");
    stdin.flush();
  }
  const counts = await Promise.all(readers.map(nextLine));
  await Promise.all(writers.map(({ exited }) => exited));
  await demandChanges(store, isLogged);
  return (counts.reduce((sum, count) => sum + Number(count), 0) / forMs) * 1000;
};

export const changelog = async (quick: boolean): Promise<[]> => {
  const { rounds, forMs, processes } = quick ? QUICK : FULL;
  const store = await startPostgres();
  await measure(store, 1, true, forMs); // the first measurement of a new server is always slow
  const rows: string[][] = [];
  for (const count of processes) {
    const rates: Record<"on" | "off", number[]> = { on: [], off: [] };
    for (let round = 0; round < rounds; round += 1) {
      for (const side of round % 2 === 0 ? (["on", "off"] as const) : (["off", "on"] as const)) {
        rates[side].push(await measure(store, count, side === "on", forMs));
      }
    }
    const [on, off] = [median(rates.on), median(rates.off)];
    rows.push([
      `${count} ${count === 1 ? "process" : "processes"}`,
      ...[figure(on), spread(rates.on), figure(off), spread(rates.off), `${figure((1 - on / off) * 100)} %`],
    ]);
  }
  await store.remove();
  const head = ["with, creates/s", "lowest to highest", "without", "lowest to highest", "cost"];
  printTable([["change log", ...head], ...rows]);
  return [];
};
