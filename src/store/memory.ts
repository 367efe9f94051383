/**
 * Tasks in the memory of this process. It is the default, the reference that explains what the port means, and the
 * oracle that the other stores are compared with: everything happens between two turns of the event loop, so every
 * method is atomic by nature.
 */
import type { Clock } from "../core/clock.ts";
import { isTaskError, TaskError } from "../core/error.ts";
import { isCancelRequested } from "../core/lease.ts";
import {
  claim as claimed,
  dueTypes,
  entersLife,
  extend as extended,
  isClaimable,
} from "../core/lifecycle.ts";
import {
  claimOrder,
  type Draft,
  ENDED_STATUSES,
  type EndedStatus,
  type EndedTask,
  isEnded,
  isLive,
  isRunning,
  LIMITS,
  type LogLine,
  NO_ID,
  type Parts,
  type PendingTask,
  type RunningTask,
  type Status,
  type Task,
  type TaskId,
  type TaskParts,
  takesType,
} from "../core/task.ts";
import { ANSWER_BYTES, textSize } from "../core/text-size.ts";
import { createPages } from "../lib/pages.ts";
import { createSorted, type Sorted } from "../lib/sorted.ts";
import { countByCensus, countByReading, noTasks } from "./census.ts";
import { isCounted, takes } from "./filter.ts";
import { createChangeLog } from "./memory-changes.ts";
import { createNotes } from "./memory-notes.ts";
import {
  type Ask,
  type Beat,
  type BeatAnswer,
  type ChangeKind,
  type ClaimTerms,
  type Cursor,
  type InsertAnswer,
  type Inserted,
  type InsertRequest,
  type NewLogLine,
  PROGRESS_CHANGE_EVERY_MS,
  type ReplaceAnswer,
  type Step,
  type Stepped,
  type TaskFilter,
  type TaskPage,
  type TaskQuery,
  type TaskRecord,
  type TaskRef,
  type TaskStore,
  type TypeCount,
} from "./store.ts";

/** The number of rows that one call of `list` reads: some milliseconds with any filter. */
const SCANNED_ROWS = 5_000;
/**
 * A search parses payloads and folds texts. These are the highest numbers of rows and of characters in one call: about ten
 * milliseconds.
 */
const SEARCHED_ROWS = 1_000;
const SEARCHED_TEXT = 1_048_576;

/** Pending tasks of one type and priority, in the order in which they are claimed. */
type Lane = Sorted<PendingTask>;

type Remembered = {
  readonly fingerprint: string;
  readonly until: number;
  readonly tasks: readonly Inserted[];
};

