/** The tests of a broker's wake-ups, in addition to those of the port: several processes, lost wake-ups, and invalid messages. */
import { describe, expect, test } from "bun:test";
import { eventually } from "../../test/support/eventually.ts";
import type { OpenedWakeUps } from "../wakeup/wake-ups.suite.ts";
import type { BrokerWakeUps, WakeUp } from "../wakeup/wake-ups.ts";

/** Several processes that share the wake-ups of a broker. */
export type Cluster = {
  /** Starts another process that listens to these types; resolves when it can receive the next wake-up. */
  join(types: readonly string[]): Promise<Member>;
  /** Sends a message that is no wake-up. */
  sendRaw(text: string): Promise<void>;
  /** Deletes, at the broker, every wake-up that is not delivered yet. */
  purge(): Promise<void>;
  close(): Promise<void>;
};

export type Member = {
  readonly wakeUps: BrokerWakeUps;
  readonly answer: Promise<WakeUp | null>;
  readonly warnings: () => readonly string[];
};

/** Long, because Kafka rebalances a group for each new member. */
const LIVE_WITHIN_MS = 120_000;

export const untilLive = (isLive: () => boolean): Promise<unknown> =>
  eventually(isLive, (live) => live, LIVE_WITHIN_MS);

/** The wake-ups of one process, for the tests of the port. */
export function asOpened(wakeUps: BrokerWakeUps): OpenedWakeUps {
  const sets = new Set<readonly string[]>();
  const listen: typeof wakeUps.listen = (types, signal) => {
    if (!signal.aborted) sets.add(types);
    return wakeUps.listen(types, signal);
  };
  return {
    wakeUps: { ...wakeUps, listen },
    becomeDue: wakeUps.notify,
    listening: async () => void (await untilLive(() => [...sets].every(wakeUps.isLive))),
    close: wakeUps.close,
  };
}

/** Lets a process listen to these types; resolves when it can receive the next wake-up. */
export async function joining(
  { wakeUps, warnings }: Pick<Member, "wakeUps" | "warnings">,
  types: readonly string[],
): Promise<Member> {
  const answer = wakeUps.listen(types, NEVER);
  await untilLive(() => wakeUps.isLive(types));
  return { wakeUps, answer, warnings };
}

const TIMEOUT_MS = 60_000;
const NEVER = new AbortController().signal;
const WITHIN_MS = 120_000;

const first = <T>(promises: readonly Promise<T>[]): Promise<number> =>
  Promise.race(promises.map((promise, at) => promise.then(() => at)));

export function examineBrokerWakeUps(name: string, open: () => Promise<Cluster>): void {
  const exam = (claim: string, body: (cluster: Cluster) => Promise<void>): void =>
    test(
      claim,
      async () => {
        const cluster = await open();
        try {
          await body(cluster);
        } finally {
          await cluster.close();
        }
      },
      TIMEOUT_MS,
    );

  describe(`${name}'s wake-ups`, () => {
    exam("wake one of the processes that take the same types", async (cluster) => {
      const members = [await cluster.join(["mail"]), await cluster.join(["mail"])] as const;
      await members[0].wakeUps.notify(["mail"]);
      const woken = await first(members.map(({ answer }) => answer));
      await (await members[woken === 0 ? 0 : 1].answer)?.ack(1);
      const other = members[woken === 0 ? 1 : 0];
      await other.wakeUps.close();
      expect(await other.answer).toBeNull();
    });

    exam("wake one process of each set of types", async (cluster) => {
      const members = [await cluster.join(["mail"]), await cluster.join(["mail", "video"])];
      await members[0]?.wakeUps.notify(["mail"]);
      for (const { answer } of members) expect(await answer).not.toBeNull();
    });

    exam("that a process has not acknowledged at its end go to another process", async (cluster) => {
      const gone = await cluster.join(["mail"]);
      await gone.wakeUps.notify(["mail"]);
      expect(await gone.answer).not.toBeNull();
      await gone.wakeUps.close();
      const stays = await cluster.join(["mail"]);
      expect(await stays.answer).not.toBeNull();
    });

    exam("that are acknowledged do not come again", async (cluster) => {
      const gone = await cluster.join(["mail"]);
      await gone.wakeUps.notify(["mail", "mail", "mail"]);
      await (await gone.answer)?.ack(3);
      const abort = new AbortController();
      await eventually(
        async () => {
          const wakeUp = await Promise.race([gone.wakeUps.listen(["mail"], abort.signal), soon()]);
          await wakeUp?.ack(0);
          return wakeUp;
        },
        (wakeUp) => wakeUp === null,
        WITHIN_MS,
      );
      abort.abort();
      await gone.wakeUps.close();
      const stays = await cluster.join(["mail"]);
      await stays.wakeUps.notify(["video"]); // filtered out, but only after any wake-up that is delivered again
      expect(await Promise.race([stays.answer, soon()])).toBeNull();
    });

    exam("that are malformed are acknowledged and counted", async (cluster) => {
      const member = await cluster.join(["*"]);
      await cluster.sendRaw("no type at all\u0000");
      await cluster.sendRaw("");
      await member.wakeUps.notify(["mail"]);
      expect(await member.answer).not.toBeNull();
      expect(member.warnings()).toContain("malformed_bell");
    });

    exam("may be deleted; the next one is reported", async (cluster) => {
      const member = await cluster.join(["mail"]);
      await cluster.purge();
      await eventually(
        async () => {
          await member.wakeUps.notify(["mail"]).catch(() => undefined); // the topic may be missing for a moment
          return Promise.race([member.answer, soon()]);
        },
        (wakeUp) => wakeUp !== null,
        WITHIN_MS,
      );
    });

    exam("are reported to a process that has not listened for a while", async (cluster) => {
      const member = await cluster.join(["mail"]);
      await member.wakeUps.notify(["mail"]);
      await (await member.answer)?.ack(1);
      await soon();
      const waiting = member.wakeUps.listen(["mail"], NEVER);
      await member.wakeUps.notify(["mail"]);
      expect(await waiting).not.toBeNull();
    });
  });
}

/** Long enough for a wake-up that is on its way. The tests that use it expect that none comes, so a slow machine does not fail them. */
const soon = (): Promise<null> => new Promise((resolve) => setTimeout(() => resolve(null), 300));
