/** Event output by Kafka: the topic `<prefix>.events`. The key is the task's id, so that the events of each task stay in order. */
import type { Producer } from "@platformatic/kafka";
import { type EventOutput, givenUp, type TaskEvent, unlessAborted } from "../event-output.ts";

export function createKafkaEventOutput(setup: {
  readonly producer: Producer;
  readonly topic: string;
  /** Creates the topics if they are missing. */
  readonly ready: () => Promise<unknown>;
  /** Reports a failure that a missing topic may have caused. */
  readonly doubt: () => void;
}): EventOutput {
  async function send(events: readonly TaskEvent[], signal: AbortSignal): Promise<void> {
    await setup.ready();
    if (signal.aborted) throw givenUp();
    const messages = events.map((event) => messageOf(setup.topic, event));
    try {
      await setup.producer.send({ messages, acks: -1 });
    } catch (error) {
      setup.doubt();
      throw error;
    }
  }

  return {
    publish: (events, signal) => unlessAborted(send(events, signal), signal),
    close: async () => undefined,
  };
}

const messageOf = (topic: string, event: TaskEvent) => ({
  topic,
  key: Buffer.from(String(event.id)),
  value: Buffer.from(JSON.stringify(event)),
});
