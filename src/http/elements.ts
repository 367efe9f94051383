/**
 * The elements of a heartbeat and of a list of completions, checked one by one: a fault in one element has no
 * effect on the leases of the others. An invalid progress or log line does not end the lease of its own
 * element: it is dropped, and the answer lists it.
 */
import { z } from "zod";
import { type FieldFault, TaskError } from "../core/error.ts";
import { LIMITS, type LogLevel, type Progress, storableText, type TaskId } from "../core/task.ts";
import { faultsOf } from "../wire/faults.ts";
import { FaultAnswer, LEVELS, taskId } from "../wire/shared-schemas.ts";
import { BeatFrame, Completion, ElementId, LeaseFields, ProgressReport } from "./work-schemas.ts";

export const elementId = taskId.nullable().meta({ description: "Null if the element had no valid task id" });
export const elementFaults = {
  errors: z
    .array(FaultAnswer)
    .optional()
    .meta({ description: "The invalid parts of this element: at most ten" }),
  errors_omitted: z.int().min(1).optional().meta({ description: "How many more invalid parts it has" }),
};

type Line = { readonly level: LogLevel; readonly message: string };

export type Beat = {
  readonly id: TaskId;
  readonly token: string;
  readonly progress: Progress | null;
  readonly log: readonly Line[];
};

/** An element that was checked. */
export type Checked<T> = {
  /** Null if the element has no valid id. */
  readonly id: TaskId | null;
  /** Null if the element names no lease. */
  readonly value: T | null;
  readonly faults: ElementFaults;
};

/** The faults of an element as its answer shows them: at most FAULTS_LISTED. */
export type ElementFaults = { readonly errors?: readonly FieldFault[]; readonly errors_omitted?: number };

/** For each element. An answer about a thousand leases stays below 2 MB. */
const FAULTS_LISTED = 10;
const NO_LINE = `must be text, or {level, message} with a level of ${LEVELS.join(", ")}`;

/** Throws `invalid` if two elements are for one task: it is unknown which of them is newer. */
export function checkBeats(leases: readonly unknown[]): readonly Checked<Beat>[] {
  const checked = leases.map(checkBeat);
  const ids = checked.flatMap(({ value }) => value?.id ?? []);
  if (new Set(ids).size === ids.length) return checked;
  const detail = "must name each task once";
  throw new TaskError("invalid", `/leases ${detail}`, [{ pointer: "/leases", detail }]);
}

function checkBeat(element: unknown, at: number): Checked<Beat> {
  const faults = createFaults(`/leases/${at}`);
  const frame = BeatFrame.safeParse(element);
  if (!frame.success) faults.add("", frame.error.issues);
  const lease = frame.success ? frame.data : LeaseFields.safeParse(element).data;
  if (lease === undefined) return { id: idOf(element), value: null, faults: faults.listed() };
  const { progress, log } = element as z.output<typeof BeatFrame>; // an object, because it has an id
  const { id, token } = lease;
  const value = { id, token, progress: checkProgress(progress, faults), log: checkLog(log, faults) };
  return { id, value, faults: faults.listed() };
}

export function checkCompletion(element: unknown, at: number): Checked<Completion> {
  const faults = createFaults(`/tasks/${at}`);
  const { data, error } = Completion.safeParse(element);
  if (data !== undefined) return { id: data.id, value: data, faults: {} };
  faults.add("", error.issues);
  return { id: idOf(element), value: null, faults: faults.listed() };
}

const idOf = (element: unknown): TaskId | null => ElementId.safeParse(element).data?.id ?? null;

function checkProgress(progress: unknown, faults: FaultList): Progress | null {
  if (progress === undefined) return null;
  const { data, error } = ProgressReport.safeParse(progress);
  if (error !== undefined) faults.add("/progress", error.issues);
  return data ?? null;
}

/**
 * Without a schema: a body has room for 300,000 lines, and a schema takes microseconds for each invalid one.
 */
function checkLog(log: unknown, faults: FaultList): Line[] {
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
  const { level, message } = entry as Record<string, unknown>; // a missing member reads as undefined
  const known = LEVELS.find((each) => each === level);
  if (known === undefined || typeof message !== "string") return null;
  return { level: known, message: storableText(message, LIMITS.messageLength) };
}

type FaultList = ReturnType<typeof createFaults>;

/** Collects the faults of an element. Their pointers begin with the pointer of the element. */
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

/** An answer for each element, in their order. The valid elements are carried out together. */
export async function answerEach<T, A extends object>(
  checked: readonly Checked<T>[],
  carryOut: (understood: readonly T[]) => Promise<readonly A[]>,
  otherwise: A,
): Promise<object[]> {
  const understood = checked.flatMap(({ value }) => (value === null ? [] : [value]));
  const answers = (await carryOut(understood)).values();
  return checked.map(({ id, value, faults }) => ({
    id,
    ...(value === null ? otherwise : (answers.next().value ?? otherwise)),
    ...faults,
  }));
}
