/**
 * The follower that publishes each change of a task through a broker, at least once and in order for each task. Nothing is published
 * where tasks are changed, so a crash between the commit and the broker loses nothing: the change is in the log.
 */
import type { EventOutput, TaskEvent } from "../broker/event-output.ts";
import type { TaskId } from "../core/task.ts";
import type { Service } from "../lib/service.ts";
import { abortWithin } from "../lib/waiting.ts";
import type { Change } from "../store/store.ts";
import { createFollower, type FollowerSetup } from "./follower.ts";
import type { Watchers } from "./watchers.ts";

export type EventPublisherSetup = Omit<FollowerSetup, "name" | "handle" | "engine"> & {
  readonly engine: FollowerSetup["engine"] & Pick<Watchers, "readMany">;
  readonly output: EventOutput;
};

/** A broker that takes longer to confirm a page is treated as one that does not answer. */
const PUBLISH_WITHIN_MS = 10_000;
/** Ten megabytes at most. The store is asked again for the types of forgotten tasks. */
const TYPES_REMEMBERED = 100_000;

export function createEventPublisher(setup: EventPublisherSetup): Service {
  const { engine, output, clock } = setup;
  const types = new Map<TaskId, string>(); // the oldest first

  /** Progress is left out: it is not a step of a task, comes once a second from each running task, and is outdated when it is read. */
  async function eventsOf(changes: readonly Change[]): Promise<TaskEvent[]> {
    const steps = changes.filter(({ kind }) => kind !== "progress");
    await learnTypes(steps);
    const events = steps.map((step) => eventOf(step, types.get(step.id) ?? null));
    forgetTypes(steps);
    return events;
  }

  /** The log does not contain types, and the store does not know the types of deleted tasks. */
  async function learnTypes(steps: readonly Change[]): Promise<void> {
    const unknown = steps.filter(({ id, kind }) => kind !== "deleted" && !types.has(id)).map(({ id }) => id);
    if (unknown.length === 0) return;
    for (const [id, { type }] of await engine.readMany(unknown, "head")) types.set(id, type);
  }

  function forgetTypes(steps: readonly Change[]): void {
    for (const { id, kind } of steps) if (kind === "deleted") types.delete(id);
    for (const id of types.keys()) {
      if (types.size <= TYPES_REMEMBERED) return;
      types.delete(id);
    }
  }

  const handle: FollowerSetup["handle"] = async (changes, signal, assertHeld) => {
    const events = await eventsOf(changes);
    if (events.length === 0) return false;
    const publishing = abortWithin(clock, PUBLISH_WITHIN_MS, signal);
    try {
      assertHeld();
      await output.publish(events, publishing.signal);
    } finally {
      publishing.unlink();
    }
    return true;
  };

  return createFollower({ ...setup, name: "events", handle });
}

function eventOf({ id, kind, status, version }: Change, type: string | null): TaskEvent {
  const isLife = kind === "created" || kind === "deleted";
  return { event: isLife ? `task.${kind}` : `task.${status}`, id, type, status, version };
}
