/** A positive integer, assigned by the store; the store never assigns it again. */
export type TaskId = number;

/** A JSON value as the text that was sent, so that every store keeps the order of keys and the escape of NUL. */
export type JsonText = string;

export const STATUSES = ["pending", "running", "done", "failed", "cancelled"] as const;
export type Status = (typeof STATUSES)[number];

export const ENDED_STATUSES = ["done", "failed", "cancelled"] as const;
export type EndedStatus = (typeof ENDED_STATUSES)[number];

/** The limits of sizes. HTTP, brokers and SDK use them. */
export const LIMITS = {
  nameCodePoints: 255,
  descriptionCodePoints: 10_000,
  typeLength: 64,
  tags: 20,
  tagCodePoints: 64,
  labels: 20,
  labelNameLength: 64,
  labelValueCodePoints: 255,
  keyCodePoints: 255,
  priority: 1_000,
  maxAttempts: 1_000_000,
  batch: 1_000,
  attemptsKept: 20,
  logLinesKept: 1_000,
  resultBytes: 1_048_576,
  lostLeases: 3,
  messageLength: 10_000,
  workerCodePoints: 255,
  claimTypes: 100,
  /** The highest number of types, tags or statuses in a filter. */
  filterMembers: 100,
  searchTerms: 32,
  searchLength: 4_096,
} as const;

/** The largest id that a JSON number represents exactly. */
export const MAX_TASK_ID: TaskId = Number.MAX_SAFE_INTEGER;

/** The delay of a retry: full jitter over min(maxMs, baseMs · 2ⁿ). */
export type Backoff = { readonly baseMs: number; readonly maxMs: number };

export type Progress = { readonly percent: number; readonly message: string };

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogLine = {
  readonly n: number;
  readonly at: number;
  readonly level: LogLevel;
  readonly message: string;
};

/**
 * The right of one worker to a running task. A cancel request sets `revokeAt`: after that time lease judging ends the lease, even if heartbeats
 * continue. `leaseMs` is 0 if the store knows that the worker has ended.
 */
export type Lease = {
  readonly worker: string;
  readonly until: number;
  readonly leaseMs: number;
  readonly revokeAt: number | null;
};

/** Values by name, such as `{ region: "eu" }`, by which clients find tasks. */
export type Labels = Readonly<Record<string, string>>;

/** Why an attempt failed: a short stable word and a sentence. */
export type Failure = { readonly code: string; readonly message: string };

export type AttemptOutcome = "done" | "failed" | "released" | "lost" | "cancelled";

/** One ended attempt in the task's history. */
export type Attempt = {
  readonly attempt: number;
  readonly worker: string;
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly outcome: AttemptOutcome;
  readonly error: Failure | null;
};

/**
 * The fields of every task in any status. Times are epoch milliseconds. Each variant below has exactly the same keys, so that a
 * million tasks share one hidden class.
 */
type TaskFields = {
  readonly id: TaskId;
  /** Increases by one with each change except a renewed lease, progress and log lines. */
  readonly version: number;
  readonly name: string;
  readonly description: string;
  readonly type: string;
  readonly payload: JsonText | null;
  readonly priority: number;
  readonly tags: readonly string[];
  readonly labels: Labels;
  /** Unique among live tasks. */
  readonly key: string | null;
  readonly runAt: number;
  /** The limit of one attempt. */
  readonly timeoutMs: number | null;
  readonly maxAttempts: number;
  readonly backoff: Backoff;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** The number of all claims; it never decreases. It is the first half of the fencing token. */
  readonly claims: number;
  /** The token of the latest claim; it stays until the next one, so that a repeated outcome gets its first answer. */
  readonly token: string | null;
  /** The number of the current or latest start; a release decreases it, a manual retry resets it. */
  readonly attempt: number;
  readonly failures: number;
  /** The number of lost leases, which are not counted as failures. */
  readonly losses: number;
  /** Time spent in attempts that have ended. */
  readonly workedMs: number;
  readonly attempts: readonly Attempt[];
  /** Start of the current or latest attempt. */
  readonly startedAt: number | null;
  readonly progress: Progress | null;
  readonly result: JsonText | null;
  /** Why the latest failed attempt failed. */
  readonly error: Failure | null;
};

export type PendingTask = TaskFields & {
  readonly status: "pending";
  readonly lease: null;
  readonly finishedAt: null;
};

export type RunningTask = TaskFields & {
  readonly status: "running";
  readonly lease: Lease;
  readonly token: string;
  readonly startedAt: number;
  readonly finishedAt: null;
};

export type EndedTask = TaskFields & {
  readonly status: EndedStatus;
  readonly lease: null;
  readonly finishedAt: number;
};

export type Task = PendingTask | RunningTask | EndedTask;

/**
 * How much of each task is read: `head` is what finds workers, types and versions; `light` is everything but the long texts;
 * `whole` is everything. Each includes the one before.
 */
