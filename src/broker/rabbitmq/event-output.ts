/** Events out by RabbitMQ: the topic exchange `tasktrack.events`, under `task.done.<type>` and the like. */
import type { Connection } from "rabbitmq-client";
import type { EventOutlet, TaskEvent } from "../event-output.ts";
import type { Names } from "../names.ts";

/** Between two pieces it is asked whether to go on. */
const PIECE = 100;

export function createRabbitmqOutlet(connection: Connection, names: Pick<Names, "events">): EventOutlet {
  const publisher = connection.createPublisher({
    confirm: true,
    exchanges: [{ exchange: names.events, type: "topic", durable: true }],
  });

  async function publish(events: readonly TaskEvent[], signal: AbortSignal): Promise<void> {
    for (let at = 0; at < events.length; at += PIECE) {
      // The client would keep what comes while it is not connected, and send it after others have published later events.
      if (!connection.ready) throw new Error("RabbitMQ is away");
      if (signal.aborted) throw new Error("publishing was given up");
      await unlessAborted(sendAll(events.slice(at, at + PIECE)), signal);
    }
  }

  /** All at once, in order, over one channel; and none is under way any more when it is known that one has failed. */
  async function sendAll(events: readonly TaskEvent[]): Promise<void> {
    const sent = await Promise.allSettled(events.map(send));
    for (const one of sent) if (one.status === "rejected") throw one.reason;
  }

  const send = (event: TaskEvent): Promise<void> =>
    publisher.send(
      {
        exchange: names.events,
        routingKey: routingKeyOf(event),
        durable: true,
        contentType: "application/json",
        messageId: `${event.id}.${event.version}.${event.event}`,
        type: event.event,
      },
      Buffer.from(JSON.stringify(event)),
    );

  return { publish, close: () => publisher.close() };
}

const routingKeyOf = ({ event, type }: TaskEvent): string => (type === null ? event : `${event}.${type}`);

function unlessAborted(sending: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const giveUp = (): void => reject(new Error("publishing was given up"));
  signal.addEventListener("abort", giveUp);
  sending.then(resolve, reject);
  return promise.finally(() => signal.removeEventListener("abort", giveUp));
}
