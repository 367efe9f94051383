/**
 * No request holds the event loop for long, whatever it asks for: with 100,000 tasks in memory, every route gets its largest
 * input, and what it looks at between two turns of the event loop is counted: tasks (each read of a name) and characters of
 * payloads. Counts do not depend on the machine.
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

/** The memory store looks at 5,000 rows a call, and some of it reads a name twice. */
const MOST_TASKS = 15_000;
/** A search takes up to a mebibyte of payloads and one task more, and asks for each payload up to four times. */
const MOST_SEARCHED = 8 * 1_048_576;
/** A page of whole tasks is measured before it is handed out: eight mebibytes of lengths. */
const MOST_CHARACTERS = 20 * 1_048_576;

/** What was looked at since the last turn of the event loop, and the most of any turn. */
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
    /** A draft whose name and payload count when they are read; a store that takes it over counts with it. */
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
    async during(deed: () => Promise<unknown>): Promise<typeof most> {
      [tasks, characters] = [0, 0];
      most = { tasks: 0, characters: 0 };
      isMeasuring = true;
      setImmediate(turn);
      await deed();
      isMeasuring = false;
      turn();
      return most;
    },
  };
}

describe("with 100,000 tasks in memory no turn of the event loop visits many:", () => {
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
