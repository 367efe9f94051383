import { describe, expect, test } from "bun:test";
import { createManualClock, settled } from "../../../test/support/clock.ts";
import { createTestLog } from "../../../test/support/engine.ts";
import { CANCEL_GRACE_MS } from "../../core/lease.ts";
import { TYPE_DEFAULTS, type TypeDefaults } from "../../core/lifecycle.ts";
import type { Outcome } from "../../core/outcome.ts";
import { type HandlerTask, readVerdict } from "../handler.ts";
import type { StopReason } from "../stop.ts";
import { createHandlerProcesses } from "./handler-processes.ts";
import { type FromHandlers, HEARTBEAT_EVERY_MS, type ToHandlers } from "./messages.ts";
import type { ProcessExit } from "./process.ts";
import { OVERTIME_MS } from "./runs.ts";
import { SILENT_AFTER_MS } from "./watchdog.ts";

const DONE: Outcome = { kind: "done", result: '"well"' };
const RELEASED: Outcome = { kind: "released", delayMs: 0 };
const CRASHED: ProcessExit = { code: 3, signal: null };
const KILLED: ProcessExit = { code: null, signal: "SIGKILL" };

/** A process that the test controls. If it is killed, it ends at once. */
type Born = {
  readonly pid: number;
  readonly got: ToHandlers[];
  readonly killedGroups: number[][];
  sends(message: FromHandlers): void;
  ends(exit: ProcessExit): void;
};

function openProcesses(count: number) {
  const clock = createManualClock();
  const log = createTestLog();
  const born: Born[] = [];
  const types: (readonly string[])[] = [];
  const processes = createHandlerProcesses({
    ...{ processes: count, clock, log },
    onTypes: (given: ReadonlyMap<string, TypeDefaults>) => types.push([...given.keys()]),
    spawn: (on) => {
      let isOver = false;
      const end = (exit: ProcessExit): void => {
        if (isOver) return;
        isOver = true;
        on.ended(exit);
      };
      const one: Born = { pid: born.length + 1, got: [], killedGroups: [], sends: on.message, ends: end };
      born.push(one);
      return {
        pid: one.pid,
        send: (message) => void one.got.push(message),
        kill: (groups) => {
          one.killedGroups.push([...groups]);
          queueMicrotask(() => end(KILLED));
        },
      };
    },
  });
  const process = (pid: number): Born => {
    const found = born[pid - 1];
    if (found === undefined) throw new Error(`there is no process ${pid}`);
    return found;
  };
  const ready = (pid: number, type = "work"): void =>
    process(pid).sends({ kind: "ready", types: [[type, TYPE_DEFAULTS]] });

  /** Moves the clock while these processes send heartbeats. */
  async function live(ms: number, ...pids: number[]): Promise<void> {
    for (let past = 0; past < ms; past += HEARTBEAT_EVERY_MS) {
      for (const pid of pids) process(pid).sends({ kind: "heartbeat" });
      await clock.advance(Math.min(HEARTBEAT_EVERY_MS, ms - past));
    }
  }

  return { clock, log, processes, born, types, process, ready, live };
}

async function openStarted(count: number) {
  const opened = openProcesses(count);
  const started = opened.processes.start();
  opened.ready(1);
  await started;
  for (let pid = 2; pid <= count; pid++) opened.ready(pid);
  return opened;
}

const TASK: HandlerTask = {
  ...{
    id: 1,
    name: "n",
    description: "",
    type: "work",
    tags: [],
    labels: {},
    attempt: 1,
    losses: 0,
    createdAt: 0,
    payload: null,
    payloadText: null,
  },
};

/** Runs a task; `outcome` is null until the task has ended. */
function runTask({ processes }: ReturnType<typeof openProcesses>, task: Partial<HandlerTask> = {}) {
  const stop = new AbortController();
  const reported: unknown[] = [];
  const given = {
    outcome: null as Outcome | null,
    reported,
    stop: (reason: StopReason) => stop.abort(reason),
  };
  const context = {
    signal: stop.signal,
    progress: (percent: number, message = "") => void reported.push([percent, message]),
    log: (message: string, level = "info") => void reported.push(`${level}: ${message}`),
  };
  void processes.handler({ ...TASK, ...task }, context).then((value) => {
    given.outcome = readVerdict(value) ?? given.outcome;
  });
  return given;
}

