/**
 * What may happen to tasks: every verb is a pure rule of core/lifecycle, written by compare-and-set. Calls share their
 * writes (lib/batch.ts); workers' beats and settles have lanes of their own and never wait behind creates.
 */
import type { Clock } from "../core/clock.ts";
import { isTaskError, TaskError } from "../core/error.ts";
import { type Explanation, explain } from "../core/explain.ts";
import { isOver } from "../core/lease.ts";
import {
  cancel,
  create,
  DEFAULT_TYPE,
  edit,
  isClaimable,
  retry,
  settle,
  type TaskPatch,
  type TaskSpec,
  TYPE_DEFAULTS,
  type TypeDefaults,
} from "../core/lifecycle.ts";
import type { Outcome } from "../core/outcome.ts";
import type {
  Draft,
  LightTask,
  LogLine,
  Parts,
  RunningTask,
  Task,
  TaskHead,
  TaskId,
  TaskParts,
} from "../core/task.ts";
import { ANSWER_LEAST_BYTES, textSize } from "../core/text-size.ts";
import { BATCH_LIMITS, type BatchSetup, createBatch, type Join } from "../lib/batch.ts";
import { errorText, type Log } from "../lib/log.ts";
import { createLoop } from "../lib/loop.ts";
import { createTurns } from "../lib/turns.ts";
import type {
  Ask,
  Beat,
  BeatAnswer,
  Idempotency,
  InsertAnswer,
  Inserted,
  Note,
  OnceNote,
  Position,
  ReplaceAnswer,
  Step,
  TaskFilter,
  TaskPage,
  TaskQuery,
  TaskRef,
  TaskStore,
  TypeCount,
} from "../store/store.ts";
import type { TaskQueue } from "../wakeup/wake-ups.ts";
import { type ChangeReader, createChangeReader } from "./change-reader.ts";
import { type Claimed, createDispatch, type Dispatch } from "./dispatch.ts";
import { createHeld } from "./held.ts";
import { createMinutes, type MinuteAt } from "./minutes.ts";
import { type CallKey, createOnce, type Once, type OnceAnswer } from "./once.ts";
import { createOutages } from "./outages.ts";
import { type Hint, listenForRevocations } from "./revocations.ts";
import { createRoster, type KnownWorker } from "./roster.ts";
import { createSharedReads, type Look } from "./shared-reads.ts";
import { createStats } from "./stats.ts";
import { createStoreClock } from "./store-clock.ts";
import { createSweep, type Retention, SWEEP_AT_MOST, type Swept } from "./sweep.ts";
import { createTail } from "./tail.ts";
import { createWaits } from "./waits.ts";

export type { Change, Cursor, Position, Sort, TaskFilter, TaskPage } from "../store/store.ts";
export type { ChangeReader } from "./change-reader.ts";
export type { CallKey, CarriedOut, Once } from "./once.ts";

export interface Engine {
  // ---- for producers; each rejects with TaskError

  /** Creates tasks, all or none. With an idempotency key the same call gets its first answer again. */
  create(specs: readonly TaskSpec[], idempotency?: IdempotencyKey | null): Promise<Creation>;
  get(id: TaskId): Promise<Task>;
  list<P extends Parts = "whole">(query: TaskQuery<P>): Promise<TaskPage<TaskParts[P]>>;
  count(filter: TaskFilter): Promise<number>;
  edit(id: TaskId, patch: TaskPatch, terms?: StepTerms): Promise<Task>;
  /** Ends a pending task, or asks a running one to stop. Reads and returns the whole task unless a light one is requested. */
  cancel<P extends Steppable = "whole">(id: TaskId, terms?: PartsTerms<P>): Promise<TaskParts[P]>;
  /** Makes an ended task pending again. Reads and returns the same parts as `cancel`. */
  retry<P extends Steppable = "whole">(id: TaskId, terms?: PartsTerms<P>): Promise<TaskParts[P]>;
  /** Deletes a task in any status; running work is aborted and its result goes nowhere. */
  remove(id: TaskId, terms?: StepTerms): Promise<void>;
  /** Carries out one of these four steps, or says what the same call did before: see `once.ts`. */
  once<T>(call: CallKey, step: (once: Once) => Promise<T>): Promise<OnceAnswer<T>>;
  /** The task's log lines after the nth, oldest first; rejects if there is no such task. */
  readLog(id: TaskId, after: number): Promise<readonly LogLine[]>;

