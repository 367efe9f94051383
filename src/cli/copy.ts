import { isDeepStrictEqual } from "node:util";
import { withoutPassword } from "../config.ts";
import { isTaskError, TaskError } from "../core/error.ts";
import { STATUSES, type Status, type Task } from "../core/task.ts";
import { textSize } from "../core/text-size.ts";
import { createLog } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";
import { migrateStore, openStore } from "../store/open.ts";
import type { StoreSetup } from "../store/setup.ts";
import type { Cursor, TaskPage, TaskRecord, TaskStore } from "../store/store.ts";
import type { Command, Given } from "./command.ts";
import { FAILED, OK, USAGE } from "./exit-codes.ts";
import { createProgress } from "./progress.ts";
import { complain, configure, mostlyHidden, storeSetup } from "./settings.ts";

export const copyCommand: Command = {
  name: "copy",
  about: "copy all tasks from one store to another",
  details: `Copies all tasks with their ids, history and log lines. Stop the servers of both stores first: changes during the copy are not copied. An interrupted copy continues when the command runs again. At the end, the counts of both stores are compared. Idempotency keys are not copied. The schemas of both stores are brought up to date.`,
  positionals: [],
  flags: [
    { name: "from", value: "URL", about: "sqlite:PATH, postgres://… or redis://…" },
    {
      name: "to",
      value: "URL",
      about: "another store in the same form, empty or with the tasks of an interrupted copy",
    },
    ...mostlyHidden(),
  ],
  outlivesOutput: true,
  examples: [
    {
      line: "tasktrack copy --from sqlite:tasks.db --to postgres://localhost/tasks",
      about: "from SQLite to PostgreSQL",
    },
  ],
  run: ({ given }) => copy(given),
};

/** Tasks in one page. A page has fewer tasks if they are large. */
const PAGE = 500;
/** Logs read at the same time. This number keeps the connections of a store busy; each log may have ten megabytes. */
const LOGS = 16;
/** The approximate work of one call: far less than what a store does within its time limit. */
const CALL_BYTES = 4 * 1_048_576;

type Way = { readonly from: string; readonly to: string };

async function copy(given: Given): Promise<number> {
  const config = await configure(given);
  if (typeof config === "number") return config;
  const way: Way = { from: given.text("from") ?? "", to: given.text("to") ?? "" };
  const fault = wayFault(way);
  if (fault !== null) {
    complain(fault);
    return USAGE;
  }
  const log = createLog({
    level: "warn",
    pretty: false,
    now: systemClock.now,
    write: (line) => process.stderr.write(line),
  });
  const opened: TaskStore[] = [];
  try {
    const source = await named("--from", () => openSource(storeSetup(way.from, config, log)));
    opened.push(source);
    const target = await named("--to", () => openStore(storeSetup(way.to, config, log)));
    opened.push(target);
    await copyAll(source, target);
    return await compare(source, target);
  } catch (error) {
    if (!isTaskError(error)) throw error;
    complain(error.message);
    return FAILED;
  } finally {
    for (const store of opened) await store.close();
  }
}

const wayFault = ({ from, to }: Way): string | null =>
  urlFault(from, "--from") ??
  urlFault(to, "--to") ??
  (from === to ? "--from and --to are the same store" : null);

const STORE = /^(sqlite:.+|(postgres|postgresql|redis|rediss|valkey|valkeys):\/\/\S+)$/;

function urlFault(url: string, flag: string): string | null {
  if (url === "") return `copy needs ${flag} URL; see tasktrack copy --help`;
  if (STORE.test(url)) return null;
  return `${flag}: expected sqlite:PATH, postgres://… or redis://…, got ${JSON.stringify(withoutPassword(url))}`;
}

/** Errors of stores name STORE_URL. Here two flags name the stores. */
async function named<T>(flag: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!isTaskError(error)) throw error;
    throw new TaskError(error.code, error.message.replace(/^STORE_URL\b/, flag));
  }
}

/**
 * Opening a store creates it if it does not exist. With a wrong URL, an empty store would be copied, which
 * looks like a success.
 */
