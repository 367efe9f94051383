/** The exam of a broker's bells beyond the queue's: what holds among several processes, and when the broker loses or invents bells. */
import { describe, expect, test } from "bun:test";
import { eventually } from "../../test/support/eventually.ts";
import type { OpenedQueue } from "../wakeup/wake-ups.suite.ts";
import type { Bell, BrokerWakeUps } from "../wakeup/wake-ups.ts";

/** A house in which several processes hear the same bells. */
export type House = {
  /** One more process, that hears these types from now on; resolves when the next bell may come to it. */
  join(types: readonly string[]): Promise<Member>;
  /** Sends what somebody else might. */
  sendRaw(text: string): Promise<void>;
  /** Throws away every bell that nobody holds, by the broker's own means. */
  purge(): Promise<void>;
  close(): Promise<void>;
};

export type Member = {
  readonly bells: BrokerWakeUps;
  readonly answer: Promise<Bell | null>;
  readonly warnings: () => readonly string[];
};

/** For Kafka's groups, which are balanced anew with each member. */
const LIVE_WITHIN_MS = 120_000;

export const untilLive = (isLive: () => boolean): Promise<unknown> =>
  eventually(isLive, (live) => live, LIVE_WITHIN_MS);

/** One process's bells, under the exam of every queue. */
export function asQueue(bells: BrokerWakeUps): OpenedQueue {
  const sets = new Set<readonly string[]>();
  const hear: typeof bells.hear = (types, signal) => {
    if (!signal.aborted) sets.add(types);
    return bells.hear(types, signal);
  };
  return {
    queue: { ...bells, hear },
    becomeDue: bells.ring,
    listening: async () => void (await untilLive(() => [...sets].every(bells.isLive))),
    close: bells.close,
  };
}

/** Has a process hear these types; resolves when the next bell may come to it. */
export async function joining(
  { bells, warnings }: Pick<Member, "bells" | "warnings">,
  types: readonly string[],
): Promise<Member> {
  const answer = bells.hear(types, NEVER);
  await untilLive(() => bells.isLive(types));
  return { bells, answer, warnings };
}

const TIMEOUT_MS = 60_000;
const NEVER = new AbortController().signal;
const WITHIN_MS = 120_000;

const first = <T>(promises: readonly Promise<T>[]): Promise<number> =>
  Promise.race(promises.map((promise, at) => promise.then(() => at)));

export function examineBells(name: string, open: () => Promise<House>): void {
  const exam = (claim: string, body: (house: House) => Promise<void>): void =>
    test(
      claim,
      async () => {
        const house = await open();
        try {
          await body(house);
        } finally {
          await house.close();
        }
      },
      TIMEOUT_MS,
    );

  describe(`${name}'s bells`, () => {
    exam("wake one of the processes that take the same types", async (house) => {
      const members = [await house.join(["mail"]), await house.join(["mail"])] as const;
      await members[0].bells.ring(["mail"]);
      const woken = await first(members.map(({ answer }) => answer));
      await (await members[woken === 0 ? 0 : 1].answer)?.ack(1);
      const other = members[woken === 0 ? 1 : 0];
      await other.bells.close();
      expect(await other.answer).toBeNull();
    });

    exam("wake one process of each set of types", async (house) => {
      const members = [await house.join(["mail"]), await house.join(["mail", "video"])];
      await members[0]?.bells.ring(["mail"]);
      for (const { answer } of members) expect(await answer).not.toBeNull();
    });

    exam("are left to another process by one that ends without having answered them", async (house) => {
      const gone = await house.join(["mail"]);
      await gone.bells.ring(["mail"]);
      expect(await gone.answer).not.toBeNull();
      await gone.bells.close();
      const stays = await house.join(["mail"]);
      expect(await stays.answer).not.toBeNull();
    });

    exam("that are answered do not come again", async (house) => {
      const gone = await house.join(["mail"]);
      await gone.bells.ring(["mail", "mail", "mail"]);
      await (await gone.answer)?.ack(3);
      const abort = new AbortController();
      await eventually(
        async () => {
          const bell = await Promise.race([gone.bells.hear(["mail"], abort.signal), soon()]);
          await bell?.ack(0);
          return bell;
        },
        (bell) => bell === null,
        WITHIN_MS,
      );
      abort.abort();
      await gone.bells.close();
      const stays = await house.join(["mail"]);
      await stays.bells.ring(["video"]); // is let by, after whatever had come again
      expect(await Promise.race([stays.answer, soon()])).toBeNull();
    });

    exam("are answered and counted when they are none", async (house) => {
      const member = await house.join(["*"]);
      await house.sendRaw("no type at all\u0000");
      await house.sendRaw("");
      await member.bells.ring(["mail"]);
      expect(await member.answer).not.toBeNull();
      expect(member.warnings()).toContain("malformed_bell");
    });

    exam("may be thrown away, and the next is heard", async (house) => {
      const member = await house.join(["mail"]);
      await house.purge();
      await eventually(
        async () => {
          await member.bells.ring(["mail"]).catch(() => undefined); // there may be nothing to ring for a moment
          return Promise.race([member.answer, soon()]);
        },
        (bell) => bell !== null,
        WITHIN_MS,
      );
    });

    exam("are heard by who has long been silent", async (house) => {
      const member = await house.join(["mail"]);
      await member.bells.ring(["mail"]);
      await (await member.answer)?.ack(1);
      await soon();
      const hearing = member.bells.hear(["mail"], NEVER);
      await member.bells.ring(["mail"]);
      expect(await hearing).not.toBeNull();
    });
  });
}

/** Long enough for a bell that is on its way; a test that waits for nothing to come can only fail by what does come. */
const soon = (): Promise<null> => new Promise((resolve) => setTimeout(() => resolve(null), 300));
