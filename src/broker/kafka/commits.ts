import type { Consumer, Message } from "@platformatic/kafka";
import { createOffsets } from "./offsets.ts";

/** Tells Kafka how far a topic's messages have been dealt with, when they are dealt with at once and end in any order. */
export interface Commits {
  begin(message: Message): void;
  end(message: Message): void;
  /** Resolves when Kafka has been told of all that has ended. */
  finish(): Promise<void>;
}

/** A commit that fails costs no more than that what is dealt with comes again. */
export function createCommits(setup: {
  readonly consumer: Consumer;
  readonly topic: string;
  readonly onError: (error: unknown) => void;
}): Commits {
  const { consumer, topic, onError } = setup;
  const offsets = createOffsets();
  let committing: Promise<void> | null = null;

  async function commit(): Promise<void> {
    await Promise.resolve(); // those that ended in the same turn come along
    for (let done = offsets.take(); done.length > 0; done = offsets.take()) {
      const commits = done.map((one) => ({ topic, leaderEpoch: -1, ...one }));
      await consumer.commit({ offsets: commits }).catch(onError);
    }
  }

  return {
    begin: ({ partition, offset }) => offsets.begin(partition, offset),
    end: ({ partition, offset }) => {
      offsets.end(partition, offset);
      committing ??= commit().finally(() => {
        committing = null;
      });
    },
    finish: async () => {
      await committing;
      await commit();
    },
  };
}
