/**
 * The exam of the port of wake-ups, for every adapter. The port allows that a wake-up is lost; in the undisturbed conditions of a
 * test none may be.
 */
import { describe, expect, test } from "bun:test";
import type { Bell, TaskQueue } from "./wake-ups.ts";

/** An adapter without wake-ups in it, as its test opens it for each case. */
export type OpenedQueue = {
  readonly queue: TaskQueue;
  /** Lets tasks of these types become due, and notifies of them. */
  becomeDue(types: readonly string[]): Promise<void>;
  /** Resolves once every `hear` that has been called is certain to get the next wake-up. */
  listening(): Promise<void>;
  close(): Promise<void>;
};

/** A call of `hear`; `result` is undefined while it waits. */
type Listener = {
  readonly answer: Promise<Bell | null>;
  readonly result: () => Bell | null | undefined;
  leave(): void;
};

function listen(queue: TaskQueue, types: readonly string[]): Listener {
  const abort = new AbortController();
  let result: Bell | null | undefined;
  const answer = queue.hear(types, abort.signal).then((wakeUp) => {
    result = wakeUp;
    return wakeUp;
  });
  return { answer, result: () => result, leave: () => abort.abort() };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const TIMEOUT_MS = 30_000;

const MATCHING: readonly (readonly [claim: string, listensTo: readonly string[], due: readonly string[]])[] =
  [
    ["a wake-up of the same type is reported", ["mail"], ["mail"]],
    ["a wake-up of one of several types is reported", ["mail", "video.encode"], ["video.encode"]],
    [
      "a notification of several types is reported for one of them",
      ["mail"],
      ["video.encode", "mail", "simulate"],
    ],
    ["a prefix matches the types that begin with it", ["video.*"], ["video.encode"]],
    ["a bare star matches every type", ["*"], ["anything.at_all"]],
    ["a prefix beside exact types matches", ["mail", "video.*"], ["video.thumb"]],
    ["patterns that overlap match", ["video.*", "video.encode", "*"], ["video.encode"]],
  ];

const OTHER: readonly (readonly [claim: string, listensTo: readonly string[], due: string])[] = [
  ["another type is not reported", ["mail"], "simulate"],
  ["a type that only begins alike is not reported", ["mail"], "mailbox"],
  ["a longer exact type does not match a shorter one", ["mail.send"], "mail"],
  ["a prefix does not match its bare beginning", ["video.*"], "video"],
  ["a prefix does not match a type that only looks alike", ["a_b.*"], "axb.c"],
  ["types are case-sensitive", ["Mail"], "mail"],
  ["a call without types reports nothing", [], "mail"],
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
    for (const [claim, listensTo, due] of MATCHING) {
      exam(claim, async ({ queue, becomeDue, listening }) => {
        const listener = listen(queue, listensTo);
        await listening();
        expect(listener.result()).toBeUndefined();
        await becomeDue(due);
        expect(await listener.answer).not.toBeNull();
      });
    }

    for (const [claim, listensTo, due] of OTHER) {
      exam(claim, async ({ queue, becomeDue, listening }) => {
        const other = listen(queue, listensTo);
        const witness = listen(queue, [due]);
        await listening();
        await becomeDue([due]);
        expect(await witness.answer).not.toBeNull();
        await turn();
        expect(other.result()).toBeUndefined();
        other.leave();
        expect(await other.answer).toBeNull();
      });
    }

    exam("a wake-up can be acknowledged", async ({ queue, becomeDue, listening }) => {
      const listener = listen(queue, ["mail"]);
      await listening();
      await becomeDue(["mail"]);
      expect(await (await listener.answer)?.ack(1)).toBeUndefined();
    });

    exam("the next call reports the next wake-up", async ({ queue, becomeDue, listening }) => {
      for (let round = 0; round < 5; round++) {
        const listener = listen(queue, ["mail"]);
        await listening();
        await becomeDue(["mail"]);
        const wakeUp = await listener.answer;
        expect(wakeUp).not.toBeNull();
        await wakeUp?.ack(1);
      }
    });

    exam(
      "a wake-up that is not acknowledged yet does not hold up the next one",
      async ({ queue, becomeDue, listening }) => {
        const [first, second] = [listen(queue, ["a"]), listen(queue, ["b"])];
        await listening();
        await becomeDue(["a"]);
        const wakeUp = await first.answer;
        await becomeDue(["b"]);
        expect(await second.answer).not.toBeNull();
        await wakeUp?.ack(1);
      },
    );

    exam("a wake-up between two calls harms neither", async ({ queue, becomeDue, listening }) => {
      const before = listen(queue, ["mail"]);
      await listening();
      await becomeDue(["mail"]);
      await (await before.answer)?.ack(1);
      await becomeDue(["mail"]); // no call waits; the next one may report it or not
      const after = listen(queue, ["mail"]);
      await listening();
      await becomeDue(["mail"]);
      const wakeUp = await after.answer;
      expect(wakeUp).not.toBeNull();
      await wakeUp?.ack(1);
    });

    exam("many wake-ups at once are reported as one", async ({ queue, becomeDue, listening }) => {
      const listener = listen(queue, ["*"]);
      await listening();
      await Promise.all(Array.from({ length: 50 }, (_, n) => becomeDue([`type${n % 7}`, "mail"])));
      expect(await listener.answer).not.toBeNull();
    });

    exam("all waiting calls are told", async ({ queue, becomeDue, listening }) => {
      const listeners = [["mail"], ["mail"], ["*"], ["ma*", "video"], ["mail", "video"]].map((types) =>
        listen(queue, types),
      );
      const other = listen(queue, ["other"]);
      await listening();
      await becomeDue(["mail"]);
      for (const listener of listeners) expect(await listener.answer).not.toBeNull();
      await turn();
      expect(other.result()).toBeUndefined();
      other.leave();
      await other.answer;
    });

    exam("ring resolves, also without listeners and without types", async ({ queue }) => {
      expect(await queue.ring(["mail"])).toBeUndefined();
      expect(await queue.ring(["mail", "video.encode", "mail"])).toBeUndefined();
      expect(await queue.ring([])).toBeUndefined();
    });

    // ---- the end of a call

    exam("a call that is aborted resolves to null", async ({ queue, listening }) => {
      const listener = listen(queue, ["mail"]);
      await listening();
      listener.leave();
      expect(await listener.answer).toBeNull();
    });

    exam("a call that is aborted before it has begun to listen resolves to null", async ({ queue }) => {
      const listener = listen(queue, ["mail"]);
      listener.leave();
      expect(await listener.answer).toBeNull();
    });

    exam("a call with an aborted signal resolves to null", async ({ queue }) => {
      expect(await queue.hear(["mail"], AbortSignal.abort())).toBeNull();
    });

    exam("an aborted call does not end the others", async ({ queue, becomeDue, listening }) => {
      const [gone, there] = [listen(queue, ["mail"]), listen(queue, ["mail"])];
      await listening();
      gone.leave();
      await becomeDue(["mail"]);
      expect(await there.answer).not.toBeNull();
      expect(await gone.answer).toBeNull();
    });

    exam("one signal ends all calls that have it", async ({ queue, listening }) => {
      const abort = new AbortController();
      const answers = [["a"], ["b"], ["*"]].map((types) => queue.hear(types, abort.signal));
      await listening();
      abort.abort();
      expect(await Promise.all(answers)).toEqual([null, null, null]);
    });

    exam("an abort after the wake-up changes nothing", async ({ queue, becomeDue, listening }) => {
      const listener = listen(queue, ["mail"]);
      await listening();
      await becomeDue(["mail"]);
      const wakeUp = await listener.answer;
      listener.leave();
      expect(wakeUp).not.toBeNull();
      expect(await wakeUp?.ack(1)).toBeUndefined();
    });

    exam("close resolves all waiting calls to null", async ({ queue, listening }) => {
      const listeners = [["mail"], ["video.*"], ["*"]].map((types) => listen(queue, types));
      await listening();
      await queue.close();
      expect(await Promise.all(listeners.map(({ answer }) => answer))).toEqual([null, null, null]);
    });

    exam("a call after close resolves at once", async ({ queue }) => {
      await queue.close();
      const listener = listen(queue, ["mail"]);
      await turn();
      expect(listener.result()).toBeNull();
    });

    exam("close is safe twice, and without any call", async ({ queue }) => {
      expect(await queue.close()).toBeUndefined();
      expect(await queue.close()).toBeUndefined();
    });
  });
}
