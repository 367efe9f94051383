/** Wake-ups by a real RabbitMQ. */
import { afterAll, expect, test } from "bun:test";
import { connect as connectSocket, createServer, type Socket } from "node:net";
import { Connection } from "rabbitmq-client";
import { createTestLog } from "../../../test/support/engine.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { sharedRabbitmq } from "../../../test/support/servers/shared.ts";
import { systemClock } from "../../lib/system-clock.ts";
import { examineQueue } from "../../wakeup/wake-ups.suite.ts";
import { asQueue, examineBells, joining, type Member, untilLive } from "../wake-ups.suite.ts";
import { createRabbitmqWakeUps } from "./wake-ups.ts";

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
function open(house: string, listensBy = listening) {
  const log = createTestLog();
  return {
    bells: createRabbitmqWakeUps({
      ...{ publishing, listening: listensBy, clock: systemClock, log, name: house },
    }),
    warnings: () => log.events,
  };
}

examineQueue("RabbitMQ", async () => asQueue(open(newHouse()).bells));

const join = (house: string, types: readonly string[]): Promise<Member> => joining(open(house), types);

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
  await (await idle.answer)?.ack(1); // the other one may still be on its way
  await (await idle.bells.hear(["mail"], NEVER))?.ack(1);
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

/** A connection by a wire that can fall silent, or break. */
async function connectByWire() {
  const { hostname, port } = new URL(sharedRabbitmq());
  const sockets = new Set<Socket>();
  let isSilent = false;
  let swallowed = 0;
  const wire = createServer((near) => {
    const far = connectSocket(Number(port), hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.on("data", (bytes) => {
      if (isSilent) swallowed += bytes.length;
      else far.write(bytes);
    });
    far.on("data", (bytes) => near.write(bytes));
  });
  await new Promise<void>((resolve) => wire.listen(0, "127.0.0.1", resolve));
  const address = wire.address();
  const url = new URL(sharedRabbitmq());
  url.port = String(typeof address === "object" ? address?.port : "");
  const connection = new Connection({ url: url.href, acquireTimeout: 5_000, retryLow: 10 });
  connection.on("error", () => undefined);
  await connection.onConnect(10_000);
  return {
    connection,
    fallSilent: () => {
      isSilent = true;
    },
    swallowed: () => swallowed,
    break: () => {
      isSilent = false;
      for (const socket of sockets) socket.destroy();
    },
    close: async () => {
      await connection.close();
      wire.close();
    },
  };
}

test("a server that is lost while it is told that nobody listens ends nothing", async () => {
  const wire = await connectByWire();
  const { bells } = open(newHouse(), wire.connection);
  const abort = new AbortController();
  const hearing = bells.hear(["mail"], abort.signal);
  await untilLive(() => bells.isLive(["mail"]));
  wire.fallSilent();
  abort.abort();
  expect(await hearing).toBeNull();
  await eventually(wire.swallowed, (bytes) => bytes > 0); // the consumer's cancellation, which nobody answers
  wire.break();
  const again = bells.hear(["mail"], NEVER);
  await untilLive(() => bells.isLive(["mail"]));
  await bells.ring(["mail"]);
  expect(await again).not.toBeNull();
  await bells.close();
  await wire.close();
});

test("a server that has come back is not heard before its bells are asked for again", async () => {
  const wire = await connectByWire();
  const { bells } = open(newHouse(), wire.connection);
  const hearing = bells.hear(["mail"], NEVER);
  await untilLive(() => bells.isLive(["mail"]));
  const isLiveAtReturn = new Promise<boolean>((resolve) => {
    wire.connection.once("connection", () => resolve(bells.isLive(["mail"])));
  });
  wire.break();
  expect(await isLiveAtReturn).toBe(false);
  await untilLive(() => bells.isLive(["mail"]));
  await bells.ring(["mail"]);
  expect(await hearing).not.toBeNull();
  await bells.close();
  await wire.close();
});
