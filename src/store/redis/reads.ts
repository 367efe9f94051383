/** Reading: ids are found by a script in bounded pieces, the tasks of these ids by another, and the filter has the last word. */

import { TaskError } from "../../core/error.ts";
import { type AnyParts, narrowed, wider } from "../../core/parts.ts";
import {
  isEndedStatus,
  type LogLine,
  type Parts,
  type Status,
  type Task,
  type TaskHead,
  type TaskId,
} from "../../core/task.ts";
import { ANSWER_BYTES, textSize } from "../../core/text-size.ts";
import { BATCH_LIMITS, createBatch } from "../../lib/batch.ts";
import { countByReading } from "../census.ts";
import { conditionsOf, partsFor, possibleStatuses, takes } from "../filter.ts";
import type { Cursor, TaskFilter, TaskPage, TaskQuery } from "../store.ts";
import type { Connection } from "./connection.ts";
import { partsOf, type Row } from "./row.ts";
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
  /** The tasks of the first ids, as many as one script has room for; null where there is none. */
  async function readSome(ids: readonly TaskId[], parts: Parts): Promise<(AnyParts | null)[]> {
    const args = [String(BYTES), parts];
    for (const id of ids) args.push(String(id));
    const fields = (await connection.run(SCRIPTS.rows, args)) as (string | null)[]; // as rows.lua says
    const tasks: (AnyParts | null)[] = [];
    for (let at = 0; at < fields.length; at += 5) {
      const [head, body, progress, payload, result] = fields.slice(at, at + 5);
      const row = { head, body, progress, payload, result } as Row; // where there is a head, there is all that was asked for
      tasks.push(typeof head === "string" ? partsOf(ids[at / 5] as TaskId, row, parts) : null);
    }
    return tasks;
  }

  /** Script after script while the answer stays below `mostBytes`. */
  async function read(ids: readonly TaskId[], parts: Parts, mostBytes: number): Promise<(AnyParts | null)[]> {
    const tasks: (AnyParts | null)[] = [];
    let bytes = 0;
    while (tasks.length < ids.length && (tasks.length === 0 || bytes + BYTES <= mostBytes)) {
      const next = ids.slice(tasks.length, tasks.length + ROWS);
      for (const task of await readSome(next, parts)) {
        if (task !== null) bytes += sizeOf(task, parts);
        tasks.push(task);
      }
    }
    return tasks;
  }

  /** Reads of one task that come in one turn, or while one is under way, share a script. */
  const getOne = createBatch<TaskId, AnyParts | null>({
    send: (ids) => read(ids, "whole", Number.POSITIVE_INFINITY),
    sizeOf: () => 1,
    provesRollback: () => false,
    overloaded: () => new TaskError("overloaded", "Too many requests wait for the store"),
    limits: { ...BATCH_LIMITS, bytes: ROWS, waitingBytes: Number.POSITIVE_INFINITY },
  });

  async function get(ids: readonly TaskId[], parts: Parts): Promise<(AnyParts | null)[]> {
    const [id] = ids;
    if (ids.length === 1 && id !== undefined && parts === "whole") return [await getOne(id)];
    return read(ids, parts, ANSWER_BYTES);
  }

  // ---- list

  async function list(query: TaskQuery<Parts>): Promise<TaskPage<AnyParts>> {
    const { filter, limit, parts = "whole" } = query;
    const source = await sourceOf(query);
    const needed = wider(parts, partsFor(filter));
    const tasks: AnyParts[] = [];
    let after = query.after;
    let bytes = 0; // of all that was read, for the filter may leave out most of it
    for (let seen = 0; seen < budgetOf(filter) || isSweepInVain(filter, tasks); ) {
      const most = isSelective(filter) ? ROWS : Math.min(ROWS, limit - tasks.length + 1);
      const found = await source(after, most);
      const rows = found.length === 0 ? [] : await readSome(ids(found), needed);
      for (const [at, task] of rows.entries()) {
        if (tasks.length === limit) return { tasks, next: after };
        after = cursorOf(found[at] as Candidate, task); // a row for each candidate, in order
        if (task === null) continue;
        bytes += sizeOf(task, needed);
        // It was read with all that the filter looks at.
        if (isStill(task, query) && takes(filter, task as Task)) tasks.push(narrowed(task, parts));
      }
      if (found.length < most && rows.length === found.length) return { tasks, next: null };
      seen += rows.length;
      if (bytes + BYTES > ANSWER_BYTES && !isSweepInVain(filter, tasks)) break;
    }
    return { tasks, next: after };
  }

  async function sourceOf({ filter, sort }: TaskQuery<Parts>): Promise<Source> {
    const statuses = possibleStatuses(filter);
    if (sort === "finished_at" || sort === "-finished_at") {
      return sourceByEnd(sort, statuses.filter(isEndedStatus), filter.finishedBefore);
    }
    if (filter.expiredAt === undefined || statuses.length === 0) return sourceById(sort, statuses);
    return sourceOfExpired(sort, filter.expiredAt);
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
    (sort: "finished_at" | "-finished_at", ended: readonly Status[], before: number | undefined): Source =>
    async (after, most) => {
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

  const count = (filter: TaskFilter): Promise<number> => countByReading(list, filter, SCANNED_ROWS);

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

  return { get, list, count, readLog };
}

/** About what they take in an answer. */
const sizeOf = (task: AnyParts, parts: Parts): number => textSize({ name: "", ...task }, parts);

const ids = (candidates: readonly Candidate[]): TaskId[] => candidates.map(({ id }) => id);

const budgetOf = (filter: TaskFilter): number => (filter.search === undefined ? SCANNED_ROWS : SEARCHED_ROWS);

/** A sweep takes the first page only; it must not stay empty while there is something to do behind it. */
const isSweepInVain = (filter: TaskFilter, tasks: readonly unknown[]): boolean =>
  filter.expiredAt !== undefined && tasks.length === 0;

/** Whether the filter may refuse some of the tasks that its source finds. A source finds tasks by their status alone. */
const isSelective = (filter: TaskFilter): boolean => conditionsOf(filter).some((name) => name !== "statuses");

/** Between the two scripts a task may have come back to life; in the order of ends it has no place then. */
const isStill = ({ status }: TaskHead, { sort }: TaskQuery<Parts>): boolean =>
  sort === "id" || sort === "-id" || isEndedStatus(status);

/** Where the walk stands: by ends at the time by which the task was found, whatever it is now. */
const cursorOf = (found: Candidate, task: AnyParts | null): Cursor => ({
  id: found.id,
  finishedAt: found.finishedAt ?? (task !== null && "finishedAt" in task ? task.finishedAt : null),
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