export function createMemoryStore(setup: { readonly clock: Clock; readonly epoch: string }): TaskStore {
  let lastId = 0;
  const rows = createPages<Task>();
  const lanes = new Map<string, Map<number, Lane>>(); // type → priority → lane
  const running = new Map<TaskId, RunningTask>();
  const ended: Record<EndedStatus, Sorted<EndedTask>> = {
    done: createSorted(byFinish),
    failed: createSorted(byFinish),
    cancelled: createSorted(byFinish),
  };
  const liveKeys = new Map<string, TaskId>();
  const logs = new Map<TaskId, LogLine[]>();
  const progressLoggedAt = new Map<TaskId, number>();
  const remembered = new Map<string, Remembered>(); // idempotency; oldest first
  const counted = new Map<string, Record<Status, number>>(); // type → tasks by status
  const changeLog = createChangeLog(setup.epoch);
  const notes = createNotes();
  const rings = new Set<(due: readonly string[]) => void>();

  // ---- one task moves from one state to the next, and every index with it

  function place(from: Task | null, to: Task): void {
    if (from !== null) unindex(from);
    rows.set(to.id, to);
    index(to);
  }

  function index(task: Task): void {
    if (isEnded(task)) enterEnded(task);
    else if (isRunning(task)) running.set(task.id, task);
    else laneFor(task).add(task);
    countsOf(task.type)[task.status]++;
    if (task.key !== null && isLive(task)) liveKeys.set(task.key, task.id);
  }

  function unindex(task: Task): void {
    if (isEnded(task)) ended[task.status].remove(task);
    else if (isRunning(task)) running.delete(task.id);
    else leaveLane(task);
    countsOf(task.type)[task.status]--;
    if (task.key !== null && isLive(task)) liveKeys.delete(task.key);
  }

  function enterEnded(task: EndedTask): void {
    ended[task.status].add(task);
    progressLoggedAt.delete(task.id);
  }

  /** A type that once had tasks keeps its place: there are few, and it will have some again. */
  function countsOf(type: string): Record<Status, number> {
    const known = counted.get(type);
    if (known !== undefined) return known;
    const counts = noTasks();
    counted.set(type, counts);
    return counts;
  }

  function laneFor(task: PendingTask): Lane {
    const ofType = lanes.get(task.type) ?? new Map<number, Lane>();
    lanes.set(task.type, ofType);
    const lane = ofType.get(task.priority) ?? createSorted<PendingTask>(claimOrder);
    ofType.set(task.priority, lane);
    return lane;
  }

  function leaveLane(task: PendingTask): void {
    const lane = laneFor(task);
    lane.remove(task);
    if (lane.size > 0) return;
    const ofType = lanes.get(task.type);
    ofType?.delete(task.priority);
    if (ofType?.size === 0) lanes.delete(task.type);
  }

  // ---- telling of it

  function tell(changed: readonly Task[], kind: ChangeKind): void {
    if (changed.length === 0) return;
    for (const task of changed) changeLog.append(task, kind);
    if (rings.size === 0) return;
    const due = kind === "deleted" ? [] : dueTypes(changed);
    for (const ring of rings) ring(due);
  }

  // ---- the port

  function insert(requests: readonly InsertRequest[], now: number): InsertAnswer[] {
    forget(now);
    const created: Task[] = [];
    const answers = requests.map((request) => insertOne(request, created, now));
    tell(created, "created");
    return answers;
  }

  function insertOne({ drafts, idempotency }: InsertRequest, created: Task[], now: number): InsertAnswer {
    const rememberedAs = idempotency === null ? null : JSON.stringify([idempotency.scope, idempotency.key]);
    const earlier = rememberedAs === null ? undefined : remembered.get(rememberedAs);
    if (earlier !== undefined && earlier.until > now && idempotency !== null) {
      const same = earlier.fingerprint === idempotency.fingerprint;
      return same ? { kind: "repeated", tasks: earlier.tasks } : { kind: "mismatch" };
    }
    const tasks = drafts.map((draft) => insertDraft(draft, created));
    if (rememberedAs !== null && idempotency !== null) remember(rememberedAs, { ...idempotency, tasks });
    return { kind: "created", tasks };
  }

  function insertDraft(draft: Draft, created: Task[]): Inserted {
    const holder = draft.key === null ? undefined : liveKeys.get(draft.key);
    if (holder !== undefined) return { id: holder, existing: true };
    const task = born(draft, ++lastId);
    place(null, task);
    created.push(task);
    return { id: task.id, existing: false };
  }

  function remember(name: string, request: Remembered): void {
    remembered.delete(name); // to the end, where the newest are
    remembered.set(name, request);
  }

  /** All are kept about equally long, so the oldest go first. */
  function forget(now: number): void {
    for (const [name, { until }] of remembered) {
      if (until > now) return;
      remembered.delete(name);
    }
  }

  function claim(asks: readonly Ask[], { now, nonce }: ClaimTerms): RunningTask[][] {
    const given: RunningTask[] = [];
    let bytes = 0;
    const answers = asks.map((ask) => {
      if (bytes >= ANSWER_BYTES) return [];
      const due = dueLanes(ask.types, now);
      const tasks: RunningTask[] = [];
      for (let lane = due.first(); lane !== undefined && tasks.length < ask.max; lane = due.first()) {
        if (bytes >= ANSWER_BYTES) break;
        due.remove(lane);
        const task = claimHead(lane, ask, now, nonce);
        bytes += textSize(task);
        tasks.push(task);
        if (isDue(lane, now)) due.add(lane);
      }
      given.push(...tasks);
      return tasks;
    });
    tell(given, "changed");
    return answers;
  }

  /** The lanes of these types whose head is due, the one with the best head first. */
  function dueLanes(patterns: readonly string[], now: number): Sorted<Lane> {
    const due = createSorted<Lane>((a, b) => claimOrder(headOf(a), headOf(b)));
    for (const type of pendingTypes(patterns)) {
      for (const lane of lanes.get(type)?.values() ?? []) if (isDue(lane, now)) due.add(lane);
    }
    return due;
  }

  /** All types are compared only where a pattern can match many. */
  function pendingTypes(patterns: readonly string[]): Iterable<string> {
    const [prefixes, types] = [patterns.filter(isPrefix), patterns.filter((pattern) => !isPrefix(pattern))];
    if (prefixes.length === 0) return new Set(types);
    const exact = new Set(types);
    return [...lanes.keys()].filter(
      (type) => exact.has(type) || prefixes.some((prefix) => takesType(prefix, type)),
    );
  }

  function claimHead(lane: Lane, ask: Ask, now: number, nonce: string): RunningTask {
    const head = headOf(lane);
    const task = claimed(head, { worker: ask.worker, leaseMs: ask.leaseMs, nonce }, now);
    place(head, task);
    return task;
  }

  function extend(beats: readonly Beat[], now: number): BeatAnswer[] {
    const progressed: Task[] = [];
    const answers = beats.map((beat) => extendOne(beat, now, progressed));
    tell(progressed, "progress");
    return answers;
  }

  function extendOne(beat: Beat, now: number, progressed: Task[]): BeatAnswer {
    const from = running.get(beat.id);
    const to = from === undefined ? null : tryExtend(from, beat, now);
    if (to === null) return "lost";
    rows.set(to.id, to);
    running.set(to.id, to);
    appendLog(to.id, beat.log, now);
    if (beat.progress !== null && isProgressChangeDue(to.id, now)) progressed.push(to);
    return isCancelRequested(to) ? "cancel" : "ok";
  }

  function isProgressChangeDue(id: TaskId, now: number): boolean {
    const last = progressLoggedAt.get(id) ?? Number.NEGATIVE_INFINITY;
    if (now >= last && now - last < PROGRESS_CHANGE_EVERY_MS) return false;
    progressLoggedAt.set(id, now);
    return true;
  }

  function appendLog(id: TaskId, lines: readonly NewLogLine[], at: number): void {
    if (lines.length === 0) return;
    const kept = logs.get(id) ?? [];
    let n = kept.at(-1)?.n ?? 0;
    const grown = [...kept, ...lines.map((line) => ({ n: ++n, at, ...line }))];
    logs.set(id, grown.slice(-LIMITS.logLinesKept));
  }

  function replace(steps: readonly Step[]): ReplaceAnswer[] {
    const changed: Task[] = [];
    const answers = steps.map((step) => replaceOne(step, changed));
    tell(changed, "changed");
    return answers;
  }

  function replaceOne({ from, to: stepped, once }: Step, changed: Task[]): ReplaceAnswer {
    const stored = rows.get(from.id);
    if (once !== undefined && !notes.isFree(once)) return "stale";
    if (stored === undefined || stored.version !== from.version) return "stale";
    if (stored.lease?.until !== from.lease?.until) return "stale";
    if (entersLife(from, stepped) && stepped.key !== null && liveKeys.has(stepped.key)) return "key_taken";
    if (once !== undefined) notes.writeOnce(once);
    const to = isWhole(stepped) ? stepped : ({ ...stored, ...stepped } as Task); // the same fields, with the step's status
    place(stored, to);
    changed.push(to);
    return "ok";
  }

  function remove(refs: readonly TaskRef[]): boolean[] {
    const removed: Task[] = [];
    const answers = refs.map(({ id, version, once }) => {
      const task = rows.get(id);
      if (task === undefined || (version !== undefined && version !== task.version)) return false;
      if (once !== undefined && !notes.isFree(once)) return false;
      if (once !== undefined) notes.writeOnce(once);
      unindex(task);
      rows.delete(id);
      logs.delete(id);
      progressLoggedAt.delete(id);
      removed.push(task);
      return true;
    });
    tell(removed, "deleted");
    return answers;
  }

  function restore(records: readonly TaskRecord[]): number {
    const missing = records.filter(({ task }) => rows.get(task.id) === undefined);
    const keys = missing.flatMap(({ task }) => (task.key !== null && isLive(task) ? [task.key] : []));
    if (new Set(keys).size < keys.length || keys.some((key) => liveKeys.has(key))) throw keyTaken();
    for (const { task, log } of missing) {
      place(null, task);
      if (log.length > 0) logs.set(task.id, [...log]);
      lastId = Math.max(lastId, task.id);
    }
    tell(
      missing.map(({ task }) => task),
      "created",
    );
    return missing.length;
  }

  // ---- reading

  function get(ids: readonly TaskId[], parts: Parts): (Task | null)[] {
    const tasks: (Task | null)[] = [];
    let bytes = 0;
    for (const id of ids) {
      if (bytes >= ANSWER_BYTES) break;
      const task = rows.get(id) ?? null;
      if (task !== null) bytes += textSize(task, parts);
      tasks.push(task);
    }
    return tasks;
  }

  function list({ filter, sort, after, limit, parts = "whole" }: TaskQuery<Parts>): TaskPage {
    const isSearch = filter.search !== undefined;
    const budget = isSearch ? SEARCHED_ROWS : SCANNED_ROWS;
    const tasks: Task[] = [];
    let seen = 0;
    let searched = 0;
    let bytes = 0;
    let last: Task | null = null;
    for (const task of walk(filter, sort, after)) {
      if (tasks.length === limit || seen === budget || searched >= SEARCHED_TEXT || bytes >= ANSWER_BYTES)
        return { tasks, next: last === null ? after : cursorOf(last) };
      seen++;
      last = task;
      if (isSearch) searched += textSize(task);
      if (!takes(filter, task)) continue;
      bytes += textSize(task, parts);
      tasks.push(task);
    }
    return { tasks, next: null };
  }

  /** All tasks that the filter may take, in order, from after the cursor. */
  function walk(filter: TaskFilter, sort: Sort, after: Cursor | null): Iterable<Task> {
    if (sort === "finished_at" || sort === "-finished_at") return walkEnded(filter, sort, after);
    if (filter.expiredAt !== undefined || filter.overlongAt !== undefined)
      return walkRunning(filter, sort, after);
    return sort === "id" ? rows.after(after?.id ?? null) : rows.before(after?.id ?? null);
  }

  /** Few are over at a time, so the others are left out before the sort. */
  function walkRunning(filter: TaskFilter, sort: "id" | "-id", after: Cursor | null): Task[] {
    const forward = sort === "id";
    return [...running.values()]
      .filter((task) => takes(filter, task))
      .filter(({ id }) => after === null || (forward ? id > after.id : id < after.id))
      .sort((a, b) => (forward ? a.id - b.id : b.id - a.id));
  }

  function* walkEnded(filter: TaskFilter, sort: Sort, after: Cursor | null): Generator<Task> {
    const forward = sort === "finished_at";
    const statuses = ENDED_STATUSES.filter((status) => filter.statuses?.includes(status) ?? true);
    const probe = after === null ? null : probeAt(after);
    const sources = statuses.map((status) =>
      forward ? ended[status].from(probe) : ended[status].backFrom(probe),
    );
    for (const task of merge(sources, forward ? byFinish : (a, b) => byFinish(b, a))) {
      if (forward && filter.finishedBefore !== undefined && task.finishedAt >= filter.finishedBefore) return;
      if (after === null || task.id !== after.id) yield task;
    }
  }

  function census(): TypeCount[] {
    const withTasks = [...counted].filter(([, counts]) => Object.values(counts).some((count) => count > 0));
    return withTasks
      .map(([type, counts]) => ({ type, counts: { ...counts }, oldestRunAt: oldestOf(type) }))
      .sort((a, b) => (a.type < b.type ? -1 : 1));
  }

  function oldestOf(type: string): number | null {
    const heads = [...(lanes.get(type)?.values() ?? [])].map((lane) => headOf(lane).runAt);
    return heads.length === 0 ? null : Math.min(...heads);
  }

  function ahead(id: TaskId, now: number, atMost: number): number | null {
    const task = rows.get(id);
    if (task?.status !== "pending") return null;
    let before = 0;
    for (const lane of lanes.get(task.type)?.values() ?? []) {
      if (before >= atMost) break;
      before += aheadIn(lane, task, { now, atMost: atMost - before });
    }
    return before;
  }

  const count = async (filter: TaskFilter): Promise<number> =>
    isCounted(filter) ? countByCensus(census(), filter) : countByReading(listInTurn, filter, SCANNED_ROWS);

  /** A page of a count that takes several turns of the event loop. */
  async function listInTurn(query: TaskQuery<"head">): Promise<TaskPage> {
    if (query.after !== null) await breathe();
    return list(query);
  }

  /** Lets the event loop turn once. No timer: a clock that a test moves would never fire it. */
  const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  return {
    durability: "Memory of this process: tasks end with it",
    insert: async (requests, now) => insert(requests, now),
    // A whole task has every part, and all readers get the same object.
    get: async <P extends Parts>(ids: readonly TaskId[], parts?: P) =>
      get(ids, parts ?? "whole") as (TaskParts[P] | null)[],
    list: async <P extends Parts>(query: TaskQuery<P>) => list(query) as TaskPage<Task & TaskParts[P]>,
    count,
    census: async () => census(),
    ahead: async (id, now, atMost) => ahead(id, now, atMost),
    claim: async (asks, terms) => claim(asks, terms),
    extend: async (beats, now) => extend(beats, now),
    replace: async (steps) => replace(steps),
    remove: async (refs) => remove(refs),
    restore: async (records) => restore(records),
    readLog: async (id, after) => (logs.get(id) ?? []).filter((line) => line.n > after),
    changes: async (after, limit) => changeLog.after(after, limit),
    watch: (ring) => {
      rings.add(ring);
      return () => rings.delete(ring);
    },
    writeNotes: async (writes, now) => notes.write(writes, now),
    readNotes: async (prefix, now, after) => notes.read(prefix, now, after),
    now: async () => setup.clock.now(),
    close: async () => rings.clear(),
  };
}

