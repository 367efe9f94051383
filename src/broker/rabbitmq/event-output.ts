/** Event output by RabbitMQ: the topic exchange `<prefix>.events`, with routing keys such as `task.done.<type>`. */
import type { Connection } from "rabbitmq-client";
import { type EventOutput, givenUp, type TaskEvent, unlessAborted } from "../event-output.ts";
import type { Names } from "../names.ts";

/** The size of a batch. The signal and the connection are checked between two batches. */
const BATCH = 100;

export function createRabbitmqEventOutput(connection: Connection, names: Pick<Names, "events">): EventOutput {
  const publisher = connection.createPublisher({
    confirm: true,
    exchanges: [{ exchange: names.events, type: "topic", durable: true }],
  });

  async function publish(events: readonly TaskEvent[], signal: AbortSignal): Promise<void> {
    for (let at = 0; at < events.length; at += BATCH) {
      // The client would keep the events until it is connected, and send them after another process has published later ones.
      if (!connection.ready) throw new Error("RabbitMQ is away");
      if (signal.aborted) throw givenUp();
      await unlessAborted(sendAll(events.slice(at, at + BATCH)), signal);
    }
  }

  /**
   * Sends all events at once, in order, on one channel. If one fails, it waits for the others before it rejects, so that no send
   * continues after it.
   */
  async function sendAll(events: readonly TaskEvent[]): Promise<void> {
    const confirms = await Promise.allSettled(events.map(send));
    for (const confirm of confirms) if (confirm.status === "rejected") throw confirm.reason;
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
