/**
 * The elements of a heartbeat and of many completions, judged one by one: a fault in one element never ends a neighbour's lease.
 * A bad progress or log line does not even end its own: it is dropped, and the answer says so.
 */
import { z } from "zod";
import { type FieldFault, TaskError } from "../core/error.ts";
import { LIMITS, type LogLevel, type Progress, storableText, type TaskId } from "../core/task.ts";
import { faultsOf } from "../wire/faults.ts";
import { FaultAnswer, LEVELS, taskId } from "../wire/shared-schemas.ts";
import { BeatFrame, Completion, ElementId, LeaseWord, ProgressWord } from "./work-schemas.ts";

export const elementId = taskId.nullable().meta({ description: "null where the element had no task id" });
export const elementFaults = {
  errors: z
    .array(FaultAnswer)
    .optional()
    .meta({ description: "What of this element was not understood: at most ten faults" }),
  errors_omitted: z.int().min(1).optional().meta({ description: "How many more faults it has" }),
};

type Line = { readonly level: LogLevel; readonly message: string };

export type Beat = {
  readonly id: TaskId;
  readonly token: string;
  readonly progress: Progress | null;
  readonly log: readonly Line[];
};

/** An element as it was understood. */
export type Judged<T> = {
  /** Null where the element has none. */
  readonly id: TaskId | null;
  /** Null where the element names no lease. */
  readonly said: T | null;
  readonly faults: ElementFaults;
};

/** The first FAULTS_LISTED faults of an element, as its answer shows them. */
export type ElementFaults = { readonly errors?: readonly FieldFault[]; readonly errors_omitted?: number };

/** Of each element: an answer about a thousand leases stays below 2 MB. */
const FAULTS_LISTED = 10;
const NO_LINE = `must be text, or {level, message} with a level of ${LEVELS.join(", ")}`;

/** Throws `invalid` where two elements are for one task: nothing says which of them is the newer. */
export function judgeBeats(leases: readonly unknown[]): readonly Judged<Beat>[] {
  const judged = leases.map(judgeBeat);
  const ids = judged.flatMap(({ said }) => said?.id ?? []);
  if (new Set(ids).size === ids.length) return judged;
  const detail = "must name each task once";
  throw new TaskError("invalid", `/leases ${detail}`, [{ pointer: "/leases", detail }]);
}

function judgeBeat(element: unknown, at: number): Judged<Beat> {
  const faults = createFaults(`/leases/${at}`);
  const frame = BeatFrame.safeParse(element);
  if (!frame.success) faults.add("", frame.error.issues);
  const lease = frame.success ? frame.data : LeaseWord.safeParse(element).data;
  if (lease === undefined) return { id: idOf(element), said: null, faults: faults.listed() };
  const { progress, log } = element as z.output<typeof BeatFrame>; // an object, for it has an id
  const { id, token } = lease;
  const said = { id, token, progress: judgeProgress(progress, faults), log: judgeLog(log, faults) };
  return { id, said, faults: faults.listed() };
}

export function judgeCompletion(element: unknown, at: number): Judged<Completion> {
  const faults = createFaults(`/tasks/${at}`);
  const { data, error } = Completion.safeParse(element);
  if (data !== undefined) return { id: data.id, said: data, faults: {} };
  faults.add("", error.issues);
  return { id: idOf(element), said: null, faults: faults.listed() };
}

const idOf = (element: unknown): TaskId | null => ElementId.safeParse(element).data?.id ?? null;

function judgeProgress(progress: unknown, faults: FaultList): Progress | null {
  if (progress === undefined) return null;
  const { data, error } = ProgressWord.safeParse(progress);
  if (error !== undefined) faults.add("/progress", error.issues);
  return data ?? null;
}

/** By hand: a body has room for 300,000 lines, and a schema takes microseconds for each bad one. */
function judgeLog(log: unknown, faults: FaultList): Line[] {
  if (log === undefined) return [];
  if (!Array.isArray(log)) {
    faults.addOne("/log", "must be an array");
    return [];
  }
  const dropped = Math.max(0, log.length - LIMITS.logLinesKept);
  if (dropped > 0)
    faults.addOne("/log", `has more than ${LIMITS.logLinesKept} lines; the oldest were dropped`);
  const kept: Line[] = [];
  for (let at = dropped; at < log.length; at++) {
    const line = lineOf(log[at]);
    if (line === null) faults.addOne(`/log/${at}`, NO_LINE);
    else kept.push(line);
  }
  return kept;
}

function lineOf(entry: unknown): Line | null {
  if (typeof entry === "string") return { level: "info", message: storableText(entry, LIMITS.messageLength) };
  if (typeof entry !== "object" || entry === null || Object.keys(entry).length !== 2) return null;
  const { level, message } = entry as Record<string, unknown>; // any object has any member, if only undefined
  const known = LEVELS.find((each) => each === level);
  if (known === undefined || typeof message !== "string") return null;
  return { level: known, message: storableText(message, LIMITS.messageLength) };
}

type FaultList = ReturnType<typeof createFaults>;

/** Gathers the faults of an element, whose pointers begin with the element's own. */
function createFaults(element: string) {
  const errors: FieldFault[] = [];
  let count = 0;

  function addOne(pointer: string, detail: string): void {
    if (++count <= FAULTS_LISTED) errors.push({ pointer: element + pointer, detail });
  }

  function add(part: string, issues: readonly z.core.$ZodIssue[]): void {
    const { listed, omitted } = faultsOf(issues);
    for (const { pointer, detail } of listed) addOne(part + pointer, detail);
    count += omitted;
  }

  const listed = (): ElementFaults => ({
    ...(count === 0 ? {} : { errors }),
    ...(count === errors.length ? {} : { errors_omitted: count - errors.length }),
  });

  return { add, addOne, listed };
}

/** An answer for each element, in their order: those that were understood are carried out together. */
export async function answerEach<T, A extends object>(
  judged: readonly Judged<T>[],
  carryOut: (understood: readonly T[]) => Promise<readonly A[]>,
  otherwise: A,
): Promise<object[]> {
  const understood = judged.flatMap(({ said }) => (said === null ? [] : [said]));
  const answers = (await carryOut(understood)).values();
  return judged.map(({ id, said, faults }) => ({
    id,
    ...(said === null ? otherwise : (answers.next().value ?? otherwise)),
    ...faults,
  }));
}
