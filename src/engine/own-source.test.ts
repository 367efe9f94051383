import { describe, expect, test } from "bun:test";
import { settled } from "../../test/support/clock.ts";
import { openEngine } from "../../test/support/engine.ts";
import { ask, counting, create, DONE, NEVER } from "../../test/support/verbs.ts";
import { createOwnSource } from "./own-source.ts";

const SECOND = 1_000;

function open() {
  const { engine, clock } = openEngine();
  const source = createOwnSource(engine, clock);
  const claims: number[][] = [];
  const claim = (signal: AbortSignal = NEVER): Promise<void> =>
    source
      .claim(ask({ worker: "own" }), signal)
      .then(({ tasks }) => void claims.push(tasks.map(({ id }) => id)));
  return { engine, clock, claim, claims };
}

describe("the server's own processor", () => {
  test("gets due tasks while it is not drained", async () => {
    const { engine, claim, claims } = open();
    await create(engine);
    await claim();
    expect(claims).toEqual([[1]]);
  });

  test("gets no tasks while it is drained, and is still listed", async () => {
    const { engine, clock, claim, claims } = open();
    await engine.drain("own", true);
    await create(engine);
    void claim();
    await clock.advance(90 * SECOND);
    expect(claims).toEqual([]);
    await engine.drain("own", false);
    await clock.advance(2 * SECOND);
    expect(claims).toEqual([[1]]);
  });

  test("that already waits gets no more tasks from one second after a drain", async () => {
    const { engine, clock, claim, claims } = open();
    void claim();
    await clock.advance(5 * SECOND);
    await engine.drain("own", true);
    await clock.advance(3 * SECOND);
    await create(engine);
    await clock.advance(5 * SECOND);
    expect(claims).toEqual([]);
    expect((await engine.stats()).workers).toMatchObject([{ name: "own", isDraining: true }]);
  });

  test("ends its wait when its signal aborts, drained or not", async () => {
    for (const isDrained of [false, true]) {
      const { engine, clock, claim, claims } = open();
      if (isDrained) await engine.drain("own", true);
      const leaving = new AbortController();
      void claim(leaving.signal);
      await clock.advance(3 * SECOND);
      leaving.abort();
      await settled();
      expect(claims).toEqual([[]]);
    }
  });
});

describe("changes of tasks", () => {
  /** Counts the reads of the change log. */
  function openCounting() {
    const { around, take } = counting();
    const { engine, clock } = openEngine({ around });
    const source = createOwnSource(engine, clock);
    const hints: unknown[] = [];
    source.onRevoked((hint) => hints.push(hint));
    const run = async () => {
      await create(engine);
      const [task] = (await source.claim(ask({ worker: "own" }), NEVER)).tasks;
      if (task === undefined) throw new Error("expected a task");
      return task;
    };
    return { engine, clock, source, hints, run, reads: () => take("changes") };
  }

  test("are not read while no task runs, nor for tasks that take milliseconds", async () => {
    const { clock, source, run, reads } = openCounting();
    await clock.advance(5 * SECOND);
    for (let n = 0; n < 10; n++) {
      const { id, token } = await run();
      await clock.advance(100);
      await source.settle(id, token, DONE);
      await clock.advance(100);
    }
    expect(reads()).toBe(0);
  });

  test("before the first read make the processor ask for all its tasks; later ones are reported as they come", async () => {
    const { engine, clock, hints, run } = openCounting();
    const { id } = await run();
    await clock.advance(300);
    expect(hints).toEqual([{ id, version: null }]);
    await engine.cancel(id);
    await clock.advance(20);
    expect(hints.slice(1)).toEqual([{ id, version: 3 }]);
  });
});