type Sort = TaskQuery["sort"];

/**
 * A draft is its store's to keep, so it becomes the task itself: a copy would cost two hundred bytes a task and the second
 * time that it takes to make one. One that has an id already was inserted before, and is copied.
 */
function born(draft: Draft, id: TaskId): PendingTask {
  if (draft.id !== NO_ID) return { ...draft, id };
  (draft as { id: TaskId }).id = id; // nobody else holds it
  return draft;
}

const isWhole = (task: Stepped): task is Task => "payload" in task && "result" in task;

const byFinish = (a: EndedTask, b: EndedTask): number => a.finishedAt - b.finishedAt || a.id - b.id;

const isPrefix = (pattern: string): boolean => pattern.endsWith("*");

/** A lane that is looked at is never empty. */
const headOf = (lane: Lane): PendingTask => lane.first() as PendingTask;

function isDue(lane: Lane, now: number): boolean {
  const head = lane.first();
  return head !== undefined && isClaimable(head, now);
}

/** How many of the lane are due and stand before the task; only as many are looked at. */
function aheadIn(lane: Lane, task: PendingTask, { now, atMost }: { now: number; atMost: number }): number {
  let before = 0;
  for (const other of lane.from(null)) {
    if (before === atMost || !isClaimable(other, now) || claimOrder(other, task) >= 0) break;
    before++;
  }
  return before;
}