/** The numbers of the runs that a process was given. */
const runsOf = ({ got }: Born): number[] =>
  got.flatMap((message) => (message.kind === "run" ? [message.run] : []));

describe("a module", () => {
  test("is loaded by one process first, and by the others when the first has loaded it", async () => {
    const { processes, born, ready, types } = openProcesses(3);
    const started = processes.start();
    expect(born).toHaveLength(1);
    ready(1);
    await started;
    expect(born).toHaveLength(3);
    expect(types).toEqual([["work"]]);
  });

  test("that cannot be loaded rejects the start with its own error, and no process is started again", async () => {
    const { processes, born, process, clock } = openProcesses(3);
    const started = processes.start();
    process(1).sends({ kind: "load_failed", message: "SyntaxError: Unexpected }" });
    process(1).ends({ code: 1, signal: null });
    expect(started).rejects.toThrow("SyntaxError: Unexpected }");
    await clock.advance(100_000);
    expect(born).toHaveLength(1);
  });

  test("that takes more than a minute to load is an error", async () => {
    const { processes, clock, process } = openProcesses(1);
    const started = processes.start().catch((error: Error) => error.message);
    await clock.advance(70_000);
    expect(await started).toContain("was not loaded within 60 s");
    expect(process(1).killedGroups).not.toHaveLength(0);
  });

  test("that waits without end while it loads is an error, although its process sends heartbeats", async () => {
    const { processes, live } = openProcesses(1);
    const started = processes.start().catch((error: Error) => error.message);
    await live(70_000, 1);
    expect(await started).toContain("was not loaded within 60 s");
  });
});

describe("a task", () => {
  test("goes to the process with the fewest runs, and its outcome is returned", async () => {
    const opened = await openStarted(2);
    const first = runTask(opened);
    runTask(opened);
    runTask(opened);
    await settled();
    expect([1, 2].map((pid) => runsOf(opened.process(pid)).length).sort()).toEqual([1, 2]);
    opened.process(1).sends({ kind: "ended", run: 1, outcome: DONE });
    await settled();
    expect(first.outcome).toEqual(DONE);
  });

  test("is not given to a quiet process while another one is ready", async () => {
    const opened = await openStarted(2);
    await opened.live(4_000, 2);
    runTask(opened);
    runTask(opened);
    await settled();
    expect(runsOf(opened.process(1))).toHaveLength(0);
    expect(runsOf(opened.process(2))).toHaveLength(2);
  });

  test("shows its progress and its log lines", async () => {
    const opened = await openStarted(1);
    const task = runTask(opened);
    await settled();
    const log = [{ level: "warn", message: "careful" } as const];
    opened.process(1).sends({ kind: "update", run: 1, progress: { percent: 40, message: "half" }, log });
    expect(task.reported).toEqual([[40, "half"], "warn: careful"]);
  });

  test("waits in its slot for a process, and is released if none is ready in time", async () => {
    const opened = await openStarted(1);
    opened.process(1).ends(CRASHED);
    const lucky = runTask(opened);
    await opened.clock.advance(100);
    opened.ready(2);
    await settled();
    expect(runsOf(opened.process(2))).toHaveLength(1);
    expect(lucky.outcome).toBeNull();

    opened.process(2).ends(CRASHED);
    const unlucky = runTask(opened);
    await opened.clock.advance(10_000);
    expect(unlucky.outcome).toEqual({ kind: "released", delayMs: 10_000 });
  });
});

