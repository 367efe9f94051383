/** Wake-ups by a real Kafka. */
import { afterAll, expect, test } from "bun:test";
import { Admin, Producer } from "@platformatic/kafka";
import { createManualClock } from "../../../test/support/clock.ts";
import { createTestLog } from "../../../test/support/engine.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { watchMembers } from "../../../test/support/kafka-members.ts";
import { sharedKafka } from "../../../test/support/servers/shared.ts";
import { systemClock } from "../../lib/system-clock.ts";
import { examineWakeUps } from "../../wakeup/wake-ups.suite.ts";
import { asOpened, examineBrokerWakeUps, joining, type Member, untilLive } from "../wake-ups.suite.ts";
import { createKafkaWakeUps } from "./wake-ups.ts";

const options = { clientId: "test", bootstrapBrokers: [new URL(sharedKafka()).host] };
const NEVER = new AbortController().signal;
const WITHIN_MS = 120_000;
const producer = new Producer(options);
const admin = new Admin(options);
afterAll(async () => {
  await producer.close();
  await admin.close();
});

async function newTopic(partitions: number): Promise<string> {
  const topic = `bells-${crypto.randomUUID()}`;
  await admin.createTopics({ topics: [topic], partitions, replicas: 1 });
  return topic;
}

/** The wake-ups of one process on a topic. */
function open(topic: string) {
  const log = createTestLog();
  const wakeUps = createKafkaWakeUps({
    ...{ options, producer, clock: systemClock, log, name: topic },
    ready: () => admin.metadata({ topics: [topic], forceUpdate: true }),
    doubt: () => undefined,
  });
  return { wakeUps, warnings: () => log.events };
}

examineWakeUps("Kafka", async () => asOpened(open(await newTopic(1)).wakeUps));

const join = (topic: string, types: readonly string[]): Promise<Member> => joining(open(topic), types);

const send = (topic: string, text: string, timestamp = BigInt(Date.now())) =>
  producer.send({ messages: [{ topic, value: Buffer.from(text), timestamp }], acks: 1 });

examineBrokerWakeUps("Kafka", async () => {
  const topic = await newTopic(4);
  const members: Member[] = [];
  return {
    join: async (types) => {
      const member = await join(topic, types);
      members.push(member);
      return member;
    },
    sendRaw: async (text) => void (await send(topic, text)),
    purge: async () => {
      await admin.deleteTopics({ topics: [topic] });
      await eventually(
        () =>
          admin.createTopics({ topics: [topic], partitions: 4, replicas: 1 }).then(
            () => true,
            () => false,
          ),
        (isThere) => isThere,
        WITHIN_MS,
      );
    },
    close: async () => {
      for (const { wakeUps } of members) await wakeUps.close();
    },
  };
});

test("a wake-up that is too old is not reported", async () => {
  const topic = await newTopic(1);
  const member = await join(topic, ["mail"]);
  await send(topic, "mail", BigInt(Date.now() - 60_000));
  await send(topic, "video"); // is filtered out, after the one before it
  const answer = await Promise.race([member.answer, Bun.sleep(300)]);
  expect(answer).toBeUndefined();
  await member.wakeUps.close();
});

test("a member without a partition is not live", async () => {
  const topic = await newTopic(1);
  const [one, other] = [open(topic), open(topic)];
  const waiting = [one, other].map(({ wakeUps }) => wakeUps.listen(["mail"], NEVER));
  await untilLive(() => one.wakeUps.isLive(["mail"]) !== other.wakeUps.isLive(["mail"]));
  for (const { wakeUps } of [one, other]) await wakeUps.close();
  expect(await Promise.all(waiting)).toEqual([null, null]);
});

test("a member that could not join its group again starts anew", async () => {
  const topic = await newTopic(1);
  const watch = watchMembers();
  const member = await join(topic, ["mail"]);
  watch.members[0]?.emit("error", new Error("could not join again")); // the client emits it once
  await eventually(
    () => watch.members.length,
    (count) => count === 2,
    WITHIN_MS,
  );
  await untilLive(() => member.wakeUps.isLive(["mail"]));
  await member.wakeUps.notify(["mail"]);
  expect(await member.answer).not.toBeNull();
  await member.wakeUps.close();
  watch.close();
});

test("a member that is closed before the topic exists does not join the group beside the next member", async () => {
  const topic = await newTopic(1);
  const clock = createManualClock(Date.now());
  const gate = Promise.withResolvers<void>();
  const there = () => admin.metadata({ topics: [topic], forceUpdate: true });
  const readies = [() => gate.promise.then(there), there];
  const wakeUps = createKafkaWakeUps({
    ...{ options, producer, clock, log: createTestLog(), name: topic },
    ready: () => (readies.shift() ?? there)(),
    doubt: () => undefined,
  });
  const abort = new AbortController();
  const watch = watchMembers();
  const early = wakeUps.listen(["mail"], abort.signal); // waits for the topic
  abort.abort();
  expect(await early).toBeNull();
  await clock.advance(30_000); // now it is idle and is closed
  const late = wakeUps.listen(["mail"], NEVER);
  await untilLive(() => wakeUps.isLive(["mail"]));
  await send(topic, "mail", BigInt(clock.now()));
  const wakeUp = await late;
  gate.resolve();
  await wakeUps.close();
  expect(wakeUp).not.toBeNull();
  expect(watch.members).toHaveLength(1);
  watch.close();
});
