/** Wake-ups by a real RabbitMQ. */
import { afterAll, expect, test } from "bun:test";
import { connect as connectSocket, createServer, type Socket } from "node:net";
import { Connection } from "rabbitmq-client";
import { createTestLog } from "../../../test/support/engine.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { sharedRabbitmq } from "../../../test/support/servers/shared.ts";
import { systemClock } from "../../lib/system-clock.ts";
import { examineWakeUps } from "../../wakeup/wake-ups.suite.ts";
import { asOpened, examineBrokerWakeUps, joining, type Member, untilLive } from "../wake-ups.suite.ts";
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

const newExchange = (): string => `test.${crypto.randomUUID()}`;

/** The wake-ups of one process on an exchange. */
function open(exchange: string, listensBy = listening) {
  const log = createTestLog();
  return {
    wakeUps: createRabbitmqWakeUps({
      ...{ publishing, listening: listensBy, clock: systemClock, log, name: exchange },
    }),
    warnings: () => log.events,
  };
}

examineWakeUps("RabbitMQ", async () => asOpened(open(newExchange()).wakeUps));

const join = (exchange: string, types: readonly string[]): Promise<Member> => joining(open(exchange), types);

examineBrokerWakeUps("RabbitMQ", async () => {
  const exchange = newExchange();
  const members: Member[] = [];
  return {
    join: async (types) => {
      const member = await join(exchange, types);
      members.push(member);
      return member;
    },
    sendRaw: (text) => publisher.send({ exchange, routingKey: text }, "not even JSON"),
    purge: async () => void (await publishing.queuePurge({ queue: `${exchange}:mail` })),
    close: async () => {
      for (const { wakeUps } of members) await wakeUps.close();
    },
  };
});

const lengthOf = async (queue: string): Promise<number> =>
  (await listening.queueDeclare({ queue, passive: true })).messageCount;

test("many wake-ups wake many processes, and no process gets more than its prefetch limit", async () => {
  const exchange = newExchange();
  const members = await Promise.all([1, 2, 3].map(() => join(exchange, ["mail"])));
  await members[0]?.wakeUps.notify(["mail", "mail", "mail"]);
  for (const { answer } of members) await (await answer)?.ack(1);
  for (const { wakeUps } of members) await wakeUps.close();
  expect(await lengthOf(`${exchange}:mail`)).toBe(0);
});

test("a process without a free slot returns its wake-ups, and gets no more", async () => {
  const exchange = newExchange();
  const busy = await join(exchange, ["mail"]);
  await busy.wakeUps.notify(["mail", "mail", "mail"]);
  await (await busy.answer)?.ack(1);
  await eventually(
    () => lengthOf(`${exchange}:mail`),
    (length) => length === 2,
  );
  expect(busy.wakeUps.isLive(["mail"])).toBe(false);
  const idle = await join(exchange, ["mail"]);
  await (await idle.answer)?.ack(1); // the second wake-up may not have arrived yet
  await (await idle.wakeUps.listen(["mail"], NEVER))?.ack(1);
  for (const { wakeUps } of [busy, idle]) await wakeUps.close();
  expect(await lengthOf(`${exchange}:mail`)).toBe(0);
});

test("a thousand tasks that become due at once send no more than a hundred wake-ups", async () => {
  const exchange = newExchange();
  const member = await join(exchange, ["mail"]);
  await member.wakeUps.close();
  const { wakeUps } = open(exchange);
  await wakeUps.notify(Array.from({ length: 1_000 }, () => "mail"));
  expect(await lengthOf(`${exchange}:mail`)).toBe(100);
  await wakeUps.close();
});

/** A connection through a proxy that can drop the sent data, or break. */
async function connectByProxy() {
  const { hostname, port } = new URL(sharedRabbitmq());
  const sockets = new Set<Socket>();
  let isSwallowing = false;
  let swallowed = 0;
  const proxy = createServer((near) => {
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
      if (isSwallowing) swallowed += bytes.length;
      else far.write(bytes);
    });
    far.on("data", (bytes) => near.write(bytes));
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const address = proxy.address();
  const url = new URL(sharedRabbitmq());
  url.port = String(typeof address === "object" ? address?.port : "");
  const connection = new Connection({ url: url.href, acquireTimeout: 5_000, retryLow: 10 });
  connection.on("error", () => undefined);
  await connection.onConnect(10_000);
  return {
    connection,
    swallow: () => {
      isSwallowing = true;
    },
    swallowed: () => swallowed,
    break: () => {
      isSwallowing = false;
      for (const socket of sockets) socket.destroy();
    },
    close: async () => {
      await connection.close();
      proxy.close();
    },
  };
}

test("the loss of a connection during the cancellation of a consumer does not end the process", async () => {
  const proxy = await connectByProxy();
  const { wakeUps } = open(newExchange(), proxy.connection);
  const abort = new AbortController();
  const waiting = wakeUps.listen(["mail"], abort.signal);
  await untilLive(() => wakeUps.isLive(["mail"]));
  proxy.swallow();
  abort.abort();
  expect(await waiting).toBeNull();
  await eventually(proxy.swallowed, (bytes) => bytes > 0); // the consumer's cancellation, which is not answered
  proxy.break();
  const again = wakeUps.listen(["mail"], NEVER);
  await untilLive(() => wakeUps.isLive(["mail"]));
  await wakeUps.notify(["mail"]);
  expect(await again).not.toBeNull();
  await wakeUps.close();
  await proxy.close();
});

test("a connection that is back is not live before its consumer is", async () => {
  const proxy = await connectByProxy();
  const { wakeUps } = open(newExchange(), proxy.connection);
  const waiting = wakeUps.listen(["mail"], NEVER);
  await untilLive(() => wakeUps.isLive(["mail"]));
  const isLiveAtReturn = new Promise<boolean>((resolve) => {
    proxy.connection.once("connection", () => resolve(wakeUps.isLive(["mail"])));
  });
  proxy.break();
  expect(await isLiveAtReturn).toBe(false);
  await untilLive(() => wakeUps.isLive(["mail"]));
  await wakeUps.notify(["mail"]);
  expect(await waiting).not.toBeNull();
  await wakeUps.close();
  await proxy.close();
});
