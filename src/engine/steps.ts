/**
 * Steps of single tasks. A step reads the task, applies a pure rule of core/lifecycle and writes the result by compare-and-set; it
 * begins again if another write came first. Steps of one task in this process run one after another.
 */

import { isMadeDue } from "../core/due.ts";
import { isTaskError, TaskError } from "../core/error.ts";
import type { Parts, Task, TaskHead, TaskId, TaskParts } from "../core/task.ts";
import { BATCH_LIMITS, type Join } from "../lib/batch.ts";
import { createTurns } from "../lib/turns.ts";
import type { OnceDocument, ReplaceAnswer, Step, TaskStore } from "../store/store.ts";
import { createStoreBatch, OUTCOME_LIMITS, overloaded } from "./batches.ts";
import type { MinuteStatistics } from "./minute-statistics.ts";
import type { Notify } from "./notify.ts";
import type { Once } from "./once.ts";
import type { ReadMany } from "./read-many.ts";

/** Checks the task at the moment of the step; throws if the step is not allowed. */
export type Condition = (task: Pick<Task, "id" | "version">) => void;
export type StepTerms = {
  readonly condition?: Condition | undefined;
  /** Present if the client may send the call twice: the step is then carried out once. */
  readonly once?: Once | undefined;
};

/** The parts of a task to which a rule applies. */
export type Steppable = "whole" | "light";
/** Returns the same object if there is nothing to change; throws TaskError if the step is not allowed. */
export type Rule<P extends Steppable> = (task: TaskParts[P], now: number) => TaskParts[P];

type Stepping<P extends Steppable> = {
  readonly id: TaskId;
  readonly parts: P;
  readonly once?: Once | undefined;
};

export interface Steps {
  /** These parts of one task; reads in the same turn of the event loop share one call of the store. Rejects with `not_found`. */
  read<P extends Parts>(id: TaskId, parts: P): Promise<TaskParts[P]>;
  /** A step of a client. Refused while too many wait. */
  step<P extends Steppable>(stepping: Stepping<P>, rule: Rule<P>): Promise<TaskParts[P]>;
  /** A step of a worker or of the maintenance: never refused, and its batch never waits for batches of clients. */
  workerStep<P extends Steppable>(stepping: Stepping<P>, rule: Rule<P>): Promise<TaskParts[P]>;
  /** Writes a step whose task is known, without reading it. */
  writeWorkerStep(step: Step): Promise<ReplaceAnswer>;
  /**
   * Deletes the task if the condition holds for its present version; begins again if another write came first.
   * @param remove deletes one version; false if the task has another one by now
   */
  removeIf(
    id: TaskId,
    terms: { readonly condition: Condition; readonly once: Once | undefined },
    remove: (version: number) => Promise<boolean>,
  ): Promise<void>;
}

/** A step loses only to a step of another process that was written, so each step succeeds in the end. This many losses mean a defect. */
const TRIES_AT_MOST = 1_000;

export function createSteps(setup: {
  readonly store: Pick<TaskStore, "replace" | "writeDocuments">;
  readonly readMany: ReadMany;
  readonly now: () => number;
  readonly minutes: Pick<MinuteStatistics, "stepped">;
  readonly notify: Notify;
}): Steps {
  const { store, readMany, minutes } = setup;
  const edits = createStoreBatch({ send: replaceAll, keyOf: stepId });
  const workerWrites = createStoreBatch({ send: replaceAll, keyOf: stepId, limits: OUTCOME_LIMITS });
  const turns = createTurns<TaskId>({ failsAll: (error) => isTaskError(error, "store_unavailable") });

  async function replaceAll(steps: readonly Step[]) {
    const answers = await store.replace(steps);
    minutes.stepped(steps.filter((_, at) => answers[at] === "ok"));
    setup.notify(typesMadeDue(steps));
    return answers;
  }

  async function read<P extends Parts>(id: TaskId, parts: P): Promise<TaskParts[P]> {
    const task = (await readMany([id], parts)).get(id);
    if (task === undefined) throw notFound();
    return task;
  }

  async function stepNow<P extends Steppable>(
    { id, parts, once }: Stepping<P>,
    rule: Rule<P>,
    write: Join<Step, ReplaceAnswer>,
  ): Promise<TaskParts[P]> {
    for (let tries = 0; tries < TRIES_AT_MOST; tries++) {
      if (tries > 0) await once?.assertFirst();
      const from = await read(id, parts);
      const now = setup.now();
      const to = rule(from, now);
      if (to === from) {
        if (once === undefined || (await writeDocument(once.document(from, now)))) return from;
        continue; // the same call has been carried out meanwhile
      }
      const answer = await write({
        from,
        to,
        ...(once === undefined ? {} : { once: once.document(to, now) }),
      });
      if (answer === "ok") return to;
      if (answer === "key_taken") {
        throw new TaskError("key_taken", `Another live task holds the key ${JSON.stringify(to.key)}`);
      }
    }
    throw changesTooOften(id);
  }

  /** The document of a step that changes nothing now: the same call must not change anything later. */
  const writeDocument = async ({ now, ...document }: OnceDocument): Promise<boolean> =>
    (await store.writeDocuments([{ ...document, ifVersion: 0 }], now))[0] === "ok";

  async function removeNow(
    id: TaskId,
    { condition, once }: { readonly condition: Condition; readonly once: Once | undefined },
    remove: (version: number) => Promise<boolean>,
  ): Promise<void> {
    for (let tries = 0; tries < TRIES_AT_MOST; tries++) {
      if (tries > 0) await once?.assertFirst();
      const task = await read(id, "head");
      condition(task);
      if (await remove(task.version)) return;
    }
    throw changesTooOften(id);
  }

  return {
    read,
    step: async (stepping, rule) => {
      if (turns.waiting >= BATCH_LIMITS.waitingCalls) throw overloaded();
      return turns.take(stepping.id, () => stepNow(stepping, rule, edits));
    },
    workerStep: (stepping, rule) => turns.take(stepping.id, () => stepNow(stepping, rule, workerWrites)),
    writeWorkerStep: workerWrites,
    removeIf: (id, terms, remove) => turns.take(id, () => removeNow(id, terms, remove)),
  };
}

/** The type of each task that a step has made due. */
function typesMadeDue(steps: readonly Step[]): string[] {
  const types: string[] = [];
  for (const { to } of steps) if (isMadeDue(to)) types.push(to.type);
  return types;
}

/** The rule, applied if the condition holds. */
export const under =
  <T extends TaskHead>(condition: Condition | undefined, rule: (task: T, now: number) => T) =>
  (task: T, now: number): T => {
    condition?.(task);
    return rule(task, now);
  };

export const notFound = (): TaskError => new TaskError("not_found", "Task not found");

const changesTooOften = (id: TaskId): Error =>
  new Error(`task ${id} changed ${TRIES_AT_MOST} times under one step`);

const stepId = (step: Step): TaskId => step.from.id;
