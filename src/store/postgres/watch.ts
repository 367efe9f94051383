/**
 * Wake-ups after commits. A commit of this process calls its watchers at once. Other processes get a NOTIFY, which is sent after the commit and
 * in a transaction of its own: inside the transaction it would queue all commits of the database behind one lock. Many commits share one
 * NOTIFY. Where a connection pooler lets no notification through, the end of the change log is read once a second.
 *
 * A NOTIFY wakes the backends of all listening processes, whatever its channel, so a commit that makes no task due and revokes no lease is only
 * notified while some process needs every commit. Such a process says so, and repeats it.
 */
import type { Clock } from "../../core/clock.ts";
import { type DueTypes, NONE_DUE } from "../../core/due.ts";
import { errorText, type Log } from "../../lib/log.ts";
import { createLoop } from "../../lib/loop.ts";
import { noticeWord, readNotification } from "../notice.ts";
import type { CommitNotice, Watcher, WatcherNeeds } from "../store.ts";
import type { Pool } from "./pool.ts";
import { statement } from "./statement.ts";

const POLL_MS = 1_000;
/** PostgreSQL takes payloads of up to 8,000 bytes; types are short, and null stands for any type. */
const PAYLOAD_BYTES = 7_000;
/** Sent by a process that needs every commit. */
const NEEDS_EVERY = ":every";
/** Asks the processes that need every commit to say so. */
const ASKS = ":ask";
/** The notice of commits with too many types to name them. */
const ALL_MAY_BE_DUE = ":r::";
const SAID_EVERY_MS = 20_000;
const BELIEVED_FOR_MS = 60_000;
/** The time for the answers to a question; until then every commit is notified. */
const ASKED_FOR_MS = 5_000;

const sendNotification = statement("SELECT pg_notify($channel, $payload) AS notified");

type SenderSetup = {
  readonly pool: Pool;
  readonly channel: string;
  /** Distinguishes notifications of this process from those of others. */
  readonly name: string;
  readonly log: Log;
};

/** Sends one NOTIFY at a time: the commits that come meanwhile share the next one. */
function createSender({ pool, channel, name, log }: SenderSetup) {
  const words: string[] = []; // NEEDS_EVERY and ASKS, which are sent alone
  let commits: { readonly due: Map<string, number>; mayRevoke: boolean } | null = null;
  let isSending = false;
  let sent = 0;

  function committed(due: DueTypes, mayRevoke: boolean): void {
    commits ??= { due: new Map(), mayRevoke: false };
    for (const [type, count] of due) commits.due.set(type, (commits.due.get(type) ?? 0) + count);
    commits.mayRevoke ||= mayRevoke;
    if (!isSending) void send();
  }

  function say(word: string): void {
    if (pool.isBounced) return;
    words.push(`${name} ${word}`);
    if (!isSending) void send();
  }

  async function send(): Promise<void> {
    isSending = true;
    while ((commits !== null || words.length > 0) && !pool.isBounced) {
      const payload = words.shift() ?? takeCommits();
      await sendNotification(pool, { channel, payload }).catch((error: unknown) =>
        log.debug("notify_failed", { error: errorText(error) }),
      );
    }
    isSending = false;
  }

  function takeCommits(): string {
    const { due, mayRevoke } = commits ?? { due: NONE_DUE, mayRevoke: false };
    commits = null;
    const word = noticeWord({ seed: String(++sent), counts: [...due.values()], mayRevoke });
    const payload = [name, ...due.keys(), word].join(" ");
    return payload.length > PAYLOAD_BYTES ? `${name} * ${ALL_MAY_BE_DUE}` : payload;
  }

  return { committed, say };
}

export function createWatch(
  setup: SenderSetup & { readonly lastBatch: () => Promise<number>; readonly clock: Clock },
) {
  const { pool, channel, name, clock } = setup;
  const { say, committed: sendCommit } = createSender(setup);
  const watchers = new Map<Watcher, WatcherNeeds>();
  let seen: number | null = null;
  let everyUntil = 0; // until when every commit is notified, monotonic

  const needsEvery = (): boolean => [...watchers.values()].includes("every");

  function watch(notify: Watcher, needs: WatcherNeeds = "every"): () => void {
    const own: Watcher = (...args) => notify(...args); // a new function, because the same one may watch twice
    const isNew = needs === "every" && !needsEvery();
    watchers.set(own, needs);
    if (isNew) say(NEEDS_EVERY);
    return () => void watchers.delete(own);
  }

  /** After a commit of this process. */
  function committed(due: DueTypes = NONE_DUE, mayRevoke = false): void {
    notifyAll([...due.keys()], { seed: null, counts: [...due.values()], mayRevoke });
    if (due.size === 0 && !mayRevoke && clock.monotonic() >= everyUntil) return;
    sendCommit(due, mayRevoke);
  }

  function notifyAll(due: readonly string[] | null, notice?: CommitNotice): void {
    for (const notify of [...watchers.keys()]) if (watchers.has(notify)) notify(due, notice);
  }

  function onNotification(payload: string): void {
    const [sender = "", ...words] = payload.split(" ").filter((word) => word !== "");
    if (sender === name) return;
    if (words[0] === ASKS) answer();
    else if (words[0] === NEEDS_EVERY) believeFor(BELIEVED_FOR_MS);
    else onCommit(sender, words);
  }

  function onCommit(sender: string, words: readonly string[]): void {
    const { due, notice } = readNotification(sender, words);
    if (notice === undefined) believeFor(BELIEVED_FOR_MS); // version 0.1.0, which does not say what it needs
    notifyAll(due[0] === "*" ? null : due, notice);
  }

  function answer(): void {
    if (needsEvery()) say(NEEDS_EVERY);
  }

  const believeFor = (ms: number): void => {
    everyUntil = Math.max(everyUntil, clock.monotonic() + ms);
  };

  /** Commits before the process listened are not known, so all waiting calls ask the store. */
  function onReady(): void {
    believeFor(ASKED_FOR_MS);
    say(ASKS);
    answer();
    notifyAll(null);
  }

  const polling = createLoop({
    after: clock.after,
    round: async () => {
      if (!pool.isBounced) return POLL_MS; // a connection pooler may be found later
      const last = await setup.lastBatch();
      if (last !== seen) notifyAll(null); // also at first: earlier commits are not known
      seen = last;
      return POLL_MS;
    },
    onError: () => POLL_MS,
  });

  const saying = createLoop({
    after: clock.after,
    firstAfterMs: SAID_EVERY_MS,
    round: async () => {
      answer();
      return SAID_EVERY_MS;
    },
    onError: () => SAID_EVERY_MS,
  });

  return {
    watch,
    committed,
    start: async () => {
      believeFor(ASKED_FOR_MS);
      polling.start();
      saying.start();
      if (!pool.isBounced) pool.listen({ channel, onNotification, onReady });
    },
    close: async () => {
      watchers.clear();
      await Promise.all([polling.stop(), saying.stop()]);
    },
  };
}
