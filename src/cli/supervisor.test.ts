import { describe, expect, test } from "bun:test";
import { createManualClock } from "../../test/support/clock.ts";
import { createTestLog } from "../../test/support/engine.ts";
import { createSupervisor, type Exit } from "./supervisor.ts";

const TERM: Exit = { code: 0, signal: null };
const KILLED: Exit = { code: null, signal: "SIGKILL" };

/** A supervisor whose processes the test controls. */
function openSupervisor(count: number) {
  const clock = createManualClock();
  const log = createTestLog();
  const born: { pid: number; bornAt: number; signals: string[]; listens(): void; ends(exit: Exit): void }[] =
    [];
  const supervisor = createSupervisor({
    count,
    clock,
    log,
    spawn: (on) => {
      const signals: string[] = [];
      const pid = born.length + 1;
      born.push({ pid, bornAt: clock.monotonic(), signals, listens: on.listening, ends: on.ended });
      return { pid, kill: (signal) => void signals.push(signal) };
    },
  });
  const child = (pid: number) => {
    const found = born[pid - 1];
    if (found === undefined) throw new Error(`there is no process ${pid}`);
    return found;
  };
  return { clock, log, supervisor, born, child };
}

async function openRunning(count: number) {
  const opened = openSupervisor(count);
  const started = opened.supervisor.start();
  opened.child(1).listens();
  expect(await started).toBeNull();
  return opened;
}

describe("several processes", () => {
  test("start with one, and the others follow when it listens", async () => {
    const { supervisor, born, child, clock } = openSupervisor(3);
    const started = supervisor.start();
    await clock.advance(10_000);
    expect(born).toHaveLength(1);
    child(1).listens();
    expect(await started).toBeNull();
    expect(born).toHaveLength(3);
  });

  test("do not start if the first one ends before it listens; its exit code is returned", async () => {
    const { supervisor, born, child, clock } = openSupervisor(3);
    const started = supervisor.start();
    child(1).ends({ code: 2, signal: null });
    expect(await started).toBe(2);
    await clock.advance(100_000);
    expect(born).toHaveLength(1);
  });

  test("are restarted one by one when they end, with longer pauses if they end soon", async () => {
    const { child, clock, born, log } = await openRunning(2);
    const waits: number[] = [];
    for (let pid = 2; pid <= 10; pid++) {
      const endedAt = clock.monotonic();
      child(pid).ends(KILLED);
      await clock.advance(40_000 - 1);
      waits.push((born[pid]?.bornAt ?? Number.NaN) - endedAt);
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    expect(log.logged[0]).toMatchObject({
      level: "error",
      event: "process_ended",
      fields: { ended_pid: 2, code: null, signal: "SIGKILL", restart_in_ms: 500 },
    });
    await clock.advance(100_000);
    child(11).ends(KILLED);
    await clock.advance(500);
    expect(born).toHaveLength(12);
    expect(child(1).signals).toEqual([]);
  });

  test("all get the signal, and the end of the last one is awaited", async () => {
    const { supervisor, child } = await openRunning(3);
    let code: number | null = null;
    const stopped = supervisor.stop("SIGINT").then((exitCode) => {
      code = exitCode;
    });
    for (const pid of [1, 2, 3]) expect(child(pid).signals).toEqual(["SIGINT"]);
    child(1).ends(TERM);
    child(3).ends(TERM);
    await Promise.resolve();
    expect(code).toBeNull();
    child(2).ends(TERM);
    await stopped;
    expect(code as number | null).toBe(0);
  });

  test.each([
    ["well", TERM, 0],
    ["of the signal, before it could listen to it", { code: null, signal: "SIGTERM" }, 0],
    ["badly", { code: 1, signal: null }, 1],
    ["by a kill", KILLED, 1],
  ] as const)("that are stopped have the highest exit code of them: %s", async (_, exit, expected) => {
    const { supervisor, child } = await openRunning(2);
    const stopped = supervisor.stop("SIGTERM");
    child(1).ends(exit);
    child(2).ends(TERM);
    expect(await stopped).toBe(expected);
  });

  test("are not restarted after the signal to stop", async () => {
    const { supervisor, child, born, clock } = await openRunning(2);
    child(2).ends(KILLED);
    const stopped = supervisor.stop("SIGTERM");
    child(1).ends(TERM);
    expect(await stopped).toBe(0);
    await clock.advance(100_000);
    expect(born).toHaveLength(2);
  });

  test("are not started after a stop during the start", async () => {
    const { supervisor, child, born } = openSupervisor(2);
    const started = supervisor.start();
    const stopped = supervisor.stop("SIGTERM");
    child(1).ends(TERM);
    expect([await started, await stopped, born.length]).toEqual([null, 0, 1]);
  });

  test("are all killed by kill", async () => {
    const { supervisor, child } = await openRunning(2);
    supervisor.kill();
    for (const pid of [1, 2]) expect(child(pid).signals).toEqual(["SIGKILL"]);
  });
});
