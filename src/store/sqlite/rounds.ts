/**
 * Group commit. Calls are carried out in the order in which they came, and all calls that wait share one transaction and one wait for the
 * disk. They are answered after it. If one of them fails, the transaction is rolled back and each call is tried alone.
 */
import type { Answer, FileCall, FileVerb, ThreadResponse } from "./calls.ts";
import { faultOf } from "./refusals.ts";
import type { TaskFile } from "./task-file.ts";

/** Rows of one transaction, unless a single call has more: some ten milliseconds. */
const WRITTEN_ROWS = 5_000;
/** Rows of one round of reads: the server's own thread parses the answer, and must not be blocked for long. */
const READ_ROWS = 1_000;

const READS: ReadonlySet<FileVerb> = new Set([
  "get",
  "list",
  "count",
  "typeCounts",
  "positionOf",
  "readLog",
  "changes",
  "readDocuments",
]);

const isRead = ([, verb]: FileCall): boolean => READS.has(verb);
/** Whether a commit may wait for the call; it never waits for a list. */
const isQuick = (call: FileCall): boolean => !isRead(call) || call[1] === "get";

/** The approximate number of rows that the call reads or writes. */
function rowsOf([, verb, args]: FileCall): number {
  switch (verb) {
    case "insert":
      return args[0].reduce((rows, { drafts }) => rows + drafts.length, 0);
    case "extend":
      return args[0].reduce((rows, { log }) => rows + 1 + log.length, 0);
    case "restore":
      return args[0].reduce((rows, { log }) => rows + 1 + log.length, 0);
    case "claim":
      return args[0].reduce((rows, { max }) => rows + max, 0);
    case "get":
    case "replace":
    case "remove":
    case "writeDocuments":
      return args[0].length;
    case "changes":
      return args[1];
    case "readLog":
    case "list":
    case "count":
    case "typeCounts":
    case "positionOf":
    case "readDocuments":
    case "cleanUp":
      return 1_000;
    default:
      return verb satisfies never;
  }
}

/** Takes the next round from the front of the queue: some reads, or a transaction with the quick reads among its writes. */
export function takeRound(waiting: FileCall[]): FileCall[] {
  const [first] = waiting;
  if (first === undefined) return [];
  const [mayJoin, rowsAtMost] = isRead(first) ? [isRead, READ_ROWS] : [isQuick, WRITTEN_ROWS];
  let rows = 0;
  const end = waiting.findIndex((call, index) => {
    rows += rowsOf(call);
    return index > 0 && (rows > rowsAtMost || !mayJoin(call));
  });
  return waiting.splice(0, end === -1 ? waiting.length : end);
}

/** Carries out a round. */
export function runRound(file: TaskFile, calls: readonly FileCall[]): ThreadResponse {
  if (calls.every(isRead)) return { answers: calls.map((call) => read(file, call)), due: null };
  const answers = together(file, calls);
  if (answers !== null) return { answers, due: file.takeDueTypes() };
  const responses = calls.map((call) => alone(file, call));
  const dueTypes = responses.flatMap(({ due }) => due ?? []);
  const isChanged = responses.some(({ due }) => due !== null);
  return {
    answers: responses.flatMap((each) => each.answers),
    due: isChanged ? [...new Set(dueTypes)] : null,
  };
}

function read(file: TaskFile, call: FileCall): Answer {
  try {
    return { id: call[0], value: run(file, call) };
  } catch (error) {
    return { id: call[0], fault: faultOf(error) };
  }
}

/** Null when one of the calls or the commit failed; then nothing was written. */
function together(file: TaskFile, calls: readonly FileCall[]): Answer[] | null {
  try {
    return commit(file, calls);
  } catch (error) {
    file.rollback();
    if (calls.length > 1) return null;
    return calls.map(([id]) => ({ id, fault: faultOf(error) }));
  }
}

function alone(file: TaskFile, call: FileCall): ThreadResponse {
  const answers = together(file, [call]) ?? [];
  return { answers, due: file.takeDueTypes() };
}

function commit(file: TaskFile, calls: readonly FileCall[]): Answer[] {
  file.begin();
  const answers = calls.map((call) => ({ id: call[0], value: run(file, call) }));
  file.commit();
  return answers;
}

function run(file: TaskFile, [, verb, args]: FileCall): unknown {
  // The type of a call binds its arguments to its verb, which the compiler does not follow through a union of verbs.
  const verbOf = file.verbs[verb] as (...args: unknown[]) => unknown;
  return verbOf(...args);
}
