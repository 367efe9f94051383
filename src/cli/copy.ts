import { withoutPassword } from "../config.ts";
import { isTaskError, TaskError } from "../core/error.ts";
import { STATUSES, type Status, type Task } from "../core/task.ts";
import { createLog, type Log } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";
import { openStore } from "../store/open.ts";
import type { Cursor, TaskPage, TaskStore } from "../store/store.ts";
import { createProgress } from "./progress.ts";
import { complain, configureWith, FAILED, OK, storeSetup, USAGE } from "./settings.ts";

export const copyHelp = `Usage: tasktrack copy --from URL --to URL

Copies all tasks from one store to another as they are: ids, history, log lines. Stop the servers of both stores first: what
changes meanwhile is not followed. Cut short, it goes on where it was when it is run again. At the end the counts of both
stores are compared. What is remembered of idempotency keys is not copied.

  --from URL   sqlite:PATH, postgres://… or redis://…
  --to URL     the same, another store; its schema is brought up to date
`;

const PAGE = 500;

/** `tasktrack copy`: resolves with the exit code. */
export async function copy(argv: readonly string[]): Promise<number> {
  const configured = await configureWith(argv, { from: { type: "string" }, to: { type: "string" } });
  if (typeof configured === "number") return configured;
  const { config, given } = configured;
  const [from, to] = [String(given.from ?? ""), String(given.to ?? "")];
  const fault =
    urlFault(from, "--from") ??
    urlFault(to, "--to") ??
    (from === to ? "--from and --to are the same store" : null);
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
  const open = async (url: string): Promise<TaskStore> => {
    const store = await openStore(storeSetup(url, config, log satisfies Log));
    opened.push(store);
    return store;
  };
  try {
    return await copyAll(await open(from), await open(to), { from, to });
  } catch (error) {
    if (!isTaskError(error)) throw error;
    complain(error.message);
    return FAILED;
  } finally {
    for (const store of opened) await store.close();
  }
}

const STORE = /^(sqlite:.+|(postgres|postgresql|redis|rediss|valkey|valkeys):\/\/\S+)$/;

function urlFault(url: string, flag: string): string | null {
  if (url === "") return `copy needs ${flag} URL; see tasktrack copy --help`;
  if (STORE.test(url)) return null;
  return `${flag}: expected sqlite:PATH, postgres://… or redis://…, got ${JSON.stringify(withoutPassword(url))}`;
}

async function copyAll(
  source: TaskStore,
  target: TaskStore,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<number> {
  const total = await source.count({});
  const resumeAfter = await lastCopied(source, target);
  const progress = createProgress({
    stream: process.stderr,
    now: systemClock.monotonic,
    total,
    done: resumeAfter === null ? 0 : await countUpTo(target),
  });
  for (let after = resumeAfter, isOver = false; !isOver; ) {
    const page: TaskPage = await source.list({ filter: {}, sort: "id", after, limit: PAGE });
    await target.restore(await Promise.all(page.tasks.map((task) => recordOf(source, task))));
    progress.advance(page.tasks.length);
    isOver = page.next === null;
    after = page.next;
  }
  progress.end();
  return compare(source, target, { from, to });
}

const recordOf = async (source: TaskStore, task: Task) => ({ task, log: await source.readLog(task.id, 0) });

const countUpTo = (target: TaskStore): Promise<number> => target.count({});

/**
 * Tasks are copied in the order of their ids, so the target's last one says how far an earlier run came. Throws where it is
 * no task of the source: then the target has a life of its own.
 */
async function lastCopied(source: TaskStore, target: TaskStore): Promise<Cursor | null> {
  const { tasks } = await target.list({ filter: {}, sort: "-id", after: null, limit: 1 });
  const [last] = tasks;
  if (last === undefined) return null;
  const [original] = await source.get([last.id]);
  if (original?.createdAt !== last.createdAt || original.name !== last.name) {
    throw new TaskError(
      "invalid",
      `--to: the store holds other tasks already (task ${last.id}); copy into an empty one`,
    );
  }
  return { id: last.id, finishedAt: null };
}

/** A table of both stores' counts; FAILED where they differ. */
async function compare(
  source: TaskStore,
  target: TaskStore,
  names: { readonly from: string; readonly to: string },
): Promise<number> {
  const rows: { readonly status: Status; readonly from: number; readonly to: number }[] = [];
  for (const status of STATUSES) {
    const filter = { statuses: [status] };
    rows.push({ status, from: await source.count(filter), to: await target.count(filter) });
  }
  const isSame = rows.every(({ from, to }) => from === to);
  const sum = (side: "from" | "to"): number => rows.reduce((count, row) => count + row[side], 0);
  const lines = [
    `${"".padEnd(10)} ${"from".padStart(12)} ${"to".padStart(12)}`,
    ...[...rows, { status: "all", from: sum("from"), to: sum("to") }].map(
      ({ status, from, to }) =>
        `${status.padEnd(10)} ${String(from).padStart(12)} ${String(to).padStart(12)}`,
    ),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
  if (isSame) return OK;
  complain(
    `the counts differ: something changed ${withoutPassword(names.from)} or ${withoutPassword(names.to)} meanwhile; stop their servers and run it again`,
  );
  return FAILED;
}
