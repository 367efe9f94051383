import type { Clock } from "../core/clock.ts";

/** Text that goes out piece by piece until somebody ends it. */
export interface EventStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly isOver: boolean;
  /** Sends as soon as the client has taken enough of what was sent before; false when the stream is over. */
  send(text: string): Promise<boolean>;
  close(): void;
}

export type EventStreamSetup = {
  readonly clock: Clock;
  /** A sign of life for who has nothing to send. */
  readonly heartbeat: () => string;
  /** The client is behind and takes nothing: it is to be cut. */
  readonly onStuck: () => void;
  /** Once, whoever ends it. */
  readonly onOver: () => void;
};

const HEARTBEAT_MS = 15_000;
/** What waits for a client that is slower than its events; more is not made before it has taken some. */
const BEHIND_BYTES = 256 * 1_024;
/** Who is that far behind and takes nothing for this long is not slow, it is stuck. */
const STUCK_MS = 2_000;

export function createEventStream({ clock, heartbeat, onStuck, onOver }: EventStreamSetup): EventStream {
  const encoder = new TextEncoder();
  let controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  let isOver = false;
  let cancelHeartbeat = (): void => undefined;
  let onRoom = (): void => undefined;

  const body = new ReadableStream<Uint8Array>(
    {
      start: (made) => {
        controller = made;
      },
      pull: () => onRoom(),
      cancel: finish,
    },
    new ByteLengthQueuingStrategy({ highWaterMark: BEHIND_BYTES }),
  );

  function finish(): void {
    if (isOver) return;
    isOver = true;
    cancelHeartbeat();
    onRoom();
    onOver();
  }

  const hasRoom = (): boolean => (controller?.desiredSize ?? 0) > 0;

  async function send(text: string): Promise<boolean> {
    while (!isOver && !hasRoom()) await room();
    if (!isOver) write(text);
    return !isOver;
  }

  function write(text: string): void {
    controller?.enqueue(encoder.encode(text));
    cancelHeartbeat();
    cancelHeartbeat = clock.after(HEARTBEAT_MS, beat);
  }

  function beat(): void {
    if (hasRoom()) write(heartbeat());
    else cancelHeartbeat = clock.after(HEARTBEAT_MS, beat);
  }

  const room = (): Promise<void> =>
    new Promise((resolve) => {
      const cancelTimer = clock.after(STUCK_MS, onStuck);
      onRoom = () => {
        cancelTimer();
        onRoom = () => undefined;
        resolve();
      };
    });

  return {
    body,
    get isOver() {
      return isOver;
    },
    send,
    close: () => {
      if (isOver) return;
      finish();
      controller?.close();
    },
  };
}
