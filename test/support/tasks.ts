import type { EndedStatus, EndedTask, Lease, PendingTask, RunningTask } from "../../src/core/task.ts";

/** The time of the sample tasks. */
export const NOON = Date.UTC(2026, 0, 1, 12);

const FIELDS = {
  id: 7,
  version: 5,
  name: "name",
  description: "description",
  type: "work",
  payload: null,
  priority: 0,
  tags: [],
  labels: {},
  key: null,
  runAt: NOON - 60_000,
  timeoutMs: null,
  maxAttempts: 3,
  backoff: { baseMs: 1_000, maxMs: 60_000 },
  createdAt: NOON - 60_000,
  updatedAt: NOON - 30_000,
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
} as const;

export type Fields<T> = Partial<Omit<T, "status" | "lease">>;

/** A task that has never run and is due. */
export const pendingTask = (fields: Fields<PendingTask> = {}): PendingTask =>
  deepFreeze({ ...FIELDS, status: "pending", lease: null, finishedAt: null, ...fields });

/** A task in its first attempt, begun ten seconds ago by "worker-1" with token "1.a" for thirty seconds. */
export const runningTask = (fields: Fields<RunningTask> = {}, lease: Partial<Lease> = {}): RunningTask =>
  deepFreeze({
    ...FIELDS,
    status: "running",
    lease: { worker: "worker-1", until: NOON + 20_000, leaseMs: 30_000, revokeAt: null, ...lease },
    finishedAt: null,
    claims: 1,
    token: "1.a",
    attempt: 1,
    startedAt: NOON - 10_000,
    ...fields,
  });

/** A task that has ended, by default after one attempt. */
export const endedTask = (status: EndedStatus, fields: Fields<EndedTask> = {}): EndedTask =>
  deepFreeze({
    ...FIELDS,
    status,
    lease: null,
    finishedAt: NOON - 5_000,
    claims: 1,
    token: "1.a",
    attempt: 1,
    startedAt: NOON - 10_000,
    workedMs: 5_000,
    ...fields,
  });

/** Freezes a value deeply, so that code that changes it throws. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    Object.freeze(value);
    for (const member of Object.values(value)) deepFreeze(member);
  }
  return value;
}