  /** Why the task stands where it stands. */
  explain(id: TaskId): Promise<{ readonly task: LightTask } & Explanation>;
  /** How the whole stands, at most a second old. */
  stats(): Promise<Stats>;

  // ---- for who watches

  /** The task as soon as it has ended, or as it stands when the time is up or the signal aborts. */
  wait(id: TaskId, withinMs: number, signal: AbortSignal): Promise<Task>;
  /** Where the change log ends now. */
  position(): Promise<Position>;
  /** Reads the changes after a position, as they come; to be closed. */
  follow(after: Position): ChangeReader;
  /** Many tasks, for who has heard that they changed; those who ask in the same turn share the read. */
  look: Look;

  // ---- for workers

  claim(ask: Ask, signal: AbortSignal): Promise<Claimed>;
  /** The same for who works in this process itself, and is woken by `ownQueue` where there is one. */
  claimOwn(ask: Ask, signal: AbortSignal): Promise<Claimed>;
  /** What is due at this moment; asks of one turn are one call of the store. */
  claimNow(ask: Ask): Promise<readonly RunningTask[]>;
  /** How long each of these leases lasts from a beat that was just answered, in milliseconds; null where it is lost. */
  leaseMs(leases: readonly Pick<Beat, "id" | "token">[]): Promise<readonly (number | null)[]>;
  extend(beats: readonly Beat[]): Promise<readonly BeatAnswer[]>;
  settle(id: TaskId, token: string, outcome: Outcome): Promise<void>;
  /** What was remembered under this name and is not over yet; for answers that must be the same in every process. */
  recall(name: string): Promise<Pick<Note, "value" | "version"> | null>;
  /** False where something else than this version is remembered under this name; 0, which is the default, is nothing. */
  remember(name: string, value: string, forMs: number, version?: number): Promise<boolean>;
  /** From now on this worker is told to take no more; `isDraining` false takes that back. */
  drain(worker: string, isDraining: boolean): Promise<void>;
  isDraining(worker: string): Promise<boolean>;
  onRevoked(listener: (hint: Hint) => void): () => void;

  // ---- for the house

  /** The time that tasks go by, epoch milliseconds. */
  now(): number;
  /** One sweep now. */
  sweep(): Promise<Swept>;
  /** Learns the store's time and begins to sweep. */
  start(): Promise<void>;
  /** From now on nobody waits for the end of a task: all are answered at once. */
  releaseWaits(): void;
  /** Ends all waiting claims and the sweep; safe twice. */
  close(): Promise<void>;
}

export type Stats = {
  readonly types: readonly TypeCount[];
  readonly minutes: readonly MinuteAt[];
  /** The number of tasks of each worker, and the first hundred of them. */
  readonly workers: readonly (KnownWorker & {
    readonly running: number;
    readonly tasks: readonly TaskId[];
  })[];
  /** False where more tasks run than were read: workers may then have more tasks than the answer says. */
  readonly isComplete: boolean;
  /** Among the latest tasks, the commonest first. */
  readonly tags: readonly { readonly tag: string; readonly count: number }[];
};

export type Condition = (task: Pick<Task, "id" | "version">) => void;
export type StepTerms = {
  /** On the task as it is at the very moment of the step; throws where it does not hold. */
  readonly condition?: Condition | undefined;
  /** Present if the client may send the call twice: the step is then carried out once. */
  readonly once?: Once | undefined;
};
type PartsTerms<P> = StepTerms & { readonly parts?: P };
/** The statuses of tasks to which a rule applies. */
type Steppable = "whole" | "light";
export type IdempotencyKey = Omit<Idempotency, "until">;
export type Creation = { readonly tasks: readonly Inserted[]; readonly repeated: boolean };

