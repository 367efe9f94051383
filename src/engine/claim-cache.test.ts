import { describe, expect, test } from "bun:test";
import { LEASE_MS, openEngine } from "../../test/support/engine.ts";
import { claim, codeOf, counting, create, DONE, FAILED } from "../../test/support/verbs.ts";
import type { RunningTask } from "../core/task.ts";
import { createClaimCache } from "./claim-cache.ts";

const beatOf = (task: RunningTask, percent: number | null = null) => ({
  id: task.id,
  token: task.token,
  progress: percent === null ? null : { percent, message: "" },
  log: [],
});

function open() {
  const { around, take } = counting();
  return { ...openEngine({ around }), take };
}

describe("a task that was claimed here", () => {
  test("is settled without a read", async () => {
    const { engine, take } = open();
    await create(engine);
    const task = await claim(engine);
    await engine.settle(task.id, task.token, DONE);
    expect([take("get"), take("replace")]).toEqual([0, 1]);
    expect((await engine.get(task.id)).status).toBe("done");
  });

  test("is settled without a read after heartbeats, with their progress", async () => {
    const { engine, clock, take } = open();
    await create(engine);
    const task = await claim(engine);
    for (const percent of [10, null, 60]) {
      await clock.advance(LEASE_MS / 2);
      expect(await engine.extend([beatOf(task, percent)])).toEqual(["ok"]);
    }
    await engine.settle(task.id, task.token, FAILED);
    expect([take("get"), take("replace")]).toEqual([0, 1]);
    expect(await engine.get(task.id)).toMatchObject({ progress: { percent: 60 }, failures: 1 });
  });

  test("is read again after another change, and keeps that change", async () => {
    const { engine, take } = open();
    await create(engine);
    const task = await claim(engine);
    await engine.edit(task.id, { name: "renamed" });
    take("get");
    await engine.settle(task.id, task.token, DONE);
    expect(take("get")).toBe(1);
    expect(await engine.get(task.id)).toMatchObject({ status: "done", name: "renamed" });
  });

  test("is read again if its lease was renewed by another process, although the known one has run out", async () => {
    const { engine, store, clock } = open();
    await create(engine);
    const task = await claim(engine);
    await store.extend([beatOf(task)], engine.now() + LEASE_MS / 2);
    await clock.advance(LEASE_MS + 1);
    await engine.settle(task.id, task.token, DONE);
    expect((await engine.get(task.id)).status).toBe("done");
  });

  test("is settled with `lease_lost` if its lease was lost", async () => {
    const { engine, clock } = open();
    await create(engine);
    const task = await claim(engine);
    await clock.advance(LEASE_MS);
    await engine.sweep();
    expect(await codeOf(engine.settle(task.id, task.token, DONE))).toBe("lease_lost");
  });

  test("is settled as cancelled if the answer to a heartbeat was `cancel`", async () => {
    const { engine } = open();
    await create(engine);
    const task = await claim(engine);
    await engine.cancel(task.id);
    expect(await engine.extend([beatOf(task)])).toEqual(["cancel"]);
    await engine.settle(task.id, task.token, FAILED);
    expect((await engine.get(task.id)).status).toBe("cancelled");
  });

  test("is removed when its lease is lost", async () => {
    const { engine, clock } = open();
    await create(engine);
    const task = await claim(engine);
    const cache = createClaimCache();
    const settle = () => cache.settle(task.id, { token: task.token, outcome: DONE }, engine.now(), 0);
    cache.add([task]);
    cache.forgetLost(({ lease }) => lease.until <= task.lease.until - 1);
    expect(settle()).not.toBeNull();
    cache.add([task]);
    cache.forgetLost(({ lease }) => lease.until <= task.lease.until);
    await clock.advance(0);
    expect(settle()).toBeNull();
  });
});
