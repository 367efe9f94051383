/** The end of a worker's claims: the server ends the unanswered claims, and tasks that were not started are released. */
import { errorText, type Log } from "../../lib/log.ts";
import type { ClaimedTask } from "../../processor/source.ts";
import { isRefusal } from "../error.ts";
import type { WorkCalls } from "../work.ts";

export interface Leave {
  /** Stops claiming: the server ends the claims without an answer, and takes back their tasks. May be called twice. */
  leave(): void;
  readonly isLeaving: boolean;
  /** Aborts when unanswered claims must end. */
  readonly signal: AbortSignal;
  /** Resolves when the server has ended the claims, or could not be reached in time; at once before `leave`. */
  left(): Promise<void>;
  /** Releases tasks that were not started. Never rejects. */
  giveBack(tasks: readonly ClaimedTask[]): Promise<void>;
}

export type LeaveSetup = {
  readonly calls: WorkCalls;
  readonly worker: string;
  readonly leaseMs: number;
  readonly log: Log;
  /** The request ids of the claims without an answer. */
  readonly unanswered: ReadonlySet<string>;
};

/** A server that does not answer delays the end of a worker by at most this time. */
const LEAVE_WITHIN_MS = 3_000;

export function createLeave({ calls, worker, leaseMs, log, unanswered }: LeaveSetup): Leave {
  const leaving = new AbortController();
  let isLeaving = false;
  let left: Promise<void> = Promise.resolve();

  /**
   * Calls the server, because a proxy may keep a claim open after its client has disconnected: the claim would take a task that no
   * worker runs. A server of version 0.1.0 does not have this call. There the worker closes the claim's connection, and then sends
   * a heartbeat: when it is answered, the server has seen the end of the claim, and the claim cannot get the tasks that this
   * worker releases.
   */
  async function endClaims(): Promise<void> {
    const withinMs = Math.min(LEAVE_WITHIN_MS, leaseMs / 3);
    const hasAnswered = await calls.leave(worker, [...unanswered], withinMs).then(
      () => true,
      () => false,
    );
    leaving.abort();
    if (!hasAnswered) await calls.heartbeat(worker, [], withinMs).then(ignore, ignore);
  }

  const release = ({ id, token }: ClaimedTask): Promise<void> =>
    calls.release(id, { token }).catch((error: unknown) => {
      if (isRefusal(error) && error.code === "lease_lost") return; // the server has taken it back already
      log.warn("give_back_failed", { task_id: id, error: errorText(error) }); // its lease ends by itself
    });

  return {
    leave: () => {
      if (isLeaving) return;
      isLeaving = true;
      if (unanswered.size > 0) left = endClaims();
      else leaving.abort();
    },
    get isLeaving() {
      return isLeaving;
    },
    signal: leaving.signal,
    left: () => left,
    giveBack: async (tasks) => {
      await left;
      await Promise.all(tasks.map(release));
    },
  };
}

const ignore = (): void => undefined;
