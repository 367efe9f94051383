/** Events out by Kafka: the topic `tasktrack.events`, keyed by the task's id, so that each task's events stay in order. */
import type { Producer } from "@platformatic/kafka";
import type { EventOutlet, TaskEvent } from "../event-output.ts";

export function createKafkaOutlet(setup: {
  readonly producer: Producer;
  readonly topic: string;
  /** Sees to it that the topics are there. */
  readonly ready: () => Promise<unknown>;
  /** Says that something failed for which a topic may be to blame. */
  readonly doubt: () => void;
}): EventOutlet {
  async function send(events: readonly TaskEvent[], signal: AbortSignal): Promise<void> {
    await setup.ready();
    if (signal.aborted) throw new Error("publishing was given up");
    const messages = events.map((event) => messageOf(setup.topic, event));
    try {
      await setup.producer.send({ messages, acks: -1 });
    } catch (error) {
      setup.doubt();
      throw error;
    }
  }

  function publish(events: readonly TaskEvent[], signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const giveUp = (): void => reject(new Error("publishing was given up"));
    signal.addEventListener("abort", giveUp);
    send(events, signal).then(resolve, reject);
    return promise.finally(() => signal.removeEventListener("abort", giveUp));
  }

  return { publish, close: async () => undefined };
}

const messageOf = (topic: string, event: TaskEvent) => ({
  topic,
  key: Buffer.from(String(event.id)),
  value: Buffer.from(JSON.stringify(event)),
});
