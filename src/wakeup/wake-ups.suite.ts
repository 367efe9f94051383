/**
 * The exam of the TaskQueue port: what every doorbell must do, whatever carries its bells. A bell may be lost on the
 * way by the port's own words; on the quiet line of a test none may be.
 */
import { describe, expect, test } from "bun:test";
import type { Bell, TaskQueue } from "./wake-ups.ts";

/** A queue without a bell in it, as an adapter's test opens it for each case. */
export type OpenedQueue = {
  readonly queue: TaskQueue;
  /** Lets tasks of these types become due, with all that tells of it. */
  becomeDue(types: readonly string[]): Promise<void>;
  /** Resolves once every `hear` that has been called is sure to get the next bell. */
  listening(): Promise<void>;
  close(): Promise<void>;
};

/** One who hears; `heard` is undefined while there is no answer. */
type Ear = {
  readonly answer: Promise<Bell | null>;
  readonly heard: () => Bell | null | undefined;
  leave(): void;
};

function listen(queue: TaskQueue, types: readonly string[]): Ear {
  const abort = new AbortController();
  let heard: Bell | null | undefined;
  const answer = queue.hear(types, abort.signal).then((bell) => {
    heard = bell;
    return bell;
  });
  return { answer, heard: () => heard, leave: () => abort.abort() };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const TIMEOUT_MS = 30_000;

const HEARD: readonly (readonly [claim: string, hears: readonly string[], due: readonly string[]])[] = [
  ["a bell of the very type is heard", ["mail"], ["mail"]],
  ["a bell of one of several types is heard", ["mail", "video.encode"], ["video.encode"]],
  ["a bell for several types is heard for one of them", ["mail"], ["video.encode", "mail", "simulate"]],
  ["a prefix hears what begins with it", ["video.*"], ["video.encode"]],
  ["a bare star hears everything", ["*"], ["anything.at_all"]],
  ["a prefix beside exact types is heard", ["mail", "video.*"], ["video.thumb"]],
  ["patterns that overlap are heard", ["video.*", "video.encode", "*"], ["video.encode"]],
];

const FOREIGN: readonly (readonly [claim: string, hears: readonly string[], due: string])[] = [
  ["a foreign type is not heard", ["mail"], "simulate"],
  ["a type that only begins alike is not heard", ["mail"], "mailbox"],
  ["a longer exact type is not heard by a shorter one", ["mail.send"], "mail"],
  ["a prefix does not hear its bare beginning", ["video.*"], "video"],
  ["a prefix does not hear what only looks like it", ["a_b.*"], "axb.c"],
  ["case makes another type", ["Mail"], "mail"],
  ["who names no type hears nothing", [], "mail"],
];

export function examineQueue(name: string, open: () => Promise<OpenedQueue>): void {
  const exam = (claim: string, body: (opened: OpenedQueue) => Promise<void>): void =>
    test(
      claim,
      async () => {
        const opened = await open();
        try {
          await body(opened);
        } finally {
          await opened.close();
        }
      },
      TIMEOUT_MS,
    );

  describe(`${name} queue`, () => {
    for (const [claim, hears, due] of HEARD) {
      exam(claim, async ({ queue, becomeDue, listening }) => {
        const ear = listen(queue, hears);
        await listening();
        expect(ear.heard()).toBeUndefined();
        await becomeDue(due);
        expect(await ear.answer).not.toBeNull();
      });
    }

    for (const [claim, hears, due] of FOREIGN) {
      exam(claim, async ({ queue, becomeDue, listening }) => {
        const foreigner = listen(queue, hears);
        const witness = listen(queue, [due]);
        await listening();
        await becomeDue([due]);
        expect(await witness.answer).not.toBeNull();
        await turn();
        expect(foreigner.heard()).toBeUndefined();
        foreigner.leave();
        expect(await foreigner.answer).toBeNull();
      });
    }

    exam("a bell can be acknowledged", async ({ queue, becomeDue, listening }) => {
      const ear = listen(queue, ["mail"]);
      await listening();
      await becomeDue(["mail"]);
      expect(await (await ear.answer)?.ack(1)).toBeUndefined();
    });

    exam("who hears again hears the next bell", async ({ queue, becomeDue, listening }) => {
      for (let round = 0; round < 5; round++) {
        const ear = listen(queue, ["mail"]);
        await listening();
        await becomeDue(["mail"]);
        const bell = await ear.answer;
        expect(bell).not.toBeNull();
        await bell?.ack(1);
      }
    });

    exam(
      "a bell that is not acknowledged yet keeps nobody from the next",
      async ({ queue, becomeDue, listening }) => {
        const [first, second] = [listen(queue, ["a"]), listen(queue, ["b"])];
        await listening();
        await becomeDue(["a"]);
        const bell = await first.answer;
        await becomeDue(["b"]);
        expect(await second.answer).not.toBeNull();
        await bell?.ack(1);
      },
    );

    exam("a bell between two hears harms neither", async ({ queue, becomeDue, listening }) => {
      const before = listen(queue, ["mail"]);
      await listening();
      await becomeDue(["mail"]);
      await (await before.answer)?.ack(1);
      await becomeDue(["mail"]); // nobody hears; the next may be told of it or not
      const after = listen(queue, ["mail"]);
      await listening();
      await becomeDue(["mail"]);
      const bell = await after.answer;
      expect(bell).not.toBeNull();
      await bell?.ack(1);
    });

    exam("many bells at once are one answer", async ({ queue, becomeDue, listening }) => {
      const ear = listen(queue, ["*"]);
      await listening();
      await Promise.all(Array.from({ length: 50 }, (_, n) => becomeDue([`type${n % 7}`, "mail"])));
      expect(await ear.answer).not.toBeNull();
    });

    exam("all who hear are told", async ({ queue, becomeDue, listening }) => {
      const ears = [["mail"], ["mail"], ["*"], ["ma*", "video"], ["mail", "video"]].map((types) =>
        listen(queue, types),
      );
      const foreigner = listen(queue, ["other"]);
      await listening();
      await becomeDue(["mail"]);
      for (const ear of ears) expect(await ear.answer).not.toBeNull();
      await turn();
      expect(foreigner.heard()).toBeUndefined();
      foreigner.leave();
      await foreigner.answer;
    });

    exam("to ring is always answered, also for nobody and for no types", async ({ queue }) => {
      expect(await queue.ring(["mail"])).toBeUndefined();
      expect(await queue.ring(["mail", "video.encode", "mail"])).toBeUndefined();
      expect(await queue.ring([])).toBeUndefined();
    });

    // ---- the end of a hearing

    exam("who stops listening is answered null", async ({ queue, listening }) => {
      const ear = listen(queue, ["mail"]);
      await listening();
      ear.leave();
      expect(await ear.answer).toBeNull();
    });

    exam("who stops before listening has begun is answered null", async ({ queue }) => {
      const ear = listen(queue, ["mail"]);
      ear.leave();
      expect(await ear.answer).toBeNull();
    });

    exam("who has stopped before the call is answered null", async ({ queue }) => {
      expect(await queue.hear(["mail"], AbortSignal.abort())).toBeNull();
    });

    exam("who has stopped hears nothing more, the others do", async ({ queue, becomeDue, listening }) => {
      const [gone, there] = [listen(queue, ["mail"]), listen(queue, ["mail"])];
      await listening();
      gone.leave();
      await becomeDue(["mail"]);
      expect(await there.answer).not.toBeNull();
      expect(await gone.answer).toBeNull();
    });

    exam("one signal ends all that were given it", async ({ queue, listening }) => {
      const abort = new AbortController();
      const answers = [["a"], ["b"], ["*"]].map((types) => queue.hear(types, abort.signal));
      await listening();
      abort.abort();
      expect(await Promise.all(answers)).toEqual([null, null, null]);
    });

    exam("to stop after the bell changes nothing", async ({ queue, becomeDue, listening }) => {
      const ear = listen(queue, ["mail"]);
      await listening();
      await becomeDue(["mail"]);
      const bell = await ear.answer;
      ear.leave();
      expect(bell).not.toBeNull();
      expect(await bell?.ack(1)).toBeUndefined();
    });

    exam("the queue's end answers all who hear with null", async ({ queue, listening }) => {
      const ears = [["mail"], ["video.*"], ["*"]].map((types) => listen(queue, types));
      await listening();
      await queue.close();
      expect(await Promise.all(ears.map((ear) => ear.answer))).toEqual([null, null, null]);
    });

    exam("a queue that has ended lets nobody wait", async ({ queue }) => {
      await queue.close();
      const ear = listen(queue, ["mail"]);
      await turn();
      expect(ear.heard()).toBeNull();
    });

    exam("a queue can be closed twice, and unused", async ({ queue }) => {
      expect(await queue.close()).toBeUndefined();
      expect(await queue.close()).toBeUndefined();
    });
  });
}
