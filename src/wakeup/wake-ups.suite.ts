/**
 * The tests of the port of wake-ups, for every adapter. The port allows that a wake-up is lost, but in these tests nothing
 * disturbs the adapter, so no wake-up may be lost.
 */
import { describe, expect, test } from "bun:test";
import type { WakeUp, WakeUps } from "./wake-ups.ts";

/** An adapter without waiting wake-ups, opened for each case. */
export type OpenedWakeUps = {
  readonly wakeUps: WakeUps;
  /** Lets tasks of these types become due, and notifies of them. */
  becomeDue(types: readonly string[]): Promise<void>;
  /** Resolves once every `listen` that has been called is certain to get the next wake-up. */
  listening(): Promise<void>;
  close(): Promise<void>;
};

/** A call of `listen`; `result` is undefined while it waits. */
type Listener = {
  readonly answer: Promise<WakeUp | null>;
  readonly result: () => WakeUp | null | undefined;
  leave(): void;
};

function listen(wakeUps: WakeUps, types: readonly string[]): Listener {
  const abort = new AbortController();
  let result: WakeUp | null | undefined;
  const answer = wakeUps.listen(types, abort.signal).then((wakeUp) => {
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
  ["a longer type with the same beginning is not reported", ["mail"], "mailbox"],
  ["a longer exact type does not match a shorter one", ["mail.send"], "mail"],
  ["a prefix does not match its text without the dot", ["video.*"], "video"],
  ["a prefix does not match a type that has another character in place of `_`", ["a_b.*"], "axb.c"],
  ["types are case-sensitive", ["Mail"], "mail"],
  ["a call without types reports nothing", [], "mail"],
];

export function examineWakeUps(name: string, open: () => Promise<OpenedWakeUps>): void {
  const exam = (claim: string, body: (opened: OpenedWakeUps) => Promise<void>): void =>
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

  describe(`${name}: wake-ups`, () => {
    for (const [claim, listensTo, due] of MATCHING) {
      exam(claim, async ({ wakeUps, becomeDue, listening }) => {
        const listener = listen(wakeUps, listensTo);
        await listening();
        expect(listener.result()).toBeUndefined();
        await becomeDue(due);
        expect(await listener.answer).not.toBeNull();
      });
    }

    for (const [claim, listensTo, due] of OTHER) {
      exam(claim, async ({ wakeUps, becomeDue, listening }) => {
        const other = listen(wakeUps, listensTo);
        const witness = listen(wakeUps, [due]);
        await listening();
        await becomeDue([due]);
        expect(await witness.answer).not.toBeNull();
        await turn();
        expect(other.result()).toBeUndefined();
        other.leave();
        expect(await other.answer).toBeNull();
      });
    }

    exam("a wake-up can be acknowledged", async ({ wakeUps, becomeDue, listening }) => {
      const listener = listen(wakeUps, ["mail"]);
      await listening();
      await becomeDue(["mail"]);
      expect(await (await listener.answer)?.ack(1)).toBeUndefined();
    });

    exam("the next call reports the next wake-up", async ({ wakeUps, becomeDue, listening }) => {
      for (let round = 0; round < 5; round++) {
        const listener = listen(wakeUps, ["mail"]);
        await listening();
        await becomeDue(["mail"]);
        const wakeUp = await listener.answer;
        expect(wakeUp).not.toBeNull();
        await wakeUp?.ack(1);
      }
    });

    exam(
      "a wake-up that is not acknowledged yet does not delay the next one",
      async ({ wakeUps, becomeDue, listening }) => {
        const [first, second] = [listen(wakeUps, ["a"]), listen(wakeUps, ["b"])];
        await listening();
        await becomeDue(["a"]);
        const wakeUp = await first.answer;
        await becomeDue(["b"]);
        expect(await second.answer).not.toBeNull();
        await wakeUp?.ack(1);
      },
    );

    exam("a wake-up between two calls harms neither", async ({ wakeUps, becomeDue, listening }) => {
      const before = listen(wakeUps, ["mail"]);
      await listening();
      await becomeDue(["mail"]);
      await (await before.answer)?.ack(1);
      await becomeDue(["mail"]); // no call waits; the next one may report it or not
      const after = listen(wakeUps, ["mail"]);
      await listening();
      await becomeDue(["mail"]);
      const wakeUp = await after.answer;
      expect(wakeUp).not.toBeNull();
      await wakeUp?.ack(1);
    });

    exam("many wake-ups at once are reported as one", async ({ wakeUps, becomeDue, listening }) => {
      const listener = listen(wakeUps, ["*"]);
      await listening();
      await Promise.all(Array.from({ length: 50 }, (_, n) => becomeDue([`type${n % 7}`, "mail"])));
      expect(await listener.answer).not.toBeNull();
    });

    exam("all waiting calls report the wake-up", async ({ wakeUps, becomeDue, listening }) => {
      const listeners = [["mail"], ["mail"], ["*"], ["ma*", "video"], ["mail", "video"]].map((types) =>
        listen(wakeUps, types),
      );
      const other = listen(wakeUps, ["other"]);
      await listening();
      await becomeDue(["mail"]);
      for (const listener of listeners) expect(await listener.answer).not.toBeNull();
      await turn();
      expect(other.result()).toBeUndefined();
      other.leave();
      await other.answer;
    });

    exam("notify resolves, also without listeners and without types", async ({ wakeUps }) => {
      expect(await wakeUps.notify(["mail"])).toBeUndefined();
      expect(await wakeUps.notify(["mail", "video.encode", "mail"])).toBeUndefined();
      expect(await wakeUps.notify([])).toBeUndefined();
    });

    // ---- the end of a call

    exam("a call that is aborted resolves to null", async ({ wakeUps, listening }) => {
      const listener = listen(wakeUps, ["mail"]);
      await listening();
      listener.leave();
      expect(await listener.answer).toBeNull();
    });

    exam("a call that is aborted before it has begun to listen resolves to null", async ({ wakeUps }) => {
      const listener = listen(wakeUps, ["mail"]);
      listener.leave();
      expect(await listener.answer).toBeNull();
    });

    exam("a call with an aborted signal resolves to null", async ({ wakeUps }) => {
      expect(await wakeUps.listen(["mail"], AbortSignal.abort())).toBeNull();
    });

    exam("an aborted call does not end the others", async ({ wakeUps, becomeDue, listening }) => {
      const [gone, there] = [listen(wakeUps, ["mail"]), listen(wakeUps, ["mail"])];
      await listening();
      gone.leave();
      await becomeDue(["mail"]);
      expect(await there.answer).not.toBeNull();
      expect(await gone.answer).toBeNull();
    });

    exam("one signal ends all calls that have it", async ({ wakeUps, listening }) => {
      const abort = new AbortController();
      const answers = [["a"], ["b"], ["*"]].map((types) => wakeUps.listen(types, abort.signal));
      await listening();
      abort.abort();
      expect(await Promise.all(answers)).toEqual([null, null, null]);
    });

    exam("an abort after the wake-up changes nothing", async ({ wakeUps, becomeDue, listening }) => {
      const listener = listen(wakeUps, ["mail"]);
      await listening();
      await becomeDue(["mail"]);
      const wakeUp = await listener.answer;
      listener.leave();
      expect(wakeUp).not.toBeNull();
      expect(await wakeUp?.ack(1)).toBeUndefined();
    });

    exam("close resolves all waiting calls to null", async ({ wakeUps, listening }) => {
      const listeners = [["mail"], ["video.*"], ["*"]].map((types) => listen(wakeUps, types));
      await listening();
      await wakeUps.close();
      expect(await Promise.all(listeners.map(({ answer }) => answer))).toEqual([null, null, null]);
    });

    exam("a call after close resolves at once", async ({ wakeUps }) => {
      await wakeUps.close();
      const listener = listen(wakeUps, ["mail"]);
      await turn();
      expect(listener.result()).toBeNull();
    });

    exam("close may be called twice, and without any call of listen", async ({ wakeUps }) => {
      expect(await wakeUps.close()).toBeUndefined();
      expect(await wakeUps.close()).toBeUndefined();
    });
  });
}