describe("a process that ends", () => {
  test("loses all its tasks once, and its process groups are killed; it is replaced", async () => {
    const opened = await openStarted(1);
    const tasks = [runTask(opened), runTask(opened)];
    await settled();
    opened.process(1).sends({ kind: "group", pid: 77, isOpen: true });
    opened.process(1).sends({ kind: "group", pid: 78, isOpen: true });
    opened.process(1).sends({ kind: "group", pid: 78, isOpen: false });
    opened.process(1).sends({ kind: "uncaught_error", message: "TypeError: x" });
    opened.process(1).ends(CRASHED);
    await settled();
    const lost = {
      kind: "lost",
      message: "The process of its handler ended: exit code 3: TypeError: x",
    } as const;
    expect(tasks.map(({ outcome }) => outcome)).toEqual([lost, lost]);
    expect(opened.process(1).killedGroups).toEqual([[77]]);
    await opened.clock.advance(100);
    expect(opened.born).toHaveLength(2);
  });

  test("again and again is replaced with growing pauses, which are short again after a run has ended", async () => {
    const opened = await openStarted(1);
    const pauses: number[] = [];
    const die = async (pid: number): Promise<void> => {
      opened.process(pid).ends(CRASHED);
      const from = opened.clock.monotonic();
      while (opened.born.length === pid) await opened.clock.advance(50);
      pauses.push(opened.clock.monotonic() - from);
    };
    for (let pid = 1; pid <= 9; pid++) await die(pid);
    expect(pauses).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    opened.ready(10);
    runTask(opened);
    await settled();
    opened.process(10).sends({ kind: "ended", run: 1, outcome: DONE });
    await die(10);
    expect(pauses.at(-1)).toBe(100);
  });

  test("makes its tasks run in processes of their own the next time, so that tasks without a fault are not lost again", async () => {
    const opened = await openStarted(1);
    const suspects = [runTask(opened, { losses: 1 }), runTask(opened, { losses: 1 })];
    await settled();
    opened.ready(2);
    opened.ready(3);
    await settled();
    expect(runsOf(opened.process(1))).toHaveLength(0);
    opened.process(2).ends(CRASHED);
    opened.process(3).sends({ kind: "ended", run: 2, outcome: DONE });
    await settled();
    expect(suspects.map(({ outcome }) => outcome?.kind)).toEqual(["lost", "done"]);
    expect(opened.process(3).killedGroups).not.toHaveLength(0); // the process was started for this task only
    await opened.clock.advance(20_000);
    expect(opened.born.slice(3).length).toBeLessThanOrEqual(1); // at most the replacement of the first process, which sent no messages in this test
  });
});

describe("tasks that were lost before, and run alone", () => {
  /** Four tasks run, each in its own process: the limit. */
  async function openFull() {
    const opened = await openStarted(1);
    const running = [2, 3, 4, 5].map(() => runTask(opened, { losses: 1 }));
    await settled();
    for (const pid of [2, 3, 4, 5]) opened.ready(pid);
    await settled();
    const end = async (pid: number, run: number): Promise<void> => {
      opened.process(pid).sends({ kind: "ended", run, outcome: DONE });
      await settled();
    };
    return { ...opened, running, end };
  }

  test("wait until one of the others has ended", async () => {
    const opened = await openFull();
    runTask(opened, { losses: 1 });
    await settled();
    expect(opened.born).toHaveLength(5);
    await opened.end(2, 1);
    expect(opened.born).toHaveLength(6);
  });

  test("leave all places to the other tasks if they are told to stop while they wait", async () => {
    const opened = await openFull();
    const staying = [1, 2, 3, 4].map(() => runTask(opened, { losses: 1 }));
    const leaving = [1, 2, 3, 4].map(() => runTask(opened, { losses: 1 }));
    await settled();
    for (const task of leaving) task.stop("cancelled");
    await settled();
    expect(leaving.map(({ outcome }) => outcome)).toEqual(leaving.map(() => RELEASED));
    for (const [at, pid] of [2, 3, 4, 5].entries()) await opened.end(pid, at + 1);
    expect(opened.running.map(({ outcome }) => outcome)).toEqual(opened.running.map(() => DONE));
    for (const pid of [6, 7, 8, 9]) opened.ready(pid);
    await settled();
    for (const [at, pid] of [6, 7, 8, 9].entries()) await opened.end(pid, at + 5);
    expect(staying.map(({ outcome }) => outcome)).toEqual(staying.map(() => DONE));
  });
});

