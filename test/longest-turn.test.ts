/**
 * No request blocks the event loop for long. With 100,000 tasks in memory, every route gets its largest input. The test counts the
 * tasks (reads of a name) and the characters of payloads that are read in each turn of the event loop. Counts do not depend on the
 * machine.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { create, TYPE_DEFAULTS } from "../src/core/lifecycle.ts";
import type { Draft } from "../src/core/task.ts";
import { systemClock } from "../src/lib/system-clock.ts";
import { createMemoryStore } from "../src/store/memory/store.ts";
import { createManualClock } from "./support/clock.ts";
import { openEngine } from "./support/engine.ts";
import { hostileRequests } from "./support/hostile-requests.ts";
import { type HttpServer, openHttpServer } from "./support/http-server.ts";

const TASKS = 100_000;
const LARGE = 40;

/** The memory store examines 5,000 rows a call, and reads the names of some of them twice. */
const MOST_TASKS = 15_000;
/** A search examines up to a mebibyte of payloads and one more task, and reads each payload up to four times. */
const MOST_SEARCHED = 8 * 1_048_576;
/** The length of a page of whole tasks is measured before it is returned: up to eight mebibytes. */
const MOST_CHARACTERS = 20 * 1_048_576;

/** Counts the reads since the last turn of the event loop, and keeps the highest counts. */
function createMeter() {
  let [tasks, characters] = [0, 0];
  let most = { tasks: 0, characters: 0 };
  let isMeasuring = false;

  function turn(): void {
    most = { tasks: Math.max(most.tasks, tasks), characters: Math.max(most.characters, characters) };
    [tasks, characters] = [0, 0];
    if (isMeasuring) setImmediate(turn);
  }

  return {
    /** A draft that counts each read of its name and payload, also after the store has taken it. */
    counted(draft: Draft): Draft {
      const { name, payload } = draft;
      const nameCounted = (): string => {
        tasks++;
        return name;
      };
      const payloadCounted = (): string | null => {
        characters += payload?.length ?? 0;
        return payload;
      };
      return Object.defineProperties(draft, {
        name: { get: nameCounted, enumerable: true, configurable: true },
        payload: { get: payloadCounted, enumerable: true, configurable: true },
      });
    },
    async during(action: () => Promise<unknown>): Promise<typeof most> {
      [tasks, characters] = [0, 0];
      most = { tasks: 0, characters: 0 };
      isMeasuring = true;
      setImmediate(turn);
      await action();
      isMeasuring = false;
      turn();
      return most;
    },
  };
}

describe("with 100,000 tasks in memory no turn of the event loop reads many:", () => {
  const meter = createMeter();
  let httpServer: HttpServer;
  let close = async (): Promise<void> => undefined;

  beforeAll(async () => {
    const store = createMemoryStore({ clock: systemClock, epoch: "turns" });
    const { engine } = openEngine({ store, clock: { ...createManualClock(), ...systemClock } });
    const now = engine.now();
    const draft = (n: number): Draft =>
      create(
        { name: `task ${n}`, type: `t${n % 50}`, payload: '{"a":"needle"}', tags: ["a"] },
        TYPE_DEFAULTS,
        now,
      );
    for (let made = 0; made < TASKS; made += 1_000) {
      const drafts = Array.from({ length: 1_000 }, (_, n) => meter.counted(draft(made + n)));
      await store.insert([{ drafts, idempotency: null }], now);
    }
    const payload = JSON.stringify("x".repeat(700_000));
    for (let n = 0; n < LARGE; n++) {
      const large = create({ name: "large", type: "large", payload }, TYPE_DEFAULTS, now);
      await store.insert([{ drafts: [meter.counted(large)], idempotency: null }], now);
    }
    httpServer = openHttpServer(engine);
    close = () => engine.close();
  });
  afterAll(async () => {
    await httpServer.close();
    await close();
  });

  for (const { name, method, path, body, status, isSearch = false } of hostileRequests()) {
    test(name, async () => {
      const most = await meter.during(async () => {
        const response = await fetch(`${httpServer.url}${path}`, {
          method,
          ...(body === undefined ? {} : { body }),
        });
        expect(response.status).toBe(status);
        for await (const chunk of response.body ?? []) expect(chunk.length).toBeGreaterThan(0);
      });
      expect(most.tasks).toBeLessThanOrEqual(MOST_TASKS);
      expect(most.characters).toBeLessThanOrEqual(isSearch ? MOST_SEARCHED : MOST_CHARACTERS);
    }, 300_000);
  }
});
