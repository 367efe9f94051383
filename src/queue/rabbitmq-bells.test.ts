/** Wake-ups by a real RabbitMQ. */
import { afterAll, expect, test } from "bun:test";
import { Connection } from "rabbitmq-client";
import { createTestLog } from "../../test/support/engine.ts";
import { eventually } from "../../test/support/eventually.ts";
import { sharedRabbitmq } from "../../test/support/servers/shared.ts";
import { systemClock } from "../lib/system-clock.ts";
import { examineBells, type Member } from "./bells.suite.ts";
import { examineQueue } from "./queue.suite.ts";
import { createRabbitmqBells } from "./rabbitmq-bells.ts";

const connect = async (): Promise<Connection> => {
  const connection = new Connection({ url: sharedRabbitmq(), acquireTimeout: 5_000 });
  await connection.onConnect(10_000);
  return connection;
};

const NEVER = new AbortController().signal;
const [publishing, listening] = await Promise.all([connect(), connect()]);
const publisher = publishing.createPublisher({ confirm: true });
afterAll(async () => {
  await publisher.close();
  await Promise.all([publishing.close(), listening.close()]);
});

const newHouse = (): string => `test.${crypto.randomUUID()}`;

/** A process's bells in a house. */
function open(house: string) {
  const log = createTestLog();
  return {
    bells: createRabbitmqBells({ publishing, listening, clock: systemClock, log, name: house }),
    warnings: () => log.events,
  };
}

const untilLive = (isLive: () => boolean): Promise<unknown> => eventually(isLive, (live) => live);

examineQueue("RabbitMQ", async () => {
  const { bells } = open(newHouse());
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
});

async function join(house: string, types: readonly string[]): Promise<Member> {
  const { bells, warnings } = open(house);
  const answer = bells.hear(types, NEVER);
  await untilLive(() => bells.isLive(types));
  return { bells, answer, warnings };
}

examineBells("RabbitMQ", async () => {
  const house = newHouse();
  const members: Member[] = [];
  return {
    join: async (types) => {
      const member = await join(house, types);
      members.push(member);
      return member;
    },
    sendRaw: (text) => publisher.send({ exchange: house, routingKey: text }, "not even JSON"),
    purge: async () => void (await publishing.queuePurge({ queue: `${house}:mail` })),
    close: async () => {
      for (const { bells } of members) await bells.close();
    },
  };
});

const lengthOf = async (queue: string): Promise<number> =>
  (await listening.queueDeclare({ queue, passive: true })).messageCount;

test("many bells wake many processes, each with no more than its share", async () => {
  const house = newHouse();
  const members = await Promise.all([1, 2, 3].map(() => join(house, ["mail"])));
  await members[0]?.bells.ring(["mail", "mail", "mail"]);
  for (const { answer } of members) await (await answer)?.ack(1);
  for (const { bells } of members) await bells.close();
  expect(await lengthOf(`${house}:mail`)).toBe(0);
});

test("who has no room any more gives the bells back that it holds, and holds none", async () => {
  const house = newHouse();
  const busy = await join(house, ["mail"]);
  await busy.bells.ring(["mail", "mail", "mail"]);
  await (await busy.answer)?.ack(1);
  await eventually(
    () => lengthOf(`${house}:mail`),
    (length) => length === 2,
  );
  expect(busy.bells.isLive(["mail"])).toBe(false);
  const idle = await join(house, ["mail"]);
  await (await idle.answer)?.ack(2);
  for (const { bells } of [busy, idle]) await bells.close();
  expect(await lengthOf(`${house}:mail`)).toBe(0);
});

test("a thousand tasks that become due at once ring no more than a hundred times", async () => {
  const house = newHouse();
  const member = await join(house, ["mail"]);
  await member.bells.close();
  const { bells } = open(house);
  await bells.ring(Array.from({ length: 1_000 }, () => "mail"));
  expect(await lengthOf(`${house}:mail`)).toBe(100);
  await bells.close();
});
