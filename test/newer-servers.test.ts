/** The newest PostgreSQL and Kafka that TaskTrack is tried with, in one session; every other test runs with older ones. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { liveSession } from "./support/live-session.ts";
import { createKafka, type KafkaServer, NEWER_KAFKA } from "./support/servers/kafka.ts";
import { createPostgres, type PostgresServer } from "./support/servers/postgres.ts";

let postgres: PostgresServer;
let kafka: KafkaServer;

beforeAll(async () => {
  [postgres, kafka] = await Promise.all([
    createPostgres({ fsync: "off" }, 18),
    createKafka(undefined, NEWER_KAFKA),
  ]);
  await Promise.all([postgres.start(), kafka.start()]);
}, 600_000);

afterAll(async () => {
  await Promise.all([postgres.remove(), kafka.remove()]);
}, 300_000);

test(`PostgreSQL 18 and Kafka ${NEWER_KAFKA} serve a whole session`, async () => {
  const store = await liveSession({ STORE_URL: postgres.url, QUEUE_URL: kafka.url });
  expect(store).toStartWith("PostgreSQL 18.");
}, 300_000);
