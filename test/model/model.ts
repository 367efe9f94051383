/**
 * A second implementation of the rules of tasks: in one file, with plain mutable objects, and without code shared with the
 * product. It executes one command at a time and has no stores, batches or races, so that it is short enough to check by
 * reading. It returns expected refusals as their code.
 */
export type Said =
  | { readonly kind: "done"; readonly result: string | null }
  | {
      readonly kind: "failed";
      readonly error: { readonly code: string; readonly message: string };
      readonly retryable: boolean;
      readonly retryAfterMs: number | null;
    }
  | { readonly kind: "released"; readonly delayMs: number };

type Failure = { code: string; message: string };
type Status = "pending" | "running" | "done" | "failed" | "cancelled";

/** The fields that clients can see, with their names there. */
export type ModelTask = {
  id: number;
  version: number;
  name: string;
  description: string;
  type: string;
  payload: string | null;
  priority: number;
  tags: readonly string[];
  labels: Readonly<Record<string, string>>;
  key: string | null;
  runAt: number;
  timeoutMs: number | null;
  maxAttempts: number;
  backoff: { baseMs: number; maxMs: number };
  createdAt: number;
  updatedAt: number;
  claims: number;
  token: string | null;
  attempt: number;
  failures: number;
  losses: number;
  workedMs: number;
  attempts: {
    attempt: number;
    worker: string;
    startedAt: number;
    finishedAt: number;
    outcome: "done" | "failed" | "released" | "lost" | "cancelled";
    error: Failure | null;
  }[];
  startedAt: number | null;
  progress: { percent: number; message: string } | null;
  result: string | null;
  error: Failure | null;
  status: Status;
  lease: { worker: string; until: number; leaseMs: number; revokeAt: number | null } | null;
  finishedAt: number | null;
};

export type LogLine = { n: number; at: number; level: string; message: string };
export type ModelChange = {
  id: number;
  version: number;
  status: Status;
  kind: "created" | "changed" | "deleted";
};

export type Spec = {
  name: string;
  description: string;
  type: string;
  payload: string | null;
  priority: number;
  tags: string[];
  labels: Record<string, string>;
  key: string | null;
  delayMs: number;
  timeoutMs: number | null;
  maxAttempts: number;
  backoff: { baseMs: number; maxMs: number };
};
export type Patch = Partial<
  Pick<
    ModelTask,
    | "name"
    | "description"
    | "tags"
    | "labels"
    | "payload"
    | "priority"
    | "runAt"
    | "timeoutMs"
    | "maxAttempts"
  >
>;
export type Wish = { worker: string; types: string[]; max: number; leaseMs: number };
export type ModelBeat = {
  id: number;
  token: string;
  progress: { percent: number; message: string } | null;
  log: { level: "info" | "warn"; message: string }[];
};
export type Filter = {
  statuses?: Status[];
  types?: string[];
  tags?: string[];
  /** Each as its name, a colon and its value. */
  labels?: string[];
  finishedBefore?: number;
  expiredAt?: number;
  word?: string;
};
export type Order = "id" | "-id" | "finished_at" | "-finished_at";

/** The texts that a search finds in the payloads which the commands use. */
export const PAYLOADS = new Map<string | null, string>([
  [null, ""],
  ['{"at":"zeta"}', "zeta"],
  ["[1,null]", ""],
]);

const DAY_MS = 86_400_000;
const CANCEL_GRACE_MS = 30_000;
const MIB = 1_048_576;

type Rules = {
  readonly startAt: number;
  readonly random: number;
  readonly keepDoneMs: number;
  readonly keepOthersMs: number;
};

/** The effect of a call with a key: the task after it; null if the call deleted it. */
type CarriedOut = {
  fingerprint: string;
  until: number;
  task: { status: Status; version: number } | null;
};

type Answered = { body: string; until: number; ids: { id: number; existing: boolean }[] };

const emptyState = (now: number) => ({
  now,
  lastId: 0,
  tasks: new Map<number, ModelTask>(),
  logs: new Map<number, LogLine[]>(),
  /** How the latest attempt ended: as its worker reported, or by maintenance. */
  lastSaid: new Map<number, Said | "revoked" | "lost">(),
  remembered: new Map<string, Answered>(),
  carriedOut: new Map<string, CarriedOut>(),
  changes: [] as ModelChange[],
});

export type Model = ReturnType<typeof createModel>;