function tryExtend(task: RunningTask, beat: Beat, now: number): RunningTask | null {
  try {
    return extended(task, beat, now);
  } catch (error) {
    if (isTaskError(error, "lease_lost")) return null;
    throw error;
  }
}

const keyTaken = (): TaskError =>
  new TaskError("key_taken", "A live task of this store holds the key of a task to be taken over");

const cursorOf = (task: Task): Cursor => ({ id: task.id, finishedAt: task.finishedAt });

/** Stands in the order of ends where the cursor stands; only these two fields are compared. */
const probeAt = (cursor: Cursor): EndedTask =>
  ({ id: cursor.id, finishedAt: cursor.finishedAt ?? 0 }) as EndedTask;

/** Merges ordered sources into one order. */
function* merge<T>(sources: readonly Generator<T>[], compare: (a: T, b: T) => number): Generator<T> {
  const heads: { value: T; rest: Generator<T> }[] = [];
  const advance = (rest: Generator<T>): void => {
    const next = rest.next();
    if (!next.done) heads.push({ value: next.value, rest });
  };
  for (const source of sources) advance(source);
  while (heads.length > 0) {
    heads.sort((a, b) => compare(a.value, b.value));
    const [head] = heads.splice(0, 1);
    if (head === undefined) return;
    yield head.value;
    advance(head.rest);
  }
}