async function openSource(setup: StoreSetup): Promise<TaskStore> {
  const { current } = await migrateStore(setup, false);
  if (current > 0) return openStore(setup);
  throw new TaskError("invalid", `STORE_URL: there is no store of tasks at ${withoutPassword(setup.url)}`);
}

async function copyAll(source: TaskStore, target: TaskStore): Promise<void> {
  let after = await lastCopied(source, target);
  const progress = createProgress({
    stream: process.stderr,
    now: systemClock.monotonic,
    total: await source.count({}),
    done: await target.count({}),
  });
  try {
    for (let isOver = false; !isOver; ) {
      const page: TaskPage = await source.list({ filter: {}, sort: "id", after, limit: PAGE });
      for await (const records of recordsOf(source, page.tasks)) {
        await target.restore(records);
        progress.advance(records.length);
      }
      isOver = page.next === null;
      after = page.next;
    }
  } finally {
    progress.end();
  }
}

/** The tasks with their logs, in portions for one call. */
async function* recordsOf(source: TaskStore, tasks: readonly Task[]): AsyncGenerator<TaskRecord[]> {
  let portion: TaskRecord[] = [];
  let bytes = 0;
  for (let at = 0; at < tasks.length; at += LOGS) {
    for (const record of await Promise.all(
      tasks.slice(at, at + LOGS).map((task) => recordOf(source, task)),
    )) {
      const size = bytesOf(record);
      if (portion.length > 0 && bytes + size > CALL_BYTES) {
        yield portion;
        [portion, bytes] = [[], 0];
      }
      portion.push(record);
      bytes += size;
    }
  }
  if (portion.length > 0) yield portion;
}

const recordOf = async (source: TaskStore, task: Task): Promise<TaskRecord> => ({
  task,
  log: await source.readLog(task.id, 0),
});

/** The work for a line, in bytes, in addition to its text. */
const LINE_BYTES = 100;

const bytesOf = ({ task, log }: TaskRecord): number =>
  log.reduce((bytes, { message }) => bytes + LINE_BYTES + message.length, textSize(task));

/**
 * Tasks are copied in the order of their ids, so the last task of the target shows where an earlier run
 * stopped. Throws if this task differs from the source's: then the target has tasks of its own.
 */
async function lastCopied(source: TaskStore, target: TaskStore): Promise<Cursor | null> {
  const { tasks } = await target.list({ filter: {}, sort: "-id", after: null, limit: 1 });
  const [last] = tasks;
  if (last === undefined) return null;
  const [original] = await source.get([last.id]);
  if (isDeepStrictEqual(original, last)) return { id: last.id, finishedAt: null };
  throw new TaskError(
    "invalid",
    `--to: the store has tasks that are not in --from (task ${last.id}); copy into an empty store`,
  );
}

type Counts = { readonly status: Status | "all"; readonly from: number; readonly to: number };

/** Prints the counts of both stores; FAILED if they differ. */
async function compare(source: TaskStore, target: TaskStore): Promise<number> {
  const counts: Counts[] = [];
  for (const status of STATUSES) {
    const filter = { statuses: [status] };
    counts.push({ status, from: await source.count(filter), to: await target.count(filter) });
  }
  process.stdout.write(tableOf(counts));
  if (counts.every(({ from, to }) => from === to)) return OK;
  complain(
    "the counts differ: a store was written to meanwhile; stop both servers and copy into an empty store",
  );
  return FAILED;
}

function tableOf(counts: readonly Counts[]): string {
  const sum = (side: "from" | "to"): number => counts.reduce((total, row) => total + row[side], 0);
  const rows = [...counts, { status: "all", from: sum("from"), to: sum("to") }];
  const line = (status: string, from: string, to: string): string =>
    `${status.padEnd(10)} ${from.padStart(12)} ${to.padStart(12)}\n`;
  return [
    line("", "from", "to"),
    ...rows.map(({ status, from, to }) => line(status, String(from), String(to))),
  ].join("");
}