export function createModel(rules: Rules, state = emptyState(rules.startAt)) {
  const { tasks, logs, lastSaid, remembered, carriedOut, changes } = state;

  const all = (): ModelTask[] => [...tasks.values()];
  const isLive = (task: ModelTask): boolean => task.status === "pending" || task.status === "running";
  const holderOf = (key: string | null): ModelTask | undefined =>
    key === null ? undefined : all().find((task) => task.key === key && isLive(task));

  function changed(task: ModelTask, kind: ModelChange["kind"] = "changed"): void {
    if (kind === "changed") {
      task.version += 1;
      task.updatedAt = state.now;
    }
    changes.push({ id: task.id, version: task.version, status: task.status, kind });
  }

  // ---- producers

  function create(specs: readonly Spec[], idempotency: { key: string; body: string } | null) {
    if (idempotency !== null) {
      const known = remembered.get(idempotency.key);
      if (known !== undefined && known.until > state.now) {
        return known.body === idempotency.body
          ? { tasks: known.ids, repeated: true }
          : "idempotency_mismatch";
      }
    }
    const ids = specs.map((spec) => {
      const holder = holderOf(spec.key);
      return holder === undefined ? { id: add(spec), existing: false } : { id: holder.id, existing: true };
    });
    if (idempotency !== null) {
      remembered.set(idempotency.key, { body: idempotency.body, until: state.now + DAY_MS, ids });
    }
    return { tasks: ids, repeated: false };
  }

  function add({ delayMs, ...spec }: Spec): number {
    const task: ModelTask = {
      ...spec,
      id: ++state.lastId,
      version: 1,
      runAt: state.now + delayMs,
      createdAt: state.now,
      updatedAt: state.now,
      claims: 0,
      token: null,
      attempt: 0,
      failures: 0,
      losses: 0,
      workedMs: 0,
      attempts: [],
      startedAt: null,
      progress: null,
      result: null,
      error: null,
      status: "pending",
      lease: null,
      finishedAt: null,
    };
    tasks.set(task.id, task);
    changed(task, "created");
    return task.id;
  }

  function edit(id: number, patch: Patch): ModelTask | string {
    const task = tasks.get(id);
    if (task === undefined) return "not_found";
    const always = ["name", "description", "tags", "labels"];
    if (task.status !== "pending" && Object.keys(patch).some((field) => !always.includes(field))) {
      return "wrong_status";
    }
    Object.assign(task, patch);
    changed(task);
    return task;
  }

  function cancel(id: number): ModelTask | string {
    const task = tasks.get(id);
    if (task === undefined) return "not_found";
    if (!isLive(task)) return "wrong_status";
    if (task.lease === null) {
      task.status = "cancelled";
      task.finishedAt = state.now;
      changed(task);
    } else if (task.lease.revokeAt === null) {
      task.lease = { ...task.lease, revokeAt: state.now + CANCEL_GRACE_MS };
      changed(task);
    }
    return task;
  }

  function retry(id: number): ModelTask | string {
    const task = tasks.get(id);
    if (task === undefined) return "not_found";
    if (isLive(task)) return "wrong_status";
    if (holderOf(task.key) !== undefined) return "key_taken";
    Object.assign(task, { status: "pending", runAt: state.now, finishedAt: null });
    Object.assign(task, { attempt: 0, failures: 0, losses: 0, progress: null, result: null, error: null });
    changed(task);
    return task;
  }

  function remove(id: number): "ok" | "not_found" {
    const task = tasks.get(id);
    if (task === undefined) return "not_found";
    tasks.delete(id);
    logs.delete(id);
    changed(task, "deleted");
    return "ok";
  }

  /** The same call with a key is executed once a day; a refused call may be repeated. */
  function once(key: string, fingerprint: string, step: () => ModelTask | string): unknown {
    const known = carriedOut.get(key);
    if (known !== undefined && known.until > state.now) {
      return known.fingerprint === fingerprint ? { earlier: known.task } : "idempotency_mismatch";
    }
    const answer = step();
    if (typeof answer === "string" && answer !== "ok") return answer;
    const task = typeof answer === "string" ? null : { status: answer.status, version: answer.version };
    carriedOut.set(key, { fingerprint, until: state.now + DAY_MS, task });
    return { first: answer };
  }

  // ---- workers

  const takes = (pattern: string, type: string): boolean =>
    pattern.at(-1) === "*" ? type.startsWith(pattern.slice(0, -1)) : type === pattern;

  function claim({ worker, types, max, leaseMs }: Wish): ModelTask[] {
    return all()
      .filter((task) => task.status === "pending" && task.runAt <= state.now)
      .filter((task) => types.some((pattern) => takes(pattern, task.type)))
      .sort((a, b) => b.priority - a.priority || a.runAt - b.runAt || a.id - b.id)
      .slice(0, max)
      .map((task) => {
        task.status = "running";
        task.claims += 1;
        task.token = `${task.claims}.n`;
        task.attempt += 1;
        task.startedAt = state.now;
        task.progress = null;
        task.lease = { worker, until: state.now + leaseMs, leaseMs, revokeAt: null };
        lastSaid.delete(task.id);
        changed(task);
        return task;
      });
  }

  const holds = (task: ModelTask | undefined, token: string): task is ModelTask =>
    task !== undefined && task.lease !== null && task.token === token;

  function extend({ id, token, progress, log }: ModelBeat): "ok" | "cancel" | "lost" {
    const task = tasks.get(id);
    if (!holds(task, token) || task.lease === null) return "lost";
    task.lease = { ...task.lease, until: Math.max(task.lease.until + 1, state.now + task.lease.leaseMs) };
    task.progress = progress ?? task.progress;
    const lines = logs.get(id) ?? [];
    for (const line of log) lines.push({ ...line, n: (lines.at(-1)?.n ?? 0) + 1, at: state.now });
    logs.set(id, lines.slice(-1_000));
    return task.lease.revokeAt === null ? "ok" : "cancel";
  }

  /** "either": a release after a revocation by maintenance cannot be distinguished from one before it. */
  function settle(id: number, token: string, said: Said): "ok" | "lease_lost" | "either" {
    const task = tasks.get(id);
    if (!holds(task, token)) return wasSaid(task, token, said);
    lastSaid.set(id, said);
    if (said.kind === "done" && Buffer.byteLength(said.result ?? "") <= MIB) finish(task, said.result);
    else if (said.kind === "done") fail(task, tooLarge(said.result ?? ""), null);
    else if (said.kind === "failed") fail(task, said.error, said.retryable ? said : null);
    else release(task, said.delayMs);
    changed(task);
    return "ok";
  }

  function wasSaid(task: ModelTask | undefined, token: string, said: Said): "ok" | "lease_lost" | "either" {
    if (task === undefined || task.lease !== null || task.token !== token) return "lease_lost";
    const before = lastSaid.get(task.id);
    if (before === "revoked") return said.kind === "released" ? "either" : "lease_lost";
    if (before === undefined || before === "lost" || before.kind !== said.kind) return "lease_lost";
    if (before.kind !== "failed" || said.kind !== "failed") return "ok";
    const same = before.error.code === said.error.code && before.error.message === said.error.message;
    return same ? "ok" : "lease_lost";
  }

  const tooLarge = (result: string): Failure => ({
    code: "result_too_large",
    message: `The result has ${Buffer.byteLength(result)} bytes; at most ${MIB} are kept`,
  });

  function finish(task: ModelTask, result: string | null): void {
    endAttempt(task, "done", null);
    Object.assign(task, { status: "done", finishedAt: state.now, result, error: null });
    if (task.progress !== null) task.progress = { ...task.progress, percent: 100 };
  }

  function fail(task: ModelTask, error: Failure, again: { retryAfterMs: number | null } | null): void {
    if (task.lease?.revokeAt != null) {
      endAttempt(task, "cancelled", error);
      Object.assign(task, { status: "cancelled", finishedAt: state.now });
      return;
    }
    endAttempt(task, "failed", error);
    task.failures += 1;
    if (again === null || task.failures >= task.maxAttempts) {
      Object.assign(task, { status: "failed", finishedAt: state.now });
      return;
    }
    let ceiling = task.backoff.baseMs;
    for (let failure = 1; failure < task.failures; failure++) ceiling *= 2;
    ceiling = Math.min(ceiling, task.backoff.maxMs);
    task.status = "pending";
    task.runAt = state.now + (again.retryAfterMs ?? Math.floor(rules.random * ceiling));
  }

  function release(task: ModelTask, delayMs: number): void {
    if (task.lease?.revokeAt != null) {
      endAttempt(task, "cancelled", null);
      Object.assign(task, { status: "cancelled", finishedAt: state.now });
      return;
    }
    endAttempt(task, "released", null);
    Object.assign(task, { status: "pending", runAt: state.now + delayMs, attempt: task.attempt - 1 });
  }

  function endAttempt(
    task: ModelTask,
    outcome: ModelTask["attempts"][number]["outcome"],
    error: Failure | null,
    finishedAt = state.now,
  ): void {
    const startedAt = task.startedAt ?? Number.NaN;
    const worker = task.lease?.worker ?? "";
    task.attempts = [
      ...task.attempts,
      { attempt: task.attempt, worker, startedAt, finishedAt, outcome, error },
    ];
    if (task.attempts.length > 20) task.attempts.shift();
    task.workedMs += finishedAt - startedAt;
    task.error = error ?? task.error;
    task.lease = null;
  }

  // ---- maintenance

  function sweep(): { expired: number; removed: number } {
    const late = all().filter(isLate);
    for (const task of late) expire(task);
    const old = all().filter((task) => {
      const keepMs = task.status === "done" ? rules.keepDoneMs : rules.keepOthersMs;
      return task.finishedAt !== null && keepMs > 0 && task.finishedAt < state.now - keepMs;
    });
    for (const task of old) remove(task.id);
    return { expired: late.length, removed: old.length };
  }

  const isLate = ({ lease }: ModelTask): boolean =>
    lease !== null &&
    (isOver(lease.until, lease.leaseMs) ||
      (lease.revokeAt !== null && isOver(lease.revokeAt, CANCEL_GRACE_MS)));

  /** For half of a lease after the start, workers may not have been able to send a heartbeat. */
  const isOver = (end: number, lengthMs: number): boolean =>
    end <= state.now && state.now >= rules.startAt + lengthMs / 2;

  const endsAt = ({ lease }: ModelTask): number =>
    lease === null ? Number.POSITIVE_INFINITY : Math.min(lease.until, lease.revokeAt ?? lease.until);

  function expire(task: ModelTask): void {
    if (task.lease === null) return;
    const { until, revokeAt, worker } = task.lease;
    const workedUntil = Math.min(state.now, until);
    if (revokeAt !== null) {
      endAttempt(task, "cancelled", null, workedUntil);
      Object.assign(task, { status: "cancelled", finishedAt: state.now });
      lastSaid.set(task.id, "revoked");
    } else {
      task.losses += 1;
      const message = `Worker ${worker} sent no heartbeat before its lease ran out (loss ${task.losses} of 3)`;
      endAttempt(task, "lost", { code: "worker_lost", message }, workedUntil);
      if (task.losses < 3) Object.assign(task, { status: "pending", runAt: state.now });
      else Object.assign(task, { status: "failed", finishedAt: state.now });
      lastSaid.set(task.id, "lost");
    }
    changed(task);
  }

  // ---- readers

  function find(filter: Filter, order: Order): ModelTask[] {
    const byFinish = order.endsWith("finished_at");
    const found = all().filter(
      (task) =>
        (!byFinish || task.finishedAt !== null) &&
        (filter.statuses?.includes(task.status) ?? true) &&
        (filter.types?.some((pattern) => takes(pattern, task.type)) ?? true) &&
        (filter.tags?.every((tag) => task.tags.includes(tag)) ?? true) &&
        (filter.labels?.every((label) => labelsOf(task).includes(label)) ?? true) &&
        (filter.finishedBefore === undefined || (task.finishedAt ?? Infinity) < filter.finishedBefore) &&
        (filter.expiredAt === undefined || endsAt(task) <= filter.expiredAt) &&
        (filter.word === undefined || textOf(task).includes(filter.word)),
    );
    const finish = (task: ModelTask): number => (byFinish ? (task.finishedAt ?? 0) : 0);
    found.sort((a, b) => finish(a) - finish(b) || a.id - b.id);
    return order.startsWith("-") ? found.reverse() : found;
  }

  const labelsOf = ({ labels }: ModelTask): string[] =>
    Object.entries(labels).map(([name, value]) => `${name}:${value}`);

  const textOf = ({ name, description, payload }: ModelTask): string =>
    [name, description, PAYLOADS.get(payload)].join("\n").toLowerCase();

  return {
    create,
    edit,
    cancel,
    retry,
    remove,
    once,
    claim,
    extend,
    settle,
    sweep,
    find,
    get: (id: number): ModelTask | undefined => tasks.get(id),
    logOf: (id: number): LogLine[] => logs.get(id) ?? [],
    /** How the task's latest attempt ended, as its worker reported; null if the worker did not report. */
    saidOf: (id: number): Said | null => {
      const said = lastSaid.get(id);
      return said === undefined || said === "revoked" || said === "lost" ? null : said;
    },
    advance: (ms: number): void => {
      state.now += ms;
    },
    changes,
    rules,
    state,
    get now() {
      return state.now;
    },
    get lastId() {
      return state.lastId;
    },
  };
}

/** A copy of the model, to try a command on it. */
export const fork = ({ rules, state }: Model): Model => createModel(rules, structuredClone(state));
