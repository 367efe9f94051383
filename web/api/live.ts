/**
 * What happens on the server, as it happens: one stream of events a browser, however many of its tabs show TaskTrack, for a browser
 * opens no more than six connections to a server over HTTP/1.1. One tab reads the stream (election.ts) and tells the others through
 * a BroadcastChannel; the tab that follows it goes on behind the last event that it heard of.
 */
import type { TaskState, WatchEvent } from "../../src/client/client.ts";
import { durationMs } from "../time/format.ts";
import { client } from "./client.ts";
import { type Connection, connection } from "./connection.ts";
import { type Ballot, createElection } from "./election.ts";
import { stampReceived } from "./received.ts";

/** Several events told at once; of each task only the latest. */
export type LiveBatch = {
  readonly tasks: readonly TaskState[];
  readonly deleted: readonly number[];
  /** Something may have been missed: read everything anew. */
  readonly reset: boolean;
};

type Message =
  | { readonly kind: "batch"; readonly batch: LiveBatch; readonly eventId: string }
  | { readonly kind: "connection"; readonly state: Connection };

const CHANNEL = "tasktrack.events";
/** A channel of its own: a tab of version 0.1.0 that is still open would take a ballot for events. */
const ELECTION_CHANNEL = "tasktrack.reader";
/** So that a thousand events a second redraw a page ten times. */
const GATHER_MS = 100;
/** After a refusal of the stream itself, which only an outdated page or a stranger's proxy brings. */
const REFUSED_PAUSE_MS = 10_000;

const listeners = new Set<(batch: LiveBatch) => void>();

/** Calls with each batch from now on; returns how to stop. */
export function onLive(listener: (batch: LiveBatch) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The latest known state of each task, for an answer that was under way while an event overtook it. */
const latest = new Map<number, TaskState>();
const LATEST_KEPT = 2_000;

/** Puts what the events told later over an answer. */
export function withLatest<T extends TaskState>(task: T): T {
  const told = latest.get(task.id);
  return told !== undefined && isNewer(told, task) ? stampReceived({ ...task, ...told }) : task;
}

/** Progress leaves version and times of change alone; but while a task runs, its duration grows. */
export const isNewer = (one: TaskState, other: TaskState): boolean =>
  one.version > other.version ||
  (one.version === other.version && durationMs(one.duration) > durationMs(other.duration));

let lastEventId = "";

function tell(batch: LiveBatch): void {
  for (const id of batch.deleted) latest.delete(id);
  for (const task of batch.tasks) {
    const known = latest.get(task.id);
    if (known !== undefined && isNewer(known, task)) continue; // of a reader that lags behind its successor
    latest.delete(task.id); // to the end of the order, the oldest goes first
    latest.set(task.id, stampReceived(task));
  }
  for (const id of latest.keys()) {
    if (latest.size <= LATEST_KEPT) break;
    latest.delete(id);
  }
  for (const listener of listeners) listener(batch);
}

let started = false;

/** Begins, once a page. */
export function startLive(): void {
  if (started) return;
  started = true;
  const channel = new BroadcastChannel(CHANNEL);
  const ballots = new BroadcastChannel(ELECTION_CHANNEL);
  const election = createElection({
    id: `${performance.timeOrigin} ${Math.random()}`, // crypto.randomUUID needs a secure context
    post: (ballot) => ballots.postMessage(ballot),
    after: (ms, run) => {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
    random: Math.random,
    read: (signal) => void read((message) => channel.postMessage(message), signal),
  });
  ballots.onmessage = ({ data }: MessageEvent<Ballot>) => election.receive(data);
  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    election.hear();
    if (data.kind === "connection") return connection.set(data.state);
    lastEventId = data.eventId;
    tell(data.batch);
  };
  // The browser may keep a page that was left and show it again, and may freeze a hidden tab.
  addEventListener("pagehide", election.leave);
  addEventListener("pageshow", election.join);
  document.addEventListener("freeze", election.leave);
  document.addEventListener("resume", election.join);
  election.join();
}

/** Reads the stream until the signal aborts, and tells all tabs. */
async function read(share: (message: Message) => void, signal: AbortSignal): Promise<void> {
  const stopSharing = connection.subscribe(() => share({ kind: "connection", state: connection.get() }));
  signal.addEventListener("abort", stopSharing);
  const gather = createGatherer((batch) => {
    tell(batch);
    share({ kind: "batch", batch, eventId: lastEventId });
  });
  // No event tells of a change between the read of a page and the opening of the stream. So a stream that begins without a
  // position in the log makes all pages read again once it is open.
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
