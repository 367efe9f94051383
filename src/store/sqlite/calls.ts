/**
 * The calls from the store to the thread that holds its file, and the responses. Both are JSON text with many calls in one message, because
 * a text passes between threads without a copy of each of its parts.
 */
import type { ErrorCode } from "../../core/error.ts";
import type { AnyParts } from "../../core/parts.ts";
import type { LogLine, Parts, RunningTask, Status, Task, TaskId } from "../../core/task.ts";
import type {
  Ask,
  Beat,
  BeatAnswer,
  ChangePage,
  ClaimTerms,
  DocumentAnswer,
  DocumentPage,
  DocumentWrite,
  InsertAnswer,
  InsertRequest,
  OnceDocument,
  Position,
  ReplaceAnswer,
  TaskFilter,
  TaskPage,
  TaskQuery,
  TaskRecord,
  TaskRef,
  TypeCount,
} from "../store.ts";

/** A step as it is sent: facts about the state before it, the fields that it changes, and its entry in the change log. */
export type SentStep = {
  readonly id: TaskId;
  readonly version: number;
  /** The end of the lease that the step saw; null without one. */
  readonly until: number | null;
  readonly changed: Readonly<Partial<Task>>;
  /** The key that must be free because the step revives the task. */
  readonly claimsKey: string | null;
  readonly type: string;
  /** The status before the step, and after it. */
  readonly was: Status;
  readonly status: Status;
  readonly at: number;
  /** The type of the task if the step makes it ready for a claim. */
  readonly due: string | null;
  readonly once?: OnceDocument;
};

export type FileSetup = {
  /** As STORE_URL has it. */
  readonly path: string;
  /** For a new file. */
  readonly epoch: string;
  /** Names the process that opens the file. */
  readonly holder: string;
  readonly now: number;
};

export type Counted = { readonly count: number; readonly next: TaskId | null };

/** All calls of the thread; `open` comes first and once, `close` last. */
export type Verbs = {
  open(setup: FileSetup): null;
  close(): null;
  insert(requests: readonly InsertRequest[], now: number): InsertAnswer[];
  get(ids: readonly TaskId[], parts?: Parts): (AnyParts | null)[];
  list(query: TaskQuery<Parts>): TaskPage<AnyParts>;
  /** Counts some of the tasks with ids above `after`. */
  count(filter: TaskFilter, after: TaskId): Counted;
  typeCounts(): TypeCount[];
  positionOf(id: TaskId, now: number, atMost: number): number | null;
  claim(asks: readonly Ask[], terms: ClaimTerms): RunningTask[][];
  extend(beats: readonly Beat[], now: number): BeatAnswer[];
  replace(steps: readonly SentStep[]): ReplaceAnswer[];
  remove(refs: readonly TaskRef[], now: number): boolean[];
  restore(records: readonly TaskRecord[], now: number): number;
  readLog(id: TaskId, after: number): LogLine[];
  changes(after: Position | null, limit: number): ChangePage;
  writeDocuments(writes: readonly DocumentWrite[], now: number): DocumentAnswer[];
  readDocuments(prefix: string, now: number, after: string): DocumentPage;
  /** Deletes some of the rows that are not needed any more; true while there are others. */
  cleanUp(now: number): boolean;
};
export type Verb = keyof Verbs;
/** The calls that need an open file. */
export type FileVerb = Exclude<Verb, "open" | "close">;

export type Call = { [V in Verb]: readonly [id: number, verb: V, args: Parameters<Verbs[V]>] }[Verb];
export type FileCall = Extract<Call, readonly [number, FileVerb, unknown]>;

/** The code of a TaskError, or `defect` for any other error. */
export type Fault = { readonly code: ErrorCode | "defect"; readonly message: string };
export type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly fault: Fault };

export type ThreadResponse = {
  readonly answers: readonly Answer[];
  /** The types that a commit has made due; null if nothing was changed. */
  readonly due: readonly string[] | null;
  /** An error outside all calls. */
  readonly complaint?: string;
};
