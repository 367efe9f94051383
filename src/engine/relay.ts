/**
 * Tells the world what happens to tasks: reads the change log and publishes each change through a broker, at least once and in
 * order for each task. Of all processes on the store one does it, who holds the cursor `events`. Nothing is published from
 * where tasks are changed, so a crash between the commit and the broker loses nothing: the change stands in the log, and the
 * next holder begins behind the last one that the broker has confirmed.
 */

import type { EventOutlet, TaskEvent } from "../broker/event-output.ts";
import type { Clock } from "../core/clock.ts";
import type { TaskId } from "../core/task.ts";
import { createBackoff } from "../lib/backoff.ts";
import { errorText, type Log } from "../lib/log.ts";
import { createLoop } from "../lib/loop.ts";
import { abortWithin, linkedAbort, onAbort, sleep } from "../lib/waiting.ts";
import type { Change, ChangePage, Position, TaskStore } from "../store/store.ts";
import { type CursorHold, createCursor } from "./cursor.ts";
import type { Engine } from "./engine.ts";

export interface Relay {
  /** Resolves when the place is marked from which on every change will be published. */
  start(): Promise<void>;
  /** Publishes what has happened up to now, for so long at most, and gives the cursor free; safe twice. */
  stop(withinMs: number): Promise<void>;
}

export type RelaySetup = {
  readonly engine: Pick<Engine, "follow" | "look" | "position" | "now">;
  readonly store: Pick<TaskStore, "changes" | "readNotes" | "writeNotes">;
  readonly outlet: EventOutlet;
  /** Names this process among those on the store. */
  readonly holder: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Log;
};

type Changes = Extract<ChangePage, { kind: "changes" }>;
type Gone = Extract<ChangePage, { kind: "gone" }>;

/** After a page that was not full, so that a busy store's changes cost twenty writes of the cursor a second, not a thousand. */
const GATHER_MS = 50;
/** A broker that takes longer to confirm a page is taken for one that does not answer. */
const PUBLISH_WITHIN_MS = 10_000;
const RETRY_FIRST_MS = 500;
const RETRY_LATEST_MS = 5_000;
/** Ten megabytes at most; of who is forgotten the store is asked again. */
const TYPES_REMEMBERED = 100_000;