export type Parts = "head" | "light" | "whole";
export const PARTS = ["head", "light", "whole"] as const satisfies readonly Parts[];

type FieldRule = {
  /** The smallest read that includes the field. */
  readonly parts: Parts;
  /** What may change it after its creation. `step` is any rule, also a claim or a heartbeat; `claim` is a claim alone. */
  readonly changedBy: "nothing" | "claim" | "step";
  /** Whether an edit may change it, and while the task has which status. */
  readonly edit?: "in_any_status" | "while_pending";
};

/** The rules for each field, in one place: the compiler refuses a field of a task that has no rule. */
export const FIELDS = {
  id: { parts: "head", changedBy: "nothing" },
  version: { parts: "head", changedBy: "step" },
  status: { parts: "head", changedBy: "step" },
  name: { parts: "light", changedBy: "step", edit: "in_any_status" },
  description: { parts: "light", changedBy: "step", edit: "in_any_status" },
  type: { parts: "head", changedBy: "nothing" },
  payload: { parts: "whole", changedBy: "step", edit: "while_pending" },
  priority: { parts: "head", changedBy: "step", edit: "while_pending" },
  tags: { parts: "light", changedBy: "step", edit: "in_any_status" },
  labels: { parts: "light", changedBy: "step", edit: "in_any_status" },
  key: { parts: "head", changedBy: "nothing" },
  runAt: { parts: "light", changedBy: "step", edit: "while_pending" },
  timeoutMs: { parts: "light", changedBy: "step", edit: "while_pending" },
  maxAttempts: { parts: "light", changedBy: "step", edit: "while_pending" },
  backoff: { parts: "light", changedBy: "nothing" },
  createdAt: { parts: "light", changedBy: "nothing" },
  updatedAt: { parts: "light", changedBy: "step" },
  claims: { parts: "head", changedBy: "claim" },
  token: { parts: "head", changedBy: "claim" },
  attempt: { parts: "head", changedBy: "step" },
  failures: { parts: "light", changedBy: "step" },
  losses: { parts: "light", changedBy: "step" },
  workedMs: { parts: "light", changedBy: "step" },
  attempts: { parts: "light", changedBy: "step" },
  startedAt: { parts: "light", changedBy: "claim" },
  progress: { parts: "light", changedBy: "step" },
  result: { parts: "whole", changedBy: "step" },
  error: { parts: "light", changedBy: "step" },
  lease: { parts: "head", changedBy: "step" },
  finishedAt: { parts: "light", changedBy: "step" },
} as const satisfies { readonly [F in keyof Task]: FieldRule };

type Fields = typeof FIELDS;
export type FieldName = keyof Fields;
type FieldIn<P extends Parts> = { [F in FieldName]: Fields[F]["parts"] extends P ? F : never }[FieldName];

/** The fields that an edit may change. */
export type EditableField = {
  [F in FieldName]: Fields[F] extends { readonly edit: string } ? F : never;
}[FieldName];

export const FIELD_NAMES = Object.keys(FIELDS) as readonly FieldName[]; // its own keys

/** A task without its long texts. The type has no such members, so such a task cannot be used as a whole one. */
export type Light<T extends Task = Task> = Omit<T, FieldIn<"whole">>;
export type LightTask = Light<PendingTask> | Light<RunningTask> | Light<EndedTask>;

/** The small fields that describe the state of a task: enough to find workers, types and versions. */
export type TaskHead = Pick<Task, FieldIn<"head">>;

/** The type of a task read with these parts. */
export type TaskParts = { readonly whole: Task; readonly light: LightTask; readonly head: TaskHead };

/** A task before its store has given it an id; until then it is NO_ID. */
export type Draft = PendingTask;
export const NO_ID: TaskId = 0;

export const isEndedStatus = (status: Status): status is EndedStatus =>
  ENDED_STATUSES.some((ended) => ended === status);

export const isRunning = <T extends LightTask>(task: T): task is Extract<T, { status: "running" }> =>
  task.status === "running";
export const isEnded = <T extends LightTask>(task: T): task is Extract<T, { status: EndedStatus }> =>
  task.finishedAt !== null;
/** A live task is pending or running. */
export const isLive = <T extends LightTask>(task: T): task is Exclude<T, { status: EndedStatus }> =>
  task.finishedAt === null;

/** Whether a worker that asks for `pattern` (a type, or a prefix ending in `*`) takes tasks of `type`. */
export const takesType = (pattern: string, type: string): boolean =>
  pattern.endsWith("*") ? type.startsWith(pattern.slice(0, -1)) : pattern === type;

type Claimable = Pick<Task, "priority" | "runAt" | "id">;

/**
 * The order in which due tasks of one set of types are claimed: priority first, then due time, then age.
 * Negative if `a` is before `b`.
 */
export function claimOrder(a: Claimable, b: Claimable): number {
  return b.priority - a.priority || a.runAt - b.runAt || a.id - b.id;
}

