import type { Clock } from "../../core/clock.ts";
import { TaskError } from "../../core/error.ts";
import type { Answer, Call, ThreadResponse, Verb, Verbs } from "./calls.ts";
import { errorOf } from "./refusals.ts";

/** The thread that holds a file, as its callers see it. */
export interface Thread {
  /** Calls are carried out in their order. Rejects with the error that the thread has thrown, or when the thread has died. */
  call<V extends Verb>(verb: V, ...args: Parameters<Verbs[V]>): Promise<ReturnType<Verbs[V]>>;
  /** Why the thread does not answer, or null while it does. */
  fault(): string | null;
  /** Ends the thread at once; calls that wait for an answer are rejected. */
  stop(): void;
}

export type ThreadSetup = {
  readonly clock: Pick<Clock, "monotonic">;
  /** A commit has changed something; the types that it made due. Comes before the commit's answers. */
  readonly onCommit: (due: readonly string[]) => void;
  readonly onComplaint: (message: string) => void;
  readonly onDeath: (reason: string) => void;
  /** The URL of the thread's code. */
  readonly entry?: string;
};

type Pending = {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly since: number;
};

/** A call that waits longer than this means that the disk does not answer. */
const STUCK_MS = 5_000;

/**
 * In a single-file executable the folders of the source are below the root of the executable, and this file is not among them: build it with
 * `bun build --compile src/main.ts src/store/sqlite/thread-entry.ts`.
 */
function entryUrl(): string {
  const isCompiled = /\/\$bunfs\/|~BUN/.test(import.meta.url);
  return new URL(isCompiled ? "./store/sqlite/thread-entry.ts" : "./thread-entry.ts", import.meta.url).href;
}

export function startThread(setup: ThreadSetup): Thread {
  const { clock } = setup;
  const worker = new Worker(setup.entry ?? entryUrl());
  const pending = new Map<number, Pending>();
  let lastId = 0;
  let outbox: Call[] = [];
  let gone: string | null = null;

  worker.onmessage = ({ data }: MessageEvent<string>) => onResponse(JSON.parse(data) as ThreadResponse); // thread-entry.ts has written it
  worker.addEventListener("error", ({ message }) => die(message));
  worker.addEventListener("close", () => die("it has ended"));

  function call<V extends Verb>(verb: V, ...args: Parameters<Verbs[V]>): Promise<ReturnType<Verbs[V]>> {
    return new Promise((resolve, reject) => {
      if (gone !== null) return reject(unavailable(gone));
      const id = ++lastId;
      // The thread answers each call with the value of its verb, and a verb has its own arguments: the casts below say so.
      pending.set(id, { resolve: resolve as (value: unknown) => void, reject, since: clock.monotonic() });
      if (outbox.push([id, verb, args] as unknown as Call) === 1) queueMicrotask(send);
    });
  }

  /** All calls of one turn go in one message. */
  function send(): void {
    const calls = outbox;
    outbox = [];
    if (gone === null) worker.postMessage(JSON.stringify(calls));
  }

  function onResponse({ answers, due, complaint }: ThreadResponse): void {
    if (due !== null) setup.onCommit(due);
    if (complaint !== undefined) setup.onComplaint(complaint);
    for (const answer of answers) settle(answer);
  }

  function settle(answer: Answer): void {
    const waiting = pending.get(answer.id);
    pending.delete(answer.id);
    if ("fault" in answer) waiting?.reject(errorOf(answer.fault));
    else waiting?.resolve(answer.value);
  }

  function die(reason: string): void {
    if (gone !== null) return;
    setup.onDeath(reason);
    end(`The thread that holds the file has died: ${reason}`);
  }

  function end(reason: string): void {
    if (gone !== null) return;
    gone = reason;
    worker.terminate();
    for (const { reject } of pending.values()) reject(unavailable(reason));
    pending.clear();
  }

  function fault(): string | null {
    if (gone !== null) return gone;
    const [oldest] = pending.values();
    const isStuck = oldest !== undefined && clock.monotonic() - oldest.since > STUCK_MS;
    return isStuck ? `The disk has not answered for ${STUCK_MS / 1_000} seconds` : null;
  }

  return { call, fault, stop: () => end("The store is closed") };
}

const unavailable = (reason: string): TaskError => new TaskError("store_unavailable", reason);
