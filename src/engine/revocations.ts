import type { Clock } from "../core/clock.ts";
import type { TaskId } from "../core/task.ts";
import { errorText, type Log } from "../lib/log.ts";
import type { Change, Position, TaskStore } from "../store/store.ts";

/** Something happened to a task; `version` is null when it is gone. */
export type Hint = { readonly id: TaskId; readonly version: number | null };

/** Hints wait this long for others, so that a busy store is not read for each commit. */
const GATHER_MS = 10;
const POLL_MS = 1_000;
const READ_AT_MOST = 1_000;

/**
 * Tells who listens which tasks have changed or gone, from the change log. Nobody reads it while nobody listens. What
 * is lost on the way (a change log that went on too far, a store that was away) the next heartbeat finds.
 */
export function createRevocations(setup: {
  readonly store: Pick<TaskStore, "changes" | "watch">;
  readonly clock: Clock;
  readonly log: Log;
}) {
  const { store, clock, log } = setup;
  const listeners = new Set<(hint: Hint) => void>();
  let position: Position | null = null;
  let unwatch = (): void => undefined;
  let cancelTimer = (): void => undefined;
  let scheduledFor = Number.POSITIVE_INFINITY;
  let reading = false;
  let rung = false; // since the latest read began

  function listen(listener: (hint: Hint) => void): () => void {
    listeners.add(listener);
    if (listeners.size === 1) begin();
    return () => {
      if (listeners.delete(listener) && listeners.size === 0) end();
    };
  }

  function begin(): void {
    unwatch = store.watch(() => {
      if (rung) return; // a read is coming, and a busy store rings thousands of times before it
      rung = true;
      readIn(GATHER_MS);
    });
    readIn(0);
  }

  function end(): void {
    unwatch();
    cancelTimer();
    position = null;
    rung = false;
    scheduledFor = Number.POSITIVE_INFINITY;
  }

  function readIn(delayMs: number): void {
    const at = clock.monotonic() + delayMs;
    if (reading || at >= scheduledFor) return;
    cancelTimer();
    scheduledFor = at;
    cancelTimer = clock.after(delayMs, () => void read());
  }

  async function read(): Promise<void> {
    scheduledFor = Number.POSITIVE_INFINITY;
    reading = true;
    rung = false;
    const again = await readSome().catch((error: unknown) => {
      log.warn("changes_failed", { error: errorText(error) });
      return false;
    });
    reading = false;
    if (listeners.size > 0) readIn(again || rung ? GATHER_MS : POLL_MS);
  }

  /** True when there was something to read, so that there may soon be more. */
  async function readSome(): Promise<boolean> {
    const page = await store.changes(position, READ_AT_MOST);
    position = page.position;
    if (page.kind === "gone") return true;
    for (const change of page.changes) tell(change);
    return page.changes.length > 0;
  }

  function tell(change: Change): void {
    if (change.kind === "created" || change.kind === "progress") return;
    const hint: Hint = { id: change.id, version: change.kind === "deleted" ? null : change.version };
    for (const listener of listeners) listener(hint);
  }

  return {
    listen,
    close: () => {
      listeners.clear();
      end();
    },
  };
}
