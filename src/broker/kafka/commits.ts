import type { Consumer, Message } from "@platformatic/kafka";
import { createOffsets } from "./offsets.ts";

/** Commits the offsets of a topic whose messages are processed at the same time and end in any order. */
export interface Commits {
  begin(message: Message): void;
  end(message: Message): void;
  /** Resolves when everything that has ended is committed. */
  finish(): Promise<void>;
}

/** Called when a commit fails. The only consequence: messages that have ended may be read again. */
export function createCommits(setup: {
  readonly consumer: Consumer;
  readonly topic: string;
  readonly onError: (error: unknown) => void;
}): Commits {
  const { consumer, topic, onError } = setup;
  const offsets = createOffsets();
  let committing: Promise<void> | null = null;

  async function commit(): Promise<void> {
    await Promise.resolve(); // so that messages that end in the same turn share a commit
    for (let ended = offsets.take(); ended.length > 0; ended = offsets.take()) {
      const commits = ended.map((one) => ({ topic, leaderEpoch: -1, ...one }));
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