export type EngineSetup = {
  readonly store: TaskStore;
  /** Rung by every commit, and heard by those who claim. */
  readonly queue: TaskQueue;
  /** Rung and heard in its stead for who works in this process itself. */
  readonly ownQueue?: TaskQueue;
  readonly clock: Clock;
  readonly log: Log;
  /** Draws from [0, 1). */
  readonly random: () => number;
  /** A short text that never comes twice; makes tokens unguessable. */
  readonly nonce: () => string;
  /** Defaults of the types that have their own. */
  readonly types: ReadonlyMap<string, TypeDefaults>;
  readonly pollMs: number;
  readonly retentions: readonly Retention[];
};

type Creating = { readonly specs: readonly TaskSpec[]; readonly idempotency: IdempotencyKey | null };

/** A worker's word is never refused for want of room: as many may wait as there can be workers' slots. */
const WORKERS_LIMITS = { ...BATCH_LIMITS, waitingCalls: 1_000_000 };

const IDEMPOTENCY_KEPT_MS = 24 * 3_600_000;
const AHEAD_COUNTED = 1_000;
const SWEEP_EVERY_MS = 1_000;
const SWEEP_JITTER = 0.2;
/** Smaller steps are normal for a clock that is synchronized. */
const CLOCK_SET_TOLD_FROM_MS = 1_000;
/** A broker that confirms too slowly refuses some rings and takes those between, hundreds of each a second. */
const RING_WORKS_AFTER_MS = 10_000;
/** A step loses only to a step of another process that was written, so each step succeeds in the end. This many losses mean a defect. */
const STEPS_AT_MOST = 1_000;

