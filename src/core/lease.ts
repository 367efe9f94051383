/** The times of a lease, and of the cancel request of a running task. */
import type { Lease, Task } from "./task.ts";

/** How long a handler may continue after a cancel request before its lease is revoked. */
export const CANCEL_GRACE_MS = 30_000;

/** The end of a lease that is renewed now. */
export const renewedUntil = ({ until, leaseMs }: Pick<Lease, "until" | "leaseMs">, now: number): number =>
  endsTooLate(until, leaseMs, now) ? now + leaseMs : Math.max(until + 1, now + leaseMs);

/**
 * A lease is never renewed for more than one length from now, so a later end shows that the clock was set back. The second length
 * allows for clocks that differ.
 */
export const endsTooLate = (end: number, lengthMs: number, now: number): boolean => end > now + 2 * lengthMs;

/** Whether the clock was set back so far that the end of the lease, or of the grace of its cancel request, is meaningless. */
export const isOverlong = ({ lease }: { readonly lease: Lease }, now: number): boolean =>
  endsTooLate(lease.until, lease.leaseMs, now) ||
  (lease.revokeAt !== null && endsTooLate(lease.revokeAt, CANCEL_GRACE_MS, now));

/** Whether the worker should be asked to stop. */
export const isCancelRequested = (task: Pick<Task, "lease">): boolean =>
  task.lease !== null && task.lease.revokeAt !== null;

/** Whether `expire` would change a task that runs under this lease. */
export const isOver = (task: { readonly lease: Lease }, now: number): boolean =>
  expiresAt(task) <= now || isOverlong(task, now);

/** The earliest time at which `expire` would change the task, unless the clock is set back. Stores find due running tasks by it. */
export const expiresAt = (task: { readonly lease: Lease }): number =>
  task.lease.revokeAt === null ? task.lease.until : Math.min(task.lease.until, task.lease.revokeAt);
