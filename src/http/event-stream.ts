import type { Clock } from "../core/clock.ts";

/** A stream of text that lasts until the client or the server ends it. */
export interface EventStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly isOver: boolean;
  /**
   * Sends as soon as the client has read enough of the earlier text. Resolves with false when the stream is
   * over.
   */
  send(text: string): Promise<boolean>;
  close(): void;
}

export type EventStreamSetup = {
  readonly clock: Clock;
  /** Text that keeps the connection alive while there are no events. */
  readonly heartbeat: () => string;
  /** The client is behind and reads nothing: its connection must be closed. */
  readonly onStuck: () => void;
  /** Called once, when the client or the server has ended the stream. */
  readonly onOver: () => void;
};

const HEARTBEAT_MS = 15_000;
/** The most characters that are buffered for a slow client. No more are generated until the client has read some. */
const BEHIND_BYTES = 256 * 1_024;
/** A client with a full buffer that reads nothing for this long counts as stuck. */
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
