/** Reading: ids are found by a script in bounded pieces, the tasks of these ids by another, and the filter has the last word. */

import { TaskError } from "../../core/error.ts";
import {
  ENDED_STATUSES,
  isEnded,
  type LogLine,
  STATUSES,
  type Status,
  type Task,
  type TaskId,
} from "../../core/task.ts";
import { BATCH_LIMITS, createBatch } from "../../lib/batch.ts";
import { takes } from "../filter.ts";
import type { Cursor, TaskFilter, TaskPage, TaskQuery } from "../store.ts";
import type { Connection } from "./connection.ts";
import { type Row, taskOf } from "./row.ts";
import { SCRIPTS } from "./scripts.ts";

/** Rows that a script looks up: 1,000 take the server 2 to 3 ms. */
const ROWS = 1_000;
const BYTES = 1_048_576;
/** Rows looked at in one call of `list`. A search folds text in each. */
const SCANNED_ROWS = 5_000;
const SEARCHED_ROWS = 1_000;
const LOG_LINES = 500;
/** Leases that are over and still read at once, to be put in order here; where there are more, running tasks are walked by id. */
const EXPIRED_AT_ONCE = 5_000;

/** A task that may be on the page, in the page's order. */
type Candidate = { readonly id: TaskId; readonly finishedAt: number | null };

/** The next candidates after a cursor, at most so many; fewer when there are no more. */
type Source = (after: Cursor | null, most: number) => Promise<readonly Candidate[]>;

export function createReads(connection: Connection) {
  /** The tasks of the first ids, as many as one answer has room for; null where there is none. */
  async function readSome(ids: readonly TaskId[], parts: "whole" | "light"): Promise<(Task | null)[]> {
    const args = [String(BYTES), parts];
    for (const id of ids) args.push(String(id));
    const fields = (await connection.run(SCRIPTS.rows, args)) as (string | null)[]; // as rows.lua says
    const tasks: (Task | null)[] = [];
    for (let at = 0; at < fields.length; at += 5) {
      const [head, body, progress, payload, result] = fields.slice(at, at + 5);
      const row = { head, body, progress, payload, result } as Row; // where there is a head, there is all
      tasks.push(typeof head === "string" ? taskOf(ids[at / 5] as TaskId, row) : null);
    }
    return tasks;
  }

  async function read(ids: readonly TaskId[]): Promise<(Task | null)[]> {
    const tasks: (Task | null)[] = [];
    while (tasks.length < ids.length) {
      const next = ids.slice(tasks.length, tasks.length + ROWS);
      for (const task of await readSome(next, "whole")) tasks.push(task);
    }
    return tasks;
  }

  /** Reads that come in one turn, or while one is under way, share a script. */
  const get = createBatch<readonly TaskId[], (Task | null)[]>({
    send: async (calls) => {
      const tasks = await read(calls.flat());
      return calls.map((ids) => tasks.splice(0, ids.length));
    },
    sizeOf: (ids) => ids.length,
    provesRollback: () => false,
    overloaded: () => new TaskError("overloaded", "Too many requests wait for the store"),
    limits: { ...BATCH_LIMITS, bytes: ROWS, waitingBytes: Number.POSITIVE_INFINITY },
  });

  // ---- list

  const list = (query: TaskQuery): Promise<TaskPage> => listPage(query, "whole");

  async function listPage(query: TaskQuery, parts: "whole" | "light"): Promise<TaskPage> {
    const { filter, limit } = query;
    const source = await sourceOf(query);
    const tasks: Task[] = [];
    let after = query.after;
    for (let seen = 0; seen < budgetOf(filter) || isSweepInVain(filter, tasks); ) {
      const most = isSelective(filter) ? ROWS : Math.min(ROWS, limit - tasks.length + 1);
      const found = await source(after, most);
      const rows = found.length === 0 ? [] : await readSome(ids(found), parts);
      for (const [at, task] of rows.entries()) {
        if (tasks.length === limit) return { tasks, next: after };
        after = cursorOf(found[at] as Candidate, task); // a row for each candidate, in order
        if (task !== null && isStill(task, query) && takes(filter, task)) tasks.push(task);
      }
      if (found.length < most && rows.length === found.length) return { tasks, next: null };
      seen += rows.length;
    }
    return { tasks, next: after };
  }

  async function sourceOf({ filter, sort }: TaskQuery): Promise<Source> {
    const statuses = STATUSES.filter((status) => filter.statuses?.includes(status) ?? true);
    if (sort === "finished_at" || sort === "-finished_at") {
      if (filter.expiredAt !== undefined) return nothing; // what has ended has no lease
      return sourceByEnd(sort, statuses, filter.finishedBefore);
    }
    if (filter.finishedBefore !== undefined) return sourceById(sort, statuses.filter(isEndedStatus));
    if (filter.expiredAt === undefined) return sourceById(sort, statuses);
    return statuses.includes("running") ? sourceOfExpired(sort, filter.expiredAt) : nothing;
  }

  const sourceById =
    (sort: "id" | "-id", statuses: readonly Status[]): Source =>
    async (after, most) => {
      if (statuses.length === 0) return [];
      const args = [sort, after === null ? "" : String(after.id), String(most), ...statuses];
      const pages = (await connection.run(SCRIPTS.pageById, args)) as string[][]; // as page_by_id.lua says
      const found = pages.flat().map((id) => ({ id: Number(id), finishedAt: null }));
      return ordered(found, sort === "id").slice(0, most);
    };

  const sourceByEnd =
    (sort: "finished_at" | "-finished_at", statuses: readonly Status[], before: number | undefined): Source =>
    async (after, most) => {
      const ended = statuses.filter(isEndedStatus);
      if (ended.length === 0) return [];
      const cursor = after === null ? ["", ""] : [String(after.finishedAt ?? 0), String(after.id)];
      const args = [sort, ...cursor, before === undefined ? "" : String(before), String(most), ...ended];
      const pages = (await connection.run(SCRIPTS.pageByEnd, args)) as string[][]; // as page_by_end.lua says
      const found = pages.flatMap(candidatesByEnd);
      return ordered(found, sort === "finished_at").slice(0, most);
    };

  /** Few are over at a time, and they are found by that; after a long outage all may be. */
  async function sourceOfExpired(sort: "id" | "-id", at: number): Promise<Source> {
    const args = ["-inf", String(at), "LIMIT", "0", String(EXPIRED_AT_ONCE + 1)];
    const members = (await connection.sendTo("ZRANGEBYSCORE", "expires", args)) as string[]; // texts, the length before the id
    if (members.length > EXPIRED_AT_ONCE) return sourceById(sort, ["running"]);
    const found = ordered(
      members.map((member) => ({ id: Number(member.slice(1)), finishedAt: null })),
      sort === "id",
    );
    return async (after, most) => found.filter(({ id }) => isBehind(id, after, sort)).slice(0, most);
  }

  // ---- count

  async function count(filter: TaskFilter): Promise<number> {
    const parts = filter.search === undefined ? "light" : "whole";
    let total = 0;
    let after: Cursor | null = null;
    do {
      const page: TaskPage = await listPage({ filter, sort: "id", after, limit: SCANNED_ROWS }, parts);
      total += page.tasks.length;
      after = page.next;
    } while (after !== null);
    return total;
  }

  // ---- log lines

  async function readLog(id: TaskId, after: number): Promise<LogLine[]> {
    const log: LogLine[] = [];
    for (;;) {
      const last = log.at(-1)?.n ?? after;
      const args = [String(id), String(last), String(LOG_LINES), String(BYTES)];
      // As read_log.lua says.
      const [first, ...lines] = (await connection.run(SCRIPTS.readLog, args)) as [number, ...string[]];
      if (lines.length === 0) return log;
      for (const [at, line] of lines.entries()) log.push(logLine(first + at, line));
    }
  }

  return { get: (ids: readonly TaskId[]) => get(ids), list, count, readLog };
}

