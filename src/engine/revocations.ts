import type { TaskId } from "../core/task.ts";
import type { Change } from "../store/store.ts";
import type { Tail } from "./tail.ts";

/** Something happened to a task; `version` is null when it is gone. */
export type Hint = { readonly id: TaskId; readonly version: number | null };

/**
 * Tells who listens which tasks have changed or gone. What is lost on the way (a change log that went on too far, a store
 * that was away) the next heartbeat finds.
 */
export const listenForRevocations = (tail: Tail, listener: (hint: Hint) => void): (() => void) =>
  tail.listen(({ changes }) => {
    for (const change of changes) {
      if (change.kind === "changed" || change.kind === "deleted") listener(hintOf(change));
    }
  });

const hintOf = ({ id, version, kind }: Change): Hint => ({
  id,
  version: kind === "deleted" ? null : version,
});
