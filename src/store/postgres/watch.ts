/**
 * Wake-ups after commits. A commit of this process calls its watchers at once. Other processes get a NOTIFY, which is sent after the commit and
 * in a transaction of its own: inside the transaction it would queue all commits of the database behind one lock. Many commits share one
 * NOTIFY. Where a connection pooler lets no notification through, the end of the change log is read once a second.
 */
import type { Clock } from "../../core/clock.ts";
import { errorText, type Log } from "../../lib/log.ts";
import { createLoop } from "../../lib/loop.ts";
import type { Pool } from "./pool.ts";
import { statement } from "./statement.ts";

type Notify = (due: readonly string[] | null) => void;

const POLL_MS = 1_000;
/** PostgreSQL takes payloads of up to 8,000 bytes; types are short, and null stands for any type. */
const PAYLOAD_BYTES = 7_000;

const sendNotification = statement("SELECT pg_notify($channel, $payload) AS notified");

export function createWatch(setup: {
  readonly pool: Pool;
  readonly channel: string;
  /** Distinguishes notifications of this process from those of others. */
  readonly name: string;
  readonly lastBatch: () => Promise<number>;
  readonly clock: Clock;
  readonly log: Log;
}) {
  const { pool, channel, name, clock, log } = setup;
  const watchers = new Set<Notify>();
  let unsent: Set<string> | null = null; // null: no commit since the last NOTIFY
  let sending = false;
  let seen: number | null = null;

  function watch(notify: Notify): () => void {
    const own: Notify = (due) => notify(due); // a new function, because the same one may watch twice
    watchers.add(own);
    return () => void watchers.delete(own);
  }

  /** After a commit of this process. */
  function committed(due: readonly string[]): void {
    notifyAll(due);
    unsent ??= new Set();
    for (const type of due) unsent.add(type);
    if (!sending) void send();
  }

  function notifyAll(due: readonly string[] | null): void {
    for (const notify of [...watchers]) if (watchers.has(notify)) notify(due);
  }

  async function send(): Promise<void> {
    sending = true;
    while (unsent !== null && !pool.isBounced) {
      const payload = `${name} ${[...unsent].join(" ")}`;
      unsent = null;
      const isTooLong = payload.length > PAYLOAD_BYTES;
      await sendNotification(pool, { channel, payload: isTooLong ? `${name} *` : payload }).catch(
        (error: unknown) => log.debug("notify_failed", { error: errorText(error) }),
      );
    }
    sending = false;
  }

  function onNotification(payload: string): void {
    const [sender, ...due] = payload.split(" ").filter((word) => word !== "");
    if (sender !== name) notifyAll(due[0] === "*" ? null : due);
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

  return {
    watch,
    committed,
    start: async () => {
      polling.start();
      if (pool.isBounced) return;
      // Commits before the process listened are not known, so all waiting calls ask the store.
      pool.listen({ channel, onNotification, onReady: () => notifyAll(null) });
    },
    close: async () => {
      watchers.clear();
      await polling.stop();
    },
  };
}