const nothing: Source = async () => [];

const ids = (candidates: readonly Candidate[]): TaskId[] => candidates.map(({ id }) => id);

const isEndedStatus = (status: Status): boolean => ENDED_STATUSES.some((ended) => ended === status);

const budgetOf = (filter: TaskFilter): number => (filter.search === undefined ? SCANNED_ROWS : SEARCHED_ROWS);

/** A sweep takes the first page only; it must not stay empty while there is something to do behind it. */
const isSweepInVain = (filter: TaskFilter, tasks: readonly Task[]): boolean =>
  filter.expiredAt !== undefined && tasks.length === 0;

/** Whether the filter leaves out some of what its source finds. */
const isSelective = ({ types, tags, search, expiredAt, finishedBefore }: TaskFilter): boolean =>
  [types, tags, search, expiredAt, finishedBefore].some((part) => part !== undefined);

/** Between the two scripts a task may have come back to life; in the order of ends it has no place then. */
const isStill = (task: Task, { sort }: TaskQuery): boolean =>
  sort === "id" || sort === "-id" || isEnded(task);

/** Where the walk stands: by ends at the time by which the task was found, whatever it is now. */
const cursorOf = (found: Candidate, task: Task | null): Cursor => ({
  id: found.id,
  finishedAt: found.finishedAt ?? task?.finishedAt ?? null,
});

const isBehind = (id: TaskId, after: Cursor | null, sort: "id" | "-id"): boolean =>
  after === null || (sort === "id" ? id > after.id : id < after.id);

function candidatesByEnd(page: readonly string[]): Candidate[] {
  const found: Candidate[] = [];
  for (let at = 0; at < page.length; at += 2) {
    found.push({ id: Number(page[at]), finishedAt: Number(page[at + 1]) });
  }
  return found;
}

/** By end where there is one, then by id. */
function ordered(found: readonly Candidate[], forward: boolean): Candidate[] {
  const sign = forward ? 1 : -1;
  return found.toSorted((a, b) => sign * ((a.finishedAt ?? 0) - (b.finishedAt ?? 0) || a.id - b.id));
}

function logLine(n: number, line: string): LogLine {
  const [at, level, message] = JSON.parse(line) as [number, LogLine["level"], string]; // extend.lua wrote it
  return { n, at, level, message };
}