export function createRelay(setup: RelaySetup): Relay {
  const { engine, outlet, clock, log } = setup;
  const cursor = createCursor({
    name: "events",
    holder: setup.holder,
    leaseMs: setup.leaseMs,
    store: setup.store,
    end: engine.position,
    now: engine.now,
    clock,
  });
  const types = new Map<TaskId, string>(); // the oldest first
  const stopping = new AbortController();
  let position: Position | null = null; // while this process holds the cursor
  let lastPosition: Position | null = null; // nothing behind it is published once the relay stops
  const backoff = createBackoff({ firstMs: RETRY_FIRST_MS, longestMs: RETRY_LATEST_MS });

  // ---- one hold of the cursor after the other

  const relaying = createLoop({
    after: clock.after,
    round: async () => {
      const taken = await cursor.take();
      if (typeof taken === "number") return taken;
      try {
        await relay(taken);
      } finally {
        position = null;
        await taken.letGo();
      }
      return RETRY_FIRST_MS; // the hold was lost
    },
    onError: (error) => {
      if (backoff.failures === 0 && !stopping.signal.aborted) {
        log.warn("events_failed", { error: errorText(error) });
      }
      return backoff.failed();
    },
  });

  /** Publishes until the hold is lost or the relay stops; rejects when the broker, or the store, does. */
  async function relay(hold: CursorHold): Promise<void> {
    const over = linkedAbort(hold.over, stopping.signal);
    sayMoved(hold);
    try {
      for (let from: Position | null = hold.position; from !== null; ) {
        from = await relayFrom(from, hold, over.signal);
      }
    } finally {
      over.unlink();
    }
  }

  /**
   * Resolves with the position to continue from when the log does not reach back to the last published event; null when the lease
   * is over.
   */
  async function relayFrom(from: Position, hold: CursorHold, over: AbortSignal): Promise<Position | null> {
    const reader = engine.follow(from);
    const unlisten = onAbort(over, reader.close);
    moveTo(from);
    try {
      for (let page = await reader.next(); page !== null; page = await reader.next()) {
        if (page.kind === "gone") return await skip(page, hold);
        await relayPage(page, hold, over);
        moveTo(page.position);
        await sleep(clock, GATHER_MS, over);
      }
      return null;
    } finally {
      unlisten();
      reader.close();
    }
  }

  /**
   * In a new epoch the cursor is acquired again, because it knows the position to continue from. Changes that the log no longer
   * has are skipped.
   */
  async function skip(page: Gone, hold: CursorHold): Promise<Position | null> {
    if (page.position.epoch !== hold.position.epoch) {
      hold.abandon();
      return null;
    }
    log.warn("events_missed", {
      message:
        "The change log does not reach back to what was published last: the oldest changes that it has come next",
      after_rev: hold.position.rev,
      up_to_rev: page.oldest.rev,
    });
    await hold.advance(page.oldest);
    return page.oldest;
  }

  /** Some events are published twice then. If the store lost its latest writes, some published events describe changes that are lost. */
  function sayMoved({ movedFrom, position: { rev } }: CursorHold): void {
    if (movedFrom === null) return;
    log.warn("events_new_epoch", {
      message: "The store was restarted, or another server took over: events go on from a little before",
      after_rev: movedFrom.rev,
      from_rev: rev,
    });
  }

  async function relayPage(page: Changes, hold: CursorHold, over: AbortSignal): Promise<void> {
    const events = await eventsOf(page.changes);
    if (events.length === 0) return hold.pass(page.position);
    await publish(events, hold, over);
    await hold.advance(page.position);
  }

  async function publish(events: readonly TaskEvent[], hold: CursorHold, over: AbortSignal): Promise<void> {
    const publishing = abortWithin(clock, PUBLISH_WITHIN_MS, over);
    try {
      if (!hold.isHeld()) throw new Error("the lease of the cursor ran out before its holder could publish");
      await outlet.publish(events, publishing.signal);
    } finally {
      publishing.unlink();
    }
    if (backoff.failures > 0) log.info("events_go_on");
    backoff.reset();
  }

  function moveTo(next: Position): void {
    position = next;
    if (lastPosition !== null && isReached(next, lastPosition)) stopping.abort();
  }

  // ---- from a change to an event

  /** Progress is left out: it is no step of a task, comes once a second from each that runs, and is old when it is read. */
  async function eventsOf(changes: readonly Change[]): Promise<TaskEvent[]> {
    const steps = changes.filter(({ kind }) => kind !== "progress");
    await learnTypes(steps);
    const events = steps.map(eventOf);
    forgetTypes(steps);
    return events;
  }

  /** The log does not say them. What is deleted cannot be asked any more. */
  async function learnTypes(steps: readonly Change[]): Promise<void> {
    const unknown = steps.filter(({ id, kind }) => kind !== "deleted" && !types.has(id)).map(({ id }) => id);
    if (unknown.length === 0) return;
    for (const [id, { type }] of await engine.look(unknown, "head")) types.set(id, type);
  }

  function forgetTypes(steps: readonly Change[]): void {
    for (const { id, kind } of steps) if (kind === "deleted") types.delete(id);
    for (const id of types.keys()) {
      if (types.size <= TYPES_REMEMBERED) return;
      types.delete(id);
    }
  }

  function eventOf({ id, kind, status, version }: Change): TaskEvent {
    const event: TaskEvent["event"] =
      kind === "created" || kind === "deleted" ? `task.${kind}` : `task.${status}`;
    return { event, id, type: types.get(id) ?? null, status, version };
  }

  // ---- its own begin and end

  /** Where others hold the cursor, or the store cannot say how far there is to go, there is nothing to wait for. */
  async function aimForEnd(): Promise<void> {
    if (position !== null) lastPosition = await engine.position().catch(() => position);
    if (position === null) stopping.abort();
    else moveTo(position);
  }

  return {
    start: async () => {
      await cursor.mark();
      relaying.start();
    },
    stop: async (withinMs) => {
      void aimForEnd();
      await sleep(clock, withinMs, stopping.signal);
      stopping.abort();
      await relaying.stop();
    },
  };
}

/** Of two epochs nobody knows which came first. */
const isReached = (position: Position, target: Position): boolean =>
  position.epoch === target.epoch && position.rev >= target.rev;