describe("a process that sends no messages", () => {
  test("is killed after ten seconds, and all its tasks are lost once", async () => {
    const opened = await openStarted(1);
    const task = runTask(opened);
    await opened.clock.advance(SILENT_AFTER_MS);
    expect(task.outcome).toBeNull();
    await opened.clock.advance(1_500);
    expect(task.outcome).toMatchObject({
      kind: "lost",
      message: expect.stringContaining("sent no message for 10 s"),
    });
  });

  test("is not killed if the server was suspended and the messages of the process were waiting", async () => {
    const opened = await openStarted(1);
    const task = runTask(opened);
    for (let times = 0; times < 3; times++) {
      await opened.clock.stall(6 * SILENT_AFTER_MS);
      opened.process(1).sends({ kind: "heartbeat" });
      await opened.live(5_000, 1);
    }
    expect(task.outcome).toBeNull();
    expect(opened.process(1).killedGroups).toEqual([]);
  });

  test("is not killed while it sends heartbeats", async () => {
    const opened = await openStarted(1);
    const task = runTask(opened);
    await opened.live(120_000, 1);
    expect(task.outcome).toBeNull();
  });
});

describe("a task that continues after its abort", () => {
  const PATIENCE: readonly [StopReason, number][] = [
    ["timeout", OVERTIME_MS],
    ["lost", OVERTIME_MS],
    ["shutdown", OVERTIME_MS],
    ["cancelled", CANCEL_GRACE_MS],
  ];
  test.each(PATIENCE)(
    "(%s) is killed after %i ms, and the other tasks of its process are released",
    async (reason, patienceMs) => {
      const opened = await openStarted(1);
      const late = runTask(opened);
      const neighbour = runTask(opened);
      await settled();
      late.stop(reason);
      await settled();
      expect(opened.process(1).got.at(-1)).toEqual({ kind: "stop", run: 1, reason });
      await opened.live(patienceMs - 1_000, 1);
      expect(late.outcome).toBeNull();
      await opened.live(2_000, 1);
      expect(late.outcome).toEqual(RELEASED); // the reason of the stop decides the outcome
      expect(neighbour.outcome).toEqual(RELEASED);
    },
  );

  test("does not end its process if it ends in time", async () => {
    const opened = await openStarted(1);
    const task = runTask(opened);
    const neighbour = runTask(opened);
    await settled();
    task.stop("timeout");
    opened.process(1).sends({ kind: "ended", run: 1, outcome: RELEASED });
    await opened.live(60_000, 1);
    expect(neighbour.outcome).toBeNull();
  });
});

describe("a module that is loaded again", () => {
  test("gets the new tasks, while the old processes end with their last task", async () => {
    const opened = await openStarted(2);
    const old = runTask(opened);
    await settled();
    const busy = runsOf(opened.process(1)).length === 1 ? 1 : 2;
    const reloaded = opened.processes.reload();
    opened.ready(3, "other");
    await reloaded;
    await settled();
    expect(opened.types.at(-1)).toEqual(["other"]);
    expect(opened.process(busy).killedGroups).toEqual([]);
    expect(opened.process(3 - busy).killedGroups).not.toEqual([]);
    runTask(opened);
    await settled();
    expect(runsOf(opened.process(3))).toHaveLength(1);
    opened.process(busy).sends({ kind: "ended", run: 1, outcome: DONE });
    await settled();
    expect(old.outcome).toEqual(DONE);
    expect(opened.process(busy).killedGroups).not.toEqual([]);
    opened.ready(4, "other");
    await opened.live(20_000, 3, 4);
    expect(opened.born).toHaveLength(4);
  });

  test("but has an error, leaves the old processes running", async () => {
    const opened = await openStarted(1);
    const reloaded = opened.processes.reload();
    opened.process(2).sends({ kind: "load_failed", message: "SyntaxError" });
    opened.process(2).ends(CRASHED);
    await reloaded;
    expect(opened.log.events).toContain("handlers_not_reloaded");
    const task = runTask(opened);
    await settled();
    expect(runsOf(opened.process(1))).toHaveLength(1);
    expect(task.outcome).toBeNull();
    await opened.live(20_000, 1);
    expect(opened.born).toHaveLength(2);
  });
});

describe("a kill", () => {
  test("ends all processes, releases their tasks and starts no process again", async () => {
    const opened = await openStarted(2);
    const tasks = [runTask(opened), runTask(opened), runTask(opened, { losses: 1 })];
    await settled();
    opened.processes.kill();
    await opened.clock.advance(60_000);
    expect(tasks.map(({ outcome }) => outcome)).toEqual([RELEASED, RELEASED, RELEASED]);
    expect(opened.born).toHaveLength(3);
  });
});
