import { parseDurationMs } from "../../core/duration.ts";
import type { Claimed, ClaimedTask } from "../../processor/source.ts";
import type { LeasedTask } from "../work.ts";

/** Tasks that have arrived with their leases, and that the processor has not taken yet. */
export interface LeasedTasks {
  /** @param sentAt when their request was sent; monotonic */
  add(tasks: readonly LeasedTask[], sentAt: number): void;
  /** Up to `max` tasks of one answer; null if there are none. */
  take(max: number): Claimed | null;
  takeAll(): readonly ClaimedTask[];
  readonly isEmpty: boolean;
}

export function createLeasedTasks(leaseMs: number): LeasedTasks {
  const arrived: Claimed[] = [];

  /** A lease that was granted to an earlier attempt of the request began before this attempt was sent. */
  const leasedAtOf = (lease: LeasedTask["lease"], sentAt: number): number =>
    sentAt + (parseDurationMs(lease.expires_in) ?? leaseMs) - leaseMs;

  return {
    add: (tasks, sentAt) => {
      if (tasks.length === 0) return;
      const leasedAt = Math.min(sentAt, ...tasks.map(({ lease }) => leasedAtOf(lease, sentAt)));
      arrived.push({ tasks: tasks.map(claimedTask), leasedAt });
    },
    take: (max) => {
      const first = arrived.shift();
      if (first === undefined) return null;
      const { tasks, leasedAt } = first;
      if (tasks.length > max) arrived.unshift({ tasks: tasks.slice(max), leasedAt });
      return { tasks: tasks.slice(0, max), leasedAt };
    },
    takeAll: () => arrived.splice(0).flatMap(({ tasks }) => tasks),
    get isEmpty() {
      return arrived.length === 0;
    },
  };
}

const claimedTask = (task: LeasedTask): ClaimedTask => ({
  id: task.id,
  version: task.version,
  name: task.name,
  description: task.description,
  type: task.type,
  payload: task.payloadText,
  tags: task.tags,
  labels: task.labels ?? {},
  timeoutMs: task.timeout === null ? null : parseDurationMs(task.timeout),
  attempt: task.attempt,
  losses: lossesOf(task.attempts),
  token: task.lease.token,
  createdAt: Date.parse(task.created_at),
});

/** The API has no count of lost attempts. The latest ones are in the history. */
const lossesOf = (attempts: LeasedTask["attempts"]): number =>
  attempts.length - 1 - attempts.findLastIndex(({ outcome }) => outcome !== "lost");
