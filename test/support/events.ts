/** A client of server-sent events that keeps all events. */
import { eventually } from "./eventually.ts";

export type SeenEvent = {
  readonly event: string;
  readonly id: string;
  readonly data: Readonly<Record<string, unknown>>;
};

export interface EventsClient {
  readonly response: Response;
  readonly events: readonly SeenEvent[];
  readonly comments: readonly string[];
  /** The value that a client would send in Last-Event-ID. */
  readonly lastEventId: string;
  /** Whether the server has ended the stream, or cut it. */
  readonly isOver: boolean;
  /** Resolves when an event that matches has come, with all events so far. */
  until(is: (event: SeenEvent) => boolean): Promise<readonly SeenEvent[]>;
  close(): void;
}

/** Resolves when the server has confirmed the connection. */
export async function openEvents(
  url: string,
  {
    query = "",
    lastEventId = "",
    headers = {},
  }: {
    readonly query?: string;
    readonly lastEventId?: string;
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): Promise<EventsClient> {
  const abort = new AbortController();
  const response = await fetch(`${url}/api/events${query}`, {
    headers: lastEventId === "" ? headers : { ...headers, "last-event-id": lastEventId },
    signal: abort.signal,
  });
  const events: SeenEvent[] = [];
  const comments: string[] = [];
  let lastSeenId = lastEventId;
  let isOver = false;

  function take(block: string): void {
    const fields: Record<string, string> = {};
    for (const line of block.split("\n")) {
      const colon = line.indexOf(": ");
      const [name, value] = [line.slice(0, colon), line.slice(colon + 2)];
      if (name === "") comments.push(value);
      else fields[name] = value;
    }
    lastSeenId = fields.id ?? lastSeenId;
    if (fields.data === undefined) return;
    const data = JSON.parse(fields.data) as SeenEvent["data"]; // each test checks the fields that it expects
    events.push({ event: fields.event ?? "message", id: lastSeenId, data });
  }

  async function read(): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true }); // the chunks of a fetched body are bytes
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        take(text.slice(0, end));
        text = text.slice(end + 2);
      }
    }
  }
  const over = (): void => {
    isOver = true;
  };
  void read().then(over, over);

  const client: EventsClient = {
    response,
    events,
    comments,
    get lastEventId() {
      return lastSeenId;
    },
    get isOver() {
      return isOver;
    },
    until: async (is) => {
      await eventually(
        () => ({ found: events.some(is), latest: events.slice(-3) }),
        ({ found }) => found,
      );
      return events;
    },
    close: () => abort.abort(),
  };
  if (response.ok) {
    await eventually(
      () => comments.length,
      (count) => count > 0 || isOver,
    );
  }
  return client;
}
