/**
 * A processor that loses its source. Its handlers are in separate processes and ignore every signal to stop. After the end of a
 * lease another processor may run the task, so the process of the first processor must have ended by then.
 */
import { describe, expect, test } from "bun:test";
import { createManualClock, settled } from "../../test/support/clock.ts";
import { createTestLog } from "../../test/support/engine.ts";
import { runningTask } from "../../test/support/tasks.ts";
import { TYPE_DEFAULTS } from "../core/lifecycle.ts";
import { createHandlerProcesses } from "./handler-processes/handler-processes.ts";
import { type FromHandlers, HEARTBEAT_EVERY_MS, type ToHandlers } from "./handler-processes/messages.ts";
import { createProcessor } from "./processor.ts";
import type { TaskSource } from "./source.ts";

type Loss = {
  readonly leaseMs: number;
  /** The time from the claim to the loss of the source. */
  readonly lostAtMs: number;
  /** Calls of a lost source fail at once, or get no answer. */
  readonly how: "fails" | "is silent";
  /** The timeout of the task. */
  readonly timeoutMs: number | null;
  /** The time from the claim until the answer to a heartbeat is `cancel`. */
  readonly cancelAtMs: number | null;
};

/** The times from the claim to the stop of the handler, to the kill of its process, and to the end of its lease. */
async function lose(loss: Loss) {
  const { leaseMs } = loss;
  const clock = createManualClock();
  const log = createTestLog();
  let stoppedAt = Number.NaN;
  let killedAt = Number.NaN;
  let leaseEndsAt = leaseMs;
  let isOffered = true;

  const processes = createHandlerProcesses({
    ...{ processes: 1, clock, log, onTypes: () => undefined },
    spawn: (on) => {
      let isAlive = true;
      const say = (message: FromHandlers): void => {
        if (isAlive) on.message(message);
      };
      const live = (): void => {
        say({ kind: "heartbeat" });
        if (isAlive) clock.after(HEARTBEAT_EVERY_MS, live);
      };
      queueMicrotask(() => {
        say({ kind: "ready", types: [["work", TYPE_DEFAULTS]] });
        live();
      });
      return {
        pid: 1,
        send: (message: ToHandlers) => {
          if (message.kind === "stop") stoppedAt = clock.monotonic();
        },
        kill: () => {
          if (!isAlive) return;
          isAlive = false;
          killedAt = clock.monotonic();
          queueMicrotask(() => on.ended({ code: null, signal: "SIGKILL" }));
        },
      };
    },
  });

  const isLost = (): boolean => clock.monotonic() >= loss.lostAtMs;
  const lost = (): Promise<never> =>
    loss.how === "fails" ? Promise.reject(new Error("away")) : new Promise(() => undefined);
  const source: TaskSource = {
    claim: async () => {
      if (!isOffered) return new Promise(() => undefined);
      isOffered = false;
      const task = { ...runningTask({ type: "work" }), timeoutMs: loss.timeoutMs };
      return { tasks: [task], leasedAt: clock.monotonic() };
    },
    extend: async (beats) => {
      if (isLost()) return lost();
      leaseEndsAt = clock.monotonic() + leaseMs;
      const isCancelled = loss.cancelAtMs !== null && clock.monotonic() >= loss.cancelAtMs;
      return beats.map(() => (isCancelled ? "cancel" : "ok"));
    },
    settle: lost,
    onRevoked: () => () => undefined,
  };
  const processor = createProcessor({
    ...{ source, clock, log, leaseMs, worker: "w", concurrency: 1, kill: processes.kill },
    handlers: new Map([["work", processes.handler]]),
  });
  await processes.start();
  processor.start();
  await settled();
  while (Number.isNaN(killedAt) && clock.monotonic() < loss.lostAtMs + 2 * leaseMs + 60_000) {
    await clock.advance(leaseMs / 100);
  }
  return { stoppedAt, killedAt, leaseEndsAt };
}

const LEASES = [1_000, 1_200, 2_000, 3_000, 5_000, 10_000, 29_000, 30_000, 60_000];
/** When the source is lost, in lengths of the lease, so that heartbeats are interrupted at every stage. */
const PHASES = [0, 0.2, 0.334, 0.5, 0.9, 1.13, 1.7];

describe.each(LEASES)("with a lease of %i ms", (leaseMs) => {
  const losses = PHASES.flatMap((phase) =>
    (["fails", "is silent"] as const).map((how) => ({ leaseMs, how, lostAtMs: phase * leaseMs })),
  );

  test("the process is killed before the lease ends, and the handler is told to stop earlier", async () => {
    for (const loss of losses) {
      const { stoppedAt, killedAt, leaseEndsAt } = await lose({ ...loss, timeoutMs: null, cancelAtMs: null });
      expect(killedAt).toBeLessThanOrEqual(leaseEndsAt);
      expect(stoppedAt).toBeGreaterThanOrEqual(leaseEndsAt - leaseMs / 6); // not earlier than necessary
      expect(killedAt - stoppedAt).toBeGreaterThanOrEqual(leaseMs / 60); // the handler always has some time to stop
    }
  });

  test("the process is also killed in time if a timeout or a cancel request has told the handler to stop earlier", async () => {
    for (const loss of losses) {
      const { lostAtMs } = loss;
      const late = lostAtMs + leaseMs / 2;
      for (const [timeoutMs, cancelAtMs] of [
        [late, null],
        [null, lostAtMs / 2],
      ] as const) {
        const { killedAt, leaseEndsAt } = await lose({ ...loss, timeoutMs, cancelAtMs });
        expect(killedAt).toBeLessThanOrEqual(leaseEndsAt);
      }
    }
  });
});

test("with a long lease a handler has seconds to stop", async () => {
  const { stoppedAt, killedAt } = await lose({
    ...{ leaseMs: 30_000, lostAtMs: 1_000, how: "fails", timeoutMs: null, cancelAtMs: null },
  });
  expect(killedAt - stoppedAt).toBeGreaterThanOrEqual(3_000);
});
