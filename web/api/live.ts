/**
 * Live events of the server. All tabs of a browser share one event stream, because a browser opens at most six connections to a
 * server over HTTP/1.1. One tab reads the stream (election.ts) and sends the events to the others through a BroadcastChannel. The
 * next reader continues after the last event that it received.
 */
import type { TaskState, WatchEvent } from "../../src/client/client.ts";
import { durationMs } from "../time/format.ts";
import { client } from "./client.ts";
import { type Connection, connection } from "./connection.ts";
import { createElection, type ElectionMessage } from "./election.ts";
import { stampReceived } from "./received.ts";

/** The events of a short interval; only the latest state of each task. */
export type LiveBatch = {
  readonly tasks: readonly TaskState[];
  readonly deleted: readonly number[];
  /** Events may have been missed: reload everything. */
  readonly reset: boolean;
};

type Message =
  | { readonly kind: "batch"; readonly batch: LiveBatch; readonly eventId: string }
  | { readonly kind: "connection"; readonly state: Connection };

const CHANNEL = "tasktrack.events";
/** A separate channel: an open tab of version 0.1.0 would mistake election messages for events. */
const ELECTION_CHANNEL = "tasktrack.reader";
/** Limits rendering to ten times a second, however many events arrive. */
const GATHER_MS = 100;
/** The pause after the server refuses the stream. Only an outdated page or a proxy causes that. */
const REFUSED_PAUSE_MS = 10_000;

const listeners = new Set<(batch: LiveBatch) => void>();

/** Calls the listener with each batch; returns a function that unsubscribes. */
export function onLive(listener: (batch: LiveBatch) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The latest state of each task by events: an event may arrive before the answer to an earlier request. */
const latest = new Map<number, TaskState>();
const LATEST_KEPT = 2_000;

/** Merges a newer state from the events into an answer. */
export function withLatest<T extends TaskState>(task: T): T {
  const told = latest.get(task.id);
  return told !== undefined && isNewer(told, task) ? stampReceived({ ...task, ...told }) : task;
}

/** Progress changes neither the version nor updated_at, but the duration of a running task grows. */
export const isNewer = (one: TaskState, other: TaskState): boolean =>
  one.version > other.version ||
  (one.version === other.version && durationMs(one.duration) > durationMs(other.duration));

let lastEventId = "";

function publish(batch: LiveBatch): void {
  for (const id of batch.deleted) latest.delete(id);
  for (const task of batch.tasks) {
    const known = latest.get(task.id);
    if (known !== undefined && isNewer(known, task)) continue; // from a former reader that is behind the current one
    latest.delete(task.id); // moves it to the end of the map; the first entry is the oldest
    latest.set(task.id, stampReceived(task));
  }
  for (const id of latest.keys()) {
    if (latest.size <= LATEST_KEPT) break;
    latest.delete(id);
  }
  for (const listener of listeners) listener(batch);
}

let started = false;

/** Starts once per page. */
export function startLive(): void {
  if (started) return;
  started = true;
  const channel = new BroadcastChannel(CHANNEL);
  const electionChannel = new BroadcastChannel(ELECTION_CHANNEL);
  const election = createElection({
    id: `${performance.timeOrigin} ${Math.random()}`, // crypto.randomUUID requires a secure context
    post: (message) => electionChannel.postMessage(message),
    after: (ms, run) => {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
    random: Math.random,
    read: (signal) => void read((message) => channel.postMessage(message), signal),
  });
  electionChannel.onmessage = ({ data }: MessageEvent<ElectionMessage>) => election.receive(data);
  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    election.hear();
    if (data.kind === "connection") return connection.set(data.state);
    lastEventId = data.eventId;
    publish(data.batch);
  };
  // The browser may keep a page in its back/forward cache and may freeze a hidden tab.
  addEventListener("pagehide", election.leave);
  addEventListener("pageshow", election.join);
  document.addEventListener("freeze", election.leave);
  document.addEventListener("resume", election.join);
  election.join();
}

/** Reads the stream until the signal aborts and sends the events to all tabs. */
async function read(share: (message: Message) => void, signal: AbortSignal): Promise<void> {
  const stopSharing = connection.subscribe(() => share({ kind: "connection", state: connection.get() }));
  signal.addEventListener("abort", stopSharing);
  const gather = createGatherer((batch) => {
    publish(batch);
    share({ kind: "batch", batch, eventId: lastEventId });
  });
  // Without a position in the event log, changes between the page's first requests and the start of the stream would be missed.
  // In that case everything is reloaded once the stream is connected.
  let isSure = lastEventId !== "";
  const onConnection = (isUp: boolean): void => {
    if (isSure || !isUp) return;
    isSure = true;
    gather({ kind: "reset", eventId: lastEventId });
  };
  while (!signal.aborted) {
    try {
      const since = lastEventId === "" ? {} : { since: lastEventId };
      for await (const event of client.watch({ ...since, onConnection, signal })) {
        lastEventId = event.eventId;
        gather(event);
      }
    } catch {
      await new Promise((resolve) => setTimeout(resolve, REFUSED_PAUSE_MS));
    }
  }
}

function createGatherer(flush: (batch: LiveBatch) => void): (event: WatchEvent) => void {
  let tasks = new Map<number, TaskState>();
  let deleted = new Set<number>();
  let reset = false;
  let isWaiting = false;

  const send = (): void => {
    isWaiting = false;
    const batch: LiveBatch = { tasks: [...tasks.values()], deleted: [...deleted], reset };
    tasks = new Map();
    deleted = new Set();
    reset = false;
    flush(batch);
  };

  return (event) => {
    if (event.kind === "task") tasks.set(event.task.id, event.task);
    if (event.kind === "deleted") {
      tasks.delete(event.id);
      deleted.add(event.id);
    }
    if (event.kind === "reset") reset = true;
    if (!isWaiting) setTimeout(send, GATHER_MS);
    isWaiting = true;
  };
}