export function createEngine(setup: EngineSetup): Engine {
  const { store, queue, ownQueue = queue, clock, log } = setup;
  const time = createStoreClock(store, clock);
  const outages = createOutages(clock.monotonic());
  const held = createHeld();
  const tail = createTail({ store, clock, log });
  const look = createSharedReads(store);
  const waits = createWaits({
    tail,
    clock,
    get: (id) => read(id, "whole"),
  });

  // ---- lanes of group commit

  const lane = <Call, Answer>(
    batch: Pick<BatchSetup<Call, Answer>, "send" | "keyOf" | "sizeOf" | "limits">,
  ): Join<Call, Answer> => createBatch({ ...batch, provesRollback, overloaded });

  const inserts = lane({ send: insertAll, sizeOf: creatingBytes });
  const removals = lane<TaskRef, boolean>({
    send: (refs) => store.remove(refs),
    keyOf: ({ id }) => id,
  });
  const edits = lane({ send: replaceAll, keyOf: stepId });
  const settles = lane({ send: replaceAll, keyOf: stepId, limits: WORKERS_LIMITS });
  const beats = lane<Beat, BeatAnswer>({
    send: extendAll,
    keyOf: (beat) => beat.id,
    limits: WORKERS_LIMITS,
  });

  const turns = createTurns<TaskId>({ failsAll: (error) => isTaskError(error, "store_unavailable") });

  const claimsNow = lane<Ask, readonly RunningTask[]>({ send: claimNowAll });

  async function insertAll(calls: readonly Creating[]): Promise<InsertAnswer[]> {
    const now = time.now();
    const due: string[] = [];
    const requests = calls.map(({ specs, idempotency }) => ({
      drafts: specs.map((spec) => draft(spec, now, due)),
      idempotency: idempotency === null ? null : { ...idempotency, until: now + IDEMPOTENCY_KEPT_MS },
    }));
    const answers = await store.insert(requests, now);
    ring(due);
    minutes.created(answers.reduce((count, answer) => count + createdBy(answer), 0));
    return answers;
  }

  function draft(spec: TaskSpec, now: number, due: string[]): Draft {
    const defaults = setup.types.get(spec.type ?? DEFAULT_TYPE) ?? TYPE_DEFAULTS;
    const made = create(spec, defaults, now);
    if (made.runAt <= now) due.push(made.type);
    return made;
  }

  async function replaceAll(steps: readonly Step[]) {
    const answers = await store.replace(steps);
    for (const [at, { from, to }] of steps.entries()) if (answers[at] === "ok") minutes.stepped(from, to);
    ring(steps.filter(({ to }) => isClaimable(to, to.updatedAt)).map(({ to }) => to.type));
    return answers;
  }

  async function extendAll(calls: readonly Beat[]): Promise<BeatAnswer[]> {
    const now = time.now();
    const answers = await extendInStore(calls, now);
    for (const { id, token } of calls) {
      const worker = held.workerOf(id, token);
      if (worker !== null) roster.beat(worker);
    }
    held.beaten(calls, answers, now);
    return answers;
  }

  async function extendInStore(calls: readonly Beat[], now: number): Promise<BeatAnswer[]> {
    try {
      const answers = await store.extend(calls, now);
      outages.beaten(true);
      return answers;
    } catch (error) {
      outages.beaten(false);
      throw error;
    }
  }

  async function claimAll(asks: readonly Ask[]): Promise<RunningTask[][]> {
    const claimed = await store.claim(asks, { now: time.now(), nonce: setup.nonce() });
    for (const tasks of claimed) {
      held.add(tasks);
      for (const task of tasks) minutes.started(task);
    }
    for (const [at, ask] of asks.entries()) {
      roster.heard({ ...ask, max: ask.max - (claimed[at]?.length ?? 0) });
    }
    return claimed;
  }

  /** An ask that got nothing because the tasks of other asks filled the store's answer is sent again. */
  async function claimNowAll(asks: readonly Ask[]): Promise<(readonly RunningTask[])[]> {
    const answers: (readonly RunningTask[])[] = await claimAll(asks);
    let latest = answers;
    while (mayBeCut(latest)) {
      const unserved = [...asks.keys()].filter((at) => answers[at]?.length === 0);
      if (unserved.length === 0) break;
      // The tasks of the earlier calls are claimed and must reach the workers, whatever happens to this call.
      latest = await claimAll(unserved.flatMap((at) => asks[at] ?? [])).catch(() => []);
      for (const [n, at] of unserved.entries()) answers[at] = latest[n] ?? [];
    }
    return answers;
  }

  let isRingBroken = false;
  let ringFailedAt = 0;

  /** Nobody waits for it, and one that is broken for long is told of once; one that fails now and then counts as broken. */
  function ring(due: readonly string[]): void {
    if (due.length === 0) return;
    ownQueue.ring(due).then(
      () => {
        if (!isRingBroken || clock.monotonic() < ringFailedAt + RING_WORKS_AFTER_MS) return;
        log.info("ring_works_again");
        isRingBroken = false;
      },
      (error: unknown) => {
        if (!isRingBroken) log.warn("ring_failed", { error: errorText(error) });
        isRingBroken = true;
        ringFailedAt = clock.monotonic();
      },
    );
  }

  // ---- verbs

  const createTasks = (
    specs: readonly TaskSpec[],
    idempotency: IdempotencyKey | null = null,
  ): Promise<Creation> => inserts({ specs, idempotency }).then(creation);

  const get = (id: TaskId): Promise<Task> => store.get([id]).then(found);

  /** These parts of one task; reads in the same turn of the event loop share one call of the store. */
  async function read<P extends Parts>(id: TaskId, parts: P): Promise<TaskParts[P]> {
    const task = (await look([id], parts)).get(id);
    if (task === undefined) throw notFound();
    return task;
  }

  type Stepping<P extends Steppable> = {
    readonly id: TaskId;
    readonly parts: P;
    readonly once?: Once | undefined;
  };
  type Rule<P extends Steppable> = (task: TaskParts[P], now: number) => TaskParts[P];

  /** Reads, applies the rule and writes; begins again if another write came first. Steps of one task run one after another. */
  async function transition<P extends Steppable>(
    stepping: Stepping<P>,
    rule: Rule<P>,
    write: Join<Step, ReplaceAnswer> = edits,
  ): Promise<TaskParts[P]> {
    if (write === edits && turns.waiting >= BATCH_LIMITS.waitingCalls) throw overloaded();
    return turns.take(stepping.id, () => step(stepping, rule, write));
  }

  async function step<P extends Steppable>(
    { id, parts, once }: Stepping<P>,
    rule: Rule<P>,
    write: Join<Step, ReplaceAnswer>,
  ): Promise<TaskParts[P]> {
    for (let tries = 0; tries < STEPS_AT_MOST; tries++) {
      if (tries > 0) await once?.assertFirst();
      const from = await read(id, parts);
      const now = time.now();
      const to = rule(from, now);
      if (to === from) {
        if (once === undefined || (await noteAlone(once.note(from, now)))) return from;
        continue; // the same call has been carried out meanwhile
      }
      const answer = await write({ from, to, ...(once === undefined ? {} : { once: once.note(to, now) }) });
      if (answer === "ok") return to;
      if (answer === "key_taken") {
        throw new TaskError("key_taken", `Another live task holds the key ${JSON.stringify(to.key)}`);
      }
    }
    throw changesTooOften(id);
  }

  /** Of a step that changes nothing now: the same call must not change anything later. */
  const noteAlone = async ({ now, ...note }: OnceNote): Promise<boolean> =>
    (await store.writeNotes([{ ...note, ifVersion: 0 }], now))[0] === "ok";

  /** A rule that takes a light or a whole task and returns the same kind. */
  function byRule<P extends Steppable = "whole">(
    id: TaskId,
    { condition, once, parts }: PartsTerms<P>,
    rules: { readonly [K in Steppable]: Rule<K> },
  ): Promise<TaskParts[P]> {
    const stepping = { id, parts: parts ?? "whole", once } as Stepping<P>; // without `parts` P is "whole"
    return transition(stepping, under(condition, rules[stepping.parts]));
  }

  async function remove(id: TaskId, { condition, once }: StepTerms = {}): Promise<void> {
    if (condition !== undefined) return turns.take(id, () => removeIf(id, condition, once));
    if (!(await removals({ id, ...noteOfRemoval(once) }))) throw notFound();
  }

  const noteOfRemoval = (once: Once | undefined): Pick<TaskRef, "once"> =>
    once === undefined ? {} : { once: once.note(null, time.now()) };

  /** Deletes the version for which the condition held, or looks again. */
  async function removeIf(id: TaskId, condition: Condition, once: Once | undefined): Promise<void> {
    for (let tries = 0; tries < STEPS_AT_MOST; tries++) {
      if (tries > 0) await once?.assertFirst();
      const task = await read(id, "head");
      condition(task);
      if (await removals({ id, version: task.version, ...noteOfRemoval(once) })) return;
    }
    throw changesTooOften(id);
  }

  async function settleTask(id: TaskId, token: string, outcome: Outcome): Promise<void> {
    const random = setup.random();
    const step = held.settle(id, { token, outcome }, time.now(), random);
    if (step !== null && (await settles(step)) === "ok") return;
    try {
      const rule = (task: LightTask, now: number) => settle(task, { token, outcome }, now, random);
      await transition({ id, parts: "light" }, rule, settles);
    } catch (error) {
      if (isTaskError(error, "not_found")) throw new TaskError("lease_lost", `Task ${id} has been deleted`);
      throw error;
    }
  }

  /** Most leases were given out here; of the others the store knows. */
  async function leaseMs(leases: readonly Pick<Beat, "id" | "token">[]): Promise<(number | null)[]> {
    const known = leases.map(({ id, token }) => held.leaseMs(id, token));
    const unknown = leases.filter((_, at) => known[at] === null).map(({ id }) => id);
    if (unknown.length === 0) return known;
    const found = await look(unknown, "head");
    return leases.map(({ id, token }, at) => {
      const task = found.get(id);
      return known[at] ?? (task?.token === token ? (task.lease?.leaseMs ?? null) : null);
    });
  }

  // ---- claims

  const dispatchFrom = (heard: TaskQueue): Dispatch =>
    createDispatch({
      claim: claimAll,
      giveBack: (tasks) => Promise.all(tasks.map(giveBack)),
      queue: heard,
      pollMs: setup.pollMs,
      clock,
      log,
    });

  const dispatch = dispatchFrom(queue);
  const ownDispatch = ownQueue === queue ? dispatch : dispatchFrom(ownQueue);

  /** The asker has gone; a failure here costs the task no more than its lease. */
  const giveBack = (task: RunningTask): Promise<void> =>
    settleTask(task.id, task.token, { kind: "released", delayMs: 0 }).catch((error: unknown) =>
      log.warn("give_back_failed", { task_id: task.id, error: errorText(error) }),
    );

  // ---- answers that are given again

  async function recall(name: string): Promise<Note | null> {
    const { notes } = await store.readNotes(name, time.now());
    return notes.find((note) => note.name === name) ?? null;
  }

  async function remember(name: string, value: string, forMs: number, version = 0): Promise<boolean> {
    const now = time.now();
    const [written] = await store.writeNotes([{ name, value, until: now + forMs, ifVersion: version }], now);
    return written === "ok";
  }

  // ---- telling of it

  const waiting = (): Iterable<Ask> =>
    ownDispatch === dispatch ? dispatch.waiting() : [...dispatch.waiting(), ...ownDispatch.waiting()];
  const roster = createRoster({ store, now: time.now, waiting, clock, log });
  const minutes = createMinutes({ store, now: time.now, name: setup.nonce(), clock, log });

  async function explainTask(id: TaskId) {
    const task = await read(id, "light");
    const now = time.now();
    const isInLine = task.status === "pending" && task.runAt <= now;
    const [workers, ahead] = await Promise.all([
      roster.list(),
      isInLine ? store.ahead(id, now, AHEAD_COUNTED) : null,
    ]);
    return { task, ...explain(task, { now, workers, ahead, countedTo: AHEAD_COUNTED }) };
  }

  const stats = createStats({ store, roster, minutes, clock });

  // ---- sweeping

  const sweeper = createSweep({
    list: (query) => store.list(query),
    transition: (id, rule) => transition({ id, parts: "light" }, rule, settles),
    remove: (refs) => store.remove(refs),
    mayJudge: outages.mayJudge,
    mayBeOverlong: () => outages.mayBeOverlong(clock.monotonic()),
    retentions: setup.retentions,
    monotonic: clock.monotonic,
    isClosing: () => isClosing,
    log,
  });
  let isClosing = false;

  /** One round. It is due `dueAfterMs` after the round before; null for a round outside the plan. */
  async function judge(dueAfterMs: number | null): Promise<number> {
    const setByMs = await time.sync();
    if (Math.abs(setByMs) >= CLOCK_SET_TOLD_FROM_MS)
      log.warn("store_clock_set", { by_ms: Math.round(setByMs) });
    const now = time.now();
    outages.reached({ at: clock.monotonic(), now, setByMs, dueAfterMs });
    held.forgetLost((task) => isOver(task, now) && outages.mayJudge(task.lease, now));
    return sweeper.judge(now);
  }

  const sweep = async (): Promise<Swept> => ({
    expired: await judge(null),
    removed: await sweeper.retire(time.retentionNow()),
  });

  /** After a full round the next one follows at once. Otherwise a random delay spreads the rounds of several processes. */
  const nextRoundMs = (done: number): number =>
    done >= SWEEP_AT_MOST ? 0 : SWEEP_EVERY_MS * (1 - SWEEP_JITTER + 2 * SWEEP_JITTER * setup.random());

  const judging = createLoop({
    after: clock.after,
    round: async () => nextRoundMs(await judge(SWEEP_EVERY_MS * (1 + SWEEP_JITTER))),
    onError: (error) => {
      log.warn("sweep_failed", { error: errorText(error) });
      return SWEEP_EVERY_MS;
    },
  });

  const retiring = createLoop({
    after: clock.after,
    round: async () => nextRoundMs(await sweeper.retire(time.retentionNow())),
    onError: (error) => {
      log.error("retention_failed", { error: errorText(error) }); // a defect: `retire` never rejects
      return SWEEP_EVERY_MS;
    },
  });

  return {
    create: createTasks,
    get,
    list: (query) => store.list(query),
    count: (filter) => store.count(filter),
    edit: (id, patch, { condition, once } = {}) =>
      transition(
        { id, parts: "whole", once },
        under(condition, (task: Task, now) => edit(task, patch, now)),
      ),
    cancel: (id, terms) => byRule(id, terms ?? {}, { whole: cancel, light: cancel }),
    retry: (id, terms) => byRule(id, terms ?? {}, { whole: retry, light: retry }),
    readLog: async (id, after) => {
      const lines = await store.readLog(id, after);
      if (lines.length === 0) await read(id, "head"); // reading the head rejects if the task does not exist
      return lines;
    },
    remove,
    once: createOnce({ recall }),
    wait: waits.wait,
    position: async () => (await store.changes(null, 1)).position,
    follow: (after) => createChangeReader({ tail, store }, after),
    look,
    claim: dispatch.claim,
    claimOwn: ownDispatch.claim,
    claimNow: (ask) => claimsNow(ask),
    leaseMs,
    extend: (calls) => Promise.all(calls.map(beats)),
    settle: settleTask,
    recall,
    remember,
    explain: explainTask,
    stats,
    drain: roster.drain,
    isDraining: (worker) => {
      roster.beat(worker); // who asks is there
      return roster.isDraining(worker);
    },
    onRevoked: (listener) => listenForRevocations(tail, listener),
    now: () => time.now(),
    sweep,
    start: async () => {
      await time.sync();
      judging.start();
      retiring.start();
      roster.start();
      minutes.start();
    },
    releaseWaits: waits.release,
    close: async () => {
      isClosing = true;
      waits.release();
      await Promise.all([dispatch.close(), ownDispatch.close()]);
      tail.close();
      await Promise.all([judging.stop(), retiring.stop()]);
      await roster.stop();
      await minutes.stop();
    },
  };
}

