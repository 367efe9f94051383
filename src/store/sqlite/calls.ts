/**
 * What the store says to the thread that holds its file, and what comes back. Both go as JSON text, which crosses between
 * threads without being copied piece by piece, many calls in one message.
 */
import type { ErrorCode } from "../../core/error.ts";
import type {
  LightTask,
  LogLine,
  Parts,
  RunningTask,
  Status,
  Task,
  TaskHead,
  TaskId,
} from "../../core/task.ts";
import type {
  Ask,
  Beat,
  BeatAnswer,
  ChangePage,
  ClaimTerms,
  InsertAnswer,
  InsertRequest,
  NotePage,
  NoteWrite,
  NoteWritten,
  OnceNote,
  Position,
  ReplaceAnswer,
  TaskFilter,
  TaskPage,
  TaskQuery,
  TaskRecord,
  TaskRef,
  TypeCount,
} from "../store.ts";

/** A step as it is sent: how it is recognised, what it changes, and what others are told of it. */
export type Move = {
  readonly id: TaskId;
  readonly version: number;
  /** The end of the lease that the step saw; null without one. */
  readonly until: number | null;
  readonly changed: Readonly<Partial<Task>>;
  /** The key that must be free because the step brings the task back to life. */
  readonly claimsKey: string | null;
  readonly type: string;
  /** The status that the step saw, and the one that it leaves. */
  readonly was: Status;
  readonly status: Status;
  readonly at: number;
  /** The type of the task where the step makes it ready for a claim. */
  readonly due: string | null;
  readonly once?: OnceNote;
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

/** What parts they are stands in the call. */
export type AnyParts = Task | LightTask | TaskHead;

export type Counted = { readonly count: number; readonly next: TaskId | null };

/** Everything that the thread can be asked; `open` comes first and once, `close` last. */
export type Verbs = {
  open(setup: FileSetup): null;
  close(): null;
  insert(requests: readonly InsertRequest[], now: number): InsertAnswer[];
  get(ids: readonly TaskId[], parts?: Parts): (AnyParts | null)[];
  list(query: TaskQuery<Parts>): TaskPage<AnyParts>;
  /** Counts some of the tasks with ids above `after`. */
  count(filter: TaskFilter, after: TaskId): Counted;
  census(): TypeCount[];
  ahead(id: TaskId, now: number, atMost: number): number | null;
  claim(asks: readonly Ask[], terms: ClaimTerms): RunningTask[][];
  extend(beats: readonly Beat[], now: number): BeatAnswer[];
  replace(moves: readonly Move[]): ReplaceAnswer[];
  remove(refs: readonly TaskRef[], now: number): boolean[];
  restore(records: readonly TaskRecord[], now: number): number;
  readLog(id: TaskId, after: number): LogLine[];
  changes(after: Position | null, limit: number): ChangePage;
  writeNotes(writes: readonly NoteWrite[], now: number): NoteWritten[];
  readNotes(prefix: string, now: number, after: string): NotePage;
  /** Clears away some of what nobody needs any more; true while there is more. */
  tend(now: number): boolean;
};
export type Verb = keyof Verbs;
/** What is asked of an open file. */
export type FileVerb = Exclude<Verb, "open" | "close">;

export type Call = { [V in Verb]: readonly [id: number, verb: V, args: Parameters<Verbs[V]>] }[Verb];
export type FileCall = Extract<Call, readonly [number, FileVerb, unknown]>;

/** A TaskError's code, or `defect` for what should never have been thrown. */
export type Fault = { readonly code: ErrorCode | "defect"; readonly message: string };
export type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly fault: Fault };

export type Told = {
  readonly answers: readonly Answer[];
  /** The types that a commit has made due; null where nothing was changed. */
  readonly due: readonly string[] | null;
  /** What went wrong without anybody having asked for it. */
  readonly complaint?: string;
};