/** Time spent working over all attempts, in milliseconds; grows while the task runs, but not after the end of its lease. */
export function durationMs(task: LightTask, now: number): number {
  if (!isRunning(task)) return task.workedMs;
  return task.workedMs + Math.max(0, Math.min(now, task.lease.until) - task.startedAt);
}

/** The reason why some stores cannot store the text, or null: PostgreSQL accepts neither NUL nor a lone surrogate. */
export function textFault(text: string): string | null {
  if (text.includes("\0")) return "must not contain the character NUL";
  if (!text.isWellFormed()) return "must not contain a lone surrogate";
  return null;
}

/** The most similar text that every store can keep, for texts of workers: an outcome must not be lost because of one character. */
export const storableText = (text: string, maxLength: number): string =>
  text.slice(0, maxLength).toWellFormed().replaceAll("\0", "\uFFFD");

/** Code points, without building an array of them. */
export function codePoints(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0xd800 && unit < 0xdc00) i++;
    count++;
  }
  return count;
}

/** The rule for a name, after the white space around it is cut off. */
export function nameFault(name: string): string | null {
  if (name === "") return "must not be empty";
  if (name.length > LIMITS.nameCodePoints && codePoints(name) > LIMITS.nameCodePoints) {
    return `must be at most ${LIMITS.nameCodePoints} characters long, is ${codePoints(name)}`;
  }
  return textFault(name);
}

/** The rule for a description. */
export function descriptionFault(description: string): string | null {
  if (
    description.length > LIMITS.descriptionCodePoints &&
    codePoints(description) > LIMITS.descriptionCodePoints
  ) {
    return `must be at most ${LIMITS.descriptionCodePoints} characters long, is ${codePoints(description)}`;
  }
  return textFault(description);
}

/** The form of a type, and of a pattern of types: a type, or a prefix ending in `*`. */
export const TYPE = /^[A-Za-z0-9._-]{1,64}$/;
export const TYPE_PATTERN = /^(?:[A-Za-z0-9._-]{1,64}\*?|\*)$/;

/** The rule for a type. */
export const typeFault = (type: string): string | null =>
  TYPE.test(type) ? null : `must be 1 to ${LIMITS.typeLength} letters, digits, dots, underscores and hyphens`;

/** The rule for a pattern of types. */
export const typePatternFault = (pattern: string): string | null =>
  TYPE_PATTERN.test(pattern) ? null : "must be a type, or a prefix ending in *";

/** The rule for one tag. */
export const tagFault = (tag: string): string | null => shortTextFault(tag, LIMITS.tagCodePoints);

/** A name has no colon, so that a filter can write a label as `name:value`. It does not begin with `_`, so that it is not `__proto__`. */
export const LABEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$/;

/** The rule for the name of a label. */
export const labelNameFault = (name: string): string | null =>
  LABEL_NAME.test(name)
    ? null
    : `must have a name of at most ${LIMITS.labelNameLength} letters, digits and . _ - / that begins with a letter or digit`;

/** The rule for the value of a label, which may be empty. */
export const labelValueFault = (value: string): string | null =>
  value === "" ? null : shortTextFault(value, LIMITS.labelValueCodePoints);

/** The rule for a label as a filter writes it, `name:value`. */
export function labelFault(text: string): string | null {
  const [name, value] = splitLabel(text);
  if (value === null) return "must be a name, a colon and a value, such as region:eu";
  return labelNameFault(name) ?? labelValueFault(value);
}

function splitLabel(text: string): readonly [name: string, value: string | null] {
  const colon = text.indexOf(":");
  return colon < 0 ? [text, null] : [text.slice(0, colon), text.slice(colon + 1)];
}

/** Each label as `name:value`, which is how people and filters write it; none for a task of a server of version 0.1.0. */
export const labelTexts = (labels: Labels | undefined): string[] =>
  Object.entries(labels ?? {}).map(([name, value]) => `${name}:${value}`);

/** The labels that are written `name:value`; without a colon the text is a name, and its value is empty. */
export const labelsFrom = (texts: readonly string[]): Labels =>
  Object.fromEntries(texts.map(splitLabel).map(([name, value]) => [name, value ?? ""]));

/** Whether these labels contain the one that is written `name:value`. */
export function hasLabel(labels: Labels, text: string): boolean {
  const [name, value] = splitLabel(text);
  return Object.hasOwn(labels, name) && labels[name] === value;
}

/** The rule for a key. */
export const keyFault = (key: string): string | null => shortTextFault(key, LIMITS.keyCodePoints);

/** The rule for a worker's name. */
export const workerFault = (worker: string): string | null => shortTextFault(worker, LIMITS.workerCodePoints);

function shortTextFault(text: string, most: number): string | null {
  if (text === "") return "must not be empty";
  if (text.length > most && codePoints(text) > most) {
    return `must be at most ${most} characters long, is ${codePoints(text)}`;
  }
  return textFault(text);
}