function creation(answer: InsertAnswer): Creation {
  if (answer.kind === "mismatch") {
    throw new TaskError("idempotency_mismatch", "This idempotency key was already used with another request");
  }
  return { tasks: answer.tasks, repeated: answer.kind === "repeated" };
}

function found([task]: readonly (Task | null)[]): Task {
  if (task === undefined || task === null) throw notFound();
  return task;
}

const changesTooOften = (id: TaskId): Error =>
  new Error(`task ${id} changed ${STEPS_AT_MOST} times under one step`);

/** The rule, where the condition holds. */
const under =
  <T extends TaskHead>(condition: Condition | undefined, rule: (task: T, now: number) => T) =>
  (task: T, now: number): T => {
    condition?.(task);
    return rule(task, now);
  };

const createdBy = (answer: InsertAnswer): number =>
  answer.kind === "created" ? answer.tasks.filter(({ existing }) => !existing).length : 0;

/** Whether a store may have ended the answer at its size limit: due tasks may then be left. */
function mayBeCut(answers: readonly (readonly RunningTask[])[]): boolean {
  let size = 0;
  for (const tasks of answers) for (const task of tasks) size += textSize(task);
  return size >= ANSWER_LEAST_BYTES;
}

const notFound = (): TaskError => new TaskError("not_found", "Task not found");

const overloaded = (): TaskError =>
  new TaskError("overloaded", "Too many requests are waiting for the store");

const provesRollback = (error: unknown): boolean => isTaskError(error, "store_rejected");

const stepId = (step: Step): TaskId => step.from.id;

/** About what the texts of a create occupy; the rest of a task is small beside them. */
function creatingBytes({ specs }: Creating): number {
  let bytes = 0;
  for (const spec of specs) {
    bytes += 200 + spec.name.length + (spec.description?.length ?? 0) + (spec.payload?.length ?? 0);
  }
  return bytes;
}
