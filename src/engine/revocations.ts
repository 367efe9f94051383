import type { TaskId } from "../core/task.ts";
import type { Change } from "../store/store.ts";
import type { ChangeFeed } from "./change-feed.ts";

/** A task has changed; `version` is null if it was deleted. */
export type Hint = { readonly id: TaskId; readonly version: number | null };

/**
 * Calls the listener for tasks that have changed or were deleted. A change may be missed, because the log
 * no longer reached back or the store was unavailable: then the next heartbeat finds it. `onMissed` is called after the first read, and when
 * the log no longer reached back: earlier changes are not known.
 */
export const listenForRevocations = (
  feed: ChangeFeed,
  listener: (hint: Hint) => void,
  onMissed: () => void = () => undefined,
): (() => void) =>
  feed.listen(({ changes, missed }) => {
    if (missed) onMissed();
    for (const change of changes) {
      if (change.kind === "changed" || change.kind === "deleted") listener(hintOf(change));
    }
  }, "revocations");

const hintOf = ({ id, version, kind }: Change): Hint => ({
  id,
  version: kind === "deleted" ? null : version,
});
