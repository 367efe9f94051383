/**
 * Limits the requests that wait at the server. Bun sends at most 256 requests of a process at once, and
 * further ones wait until one has ended: with 256 waits of up to 30 s, heartbeats were late and leases were
 * lost. The limit applies to all clients and workers of the process together.
 */
import { createSemaphore } from "../lib/semaphore.ts";

export type Turn = {
  /**
   * False if enough requests wait at the server: the request must not ask for a wait, and is repeated after a
   * pause.
   */
  readonly mayWait: boolean;
  readonly end: () => void;
};

export interface Polls {
  /** Null if the signal aborts first. */
  begin(signal: AbortSignal): Promise<Turn | null>;
  /** The pause between two requests of a caller that may not wait, in milliseconds. */
  pauseMs(): number;
}

/** Browsers have six connections to a server over HTTP/1.1, and workerd has six for a request. */
const HAS_FEW_CONNECTIONS = "document" in globalThis || "WorkerGlobalScope" in globalThis;
const WAITING_AT_MOST = HAS_FEW_CONNECTIONS ? 3 : 128;
/**
 * How many requests without a wait are sent at once. The other connections of the 256 are for heartbeats and
 * other requests.
 */
const OTHERS_AT_ONCE = HAS_FEW_CONNECTIONS ? 1 : 32;
const PAUSE_MS = 1_000;
/** Ten thousand callers together ask 200 times a second. */
const PAUSE_A_CALLER_MS = 5;

export function createPolls(): Polls {
  const others = createSemaphore(OTHERS_AT_ONCE);
  let waiting = 0;
  let asking = 0; // callers that may not wait, including those queued for a turn

  function wait(): Turn {
    waiting++;
    return { mayWait: true, end: once(() => waiting--) };
  }

  async function begin(signal: AbortSignal): Promise<Turn | null> {
    if (waiting < WAITING_AT_MOST) return wait();
    asking++;
    const release = await others.acquire(signal);
    const end = once(() => {
      asking--;
      release?.();
    });
    if (release !== null) return { mayWait: false, end };
    end();
    return null;
  }

  return { begin, pauseMs: () => Math.max(PAUSE_MS, asking * PAUSE_A_CALLER_MS) };
}

function once(run: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    run();
  };
}

/** The limit of this process, for all its clients and workers. */
export const polls: Polls = createPolls();
