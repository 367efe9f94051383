import { describe, expect, test } from "bun:test";
import { createManualClock, settled } from "../../test/support/clock.ts";
import { createRandom } from "../../test/support/random.ts";
import type { Clock } from "../core/clock.ts";
import { parseDurationMs } from "../core/duration.ts";
import { type HandlerTask, readVerdict } from "../processor/handler.ts";
import { createSimulate, type Simulation } from "./simulate.ts";

const MINUTE_MS = 60_000;
const RUNS = 10_000;
const MOST = 1 - 2 ** -53;

const TASK: HandlerTask = {
  id: 1,
  name: "n",
  description: "",
  type: "simulate",
  tags: [],
  labels: {},
  attempt: 1,
  payload: null,
  payloadText: null,
  losses: 0,
  createdAt: 0,
};

/** A clock whose timers fire at once. It adds up their delays. */
function createInstantClock(): Clock {
  let elapsed = 0;
  return {
    now: () => elapsed,
    monotonic: () => elapsed,
    after: (delayMs, run) => {
      elapsed += delayMs;
      queueMicrotask(run);
      return () => undefined;
    },
  };
}

type Ended = { readonly durationMs: number; readonly failed: boolean };

/** The durations and failures of many runs of one simulation. */
async function simulate(runs: number, setup: Partial<Simulation>): Promise<Ended[]> {
  const clock = createInstantClock();
  const handler = createSimulate({
    minMs: 3 * MINUTE_MS,
    maxMs: 5 * MINUTE_MS,
    failureRate: 0,
    random: createRandom(1),
    ...setup,
    clock,
  });
  const { signal } = new AbortController();
  const ended: Ended[] = [];
  for (let run = 0; run < runs; run++) {
    const from = clock.monotonic();
    const value = await handler(TASK, { signal, progress: () => undefined, log: () => undefined });
    ended.push({ durationMs: clock.monotonic() - from, failed: readVerdict(value) !== null });
  }
  return ended;
}

/** The deviation of the counts from an even distribution: Pearson's chi-squared statistic. */
function chiSquare(counts: readonly number[]): number {
  const even = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return counts.reduce((sum, count) => sum + (count - even) ** 2 / even, 0);
}

describe("simulated work takes a time", () => {
  test("that is drawn evenly between the bounds", async () => {
    const counts = new Array<number>(20).fill(0);
    for (const { durationMs } of await simulate(RUNS, {})) {
      const share = (durationMs - 3 * MINUTE_MS) / (2 * MINUTE_MS);
      const bucket = Math.min(19, Math.floor(share * 20));
      counts[bucket] = (counts[bucket] ?? 0) + 1;
    }
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(RUNS);
    // With 19 degrees of freedom, even draws exceed 43.8 for one seed of a thousand. This seed is fixed, so the test always has the same result.
    expect(chiSquare(counts)).toBeLessThan(43.8);
  });

  test.each([
    ["the shortest", 0, 3 * MINUTE_MS],
    ["the middle", 0.5, 4 * MINUTE_MS],
    ["the longest", MOST, 5 * MINUTE_MS],
  ])("%s for a draw of %d", async (_which, draw, durationMs) => {
    const [ended] = await simulate(1, { random: () => draw });
    expect(ended?.durationMs).toBeCloseTo(durationMs, 3);
  });

  test.each([0, 1, 249, 250, 251, 5_000, 5_001])("of exactly %d ms if both bounds are equal", async (ms) => {
    const [ended] = await simulate(1, { minMs: ms, maxMs: ms });
    expect(ended?.durationMs).toBeCloseTo(ms, 6);
  });

  test("that its result names", async () => {
    const clock = createInstantClock();
    const handler = createSimulate({
      minMs: 500,
      maxMs: 90_000,
      failureRate: 0,
      random: createRandom(7),
      clock,
    });
    const { signal } = new AbortController();
    const value = await handler(TASK, { signal, progress: () => undefined, log: () => undefined });
    const { simulated } = value as { simulated: string }; // not a verdict, because the rate of failures is 0
    expect(parseDurationMs(simulated)).toBeCloseTo(clock.monotonic(), 6);
  });
});

describe("simulated work fails", () => {
  test.each([
    [0, 0, 0],
    [0.2, 0.188, 0.212], // three standard deviations of ten thousand draws
    [0.5, 0.485, 0.515],
    [1, 1, 1],
  ])("at a rate of %d in a share from %d to %d of its runs", async (failureRate, least, most) => {
    const ended = await simulate(RUNS, { failureRate, minMs: 1, maxMs: 2, random: createRandom(3) });
    const share = ended.filter(({ failed }) => failed).length / RUNS;
    expect(share).toBeGreaterThanOrEqual(least);
    expect(share).toBeLessThanOrEqual(most);
  });

  test("never at a rate of 0 and always at a rate of 1, also for the smallest and the largest draw", async () => {
    const [lowest] = await simulate(1, { failureRate: 0, random: () => 0 });
    const [highest] = await simulate(1, { failureRate: 1, random: () => MOST });
    expect([lowest?.failed, highest?.failed]).toEqual([false, true]);
  });

  test("independent of its duration", async () => {
    const ended = await simulate(RUNS, { failureRate: 0.5, random: createRandom(5) });
    const mean = (runs: readonly Ended[]) =>
      runs.reduce((sum, { durationMs }) => sum + durationMs, 0) / runs.length;
    const failed = mean(ended.filter((run) => run.failed));
    const done = mean(ended.filter((run) => !run.failed));
    expect(Math.abs(failed - done)).toBeLessThan(0.02 * (2 * MINUTE_MS));
  });

  test("with a code and a sentence that name the simulation", async () => {
    const handler = createSimulate({
      minMs: 0,
      maxMs: 0,
      failureRate: 1,
      random: () => 0,
      clock: createInstantClock(),
    });
    const { signal } = new AbortController();
    const value = await handler(TASK, { signal, progress: () => undefined, log: () => undefined });
    expect(readVerdict(value)).toEqual({
      kind: "failed",
      error: {
        code: "simulated_failure",
        message: "Simulated failure: 1 of all simulated tasks fail (SIMULATE_FAILURE_RATE)",
      },
      retryable: true,
      retryAfterMs: null,
    });
  });
});

/** A run with a clock that the test moves. */
function begin(durationMs: number, abort = new AbortController()) {
  const clock = createManualClock();
  const shown: { readonly at: number; readonly percent: number }[] = [];
  const words: (string | undefined)[] = [];
  const lines: string[] = [];
  let state: "running" | "ended" | "aborted" = "running";
  const handler = createSimulate({
    minMs: durationMs,
    maxMs: durationMs,
    failureRate: 0,
    random: () => 0.5,
    clock,
  });
  const context = {
    signal: abort.signal,
    progress: (percent: number, message?: string) => {
      shown.push({ at: clock.monotonic(), percent });
      words.push(message);
    },
    log: (message: string) => void lines.push(message),
  };
  handler(TASK, context).then(
    () => {
      state = "ended";
    },
    () => {
      state = "aborted";
    },
  );
  return { clock, shown, words, lines, abort, state: () => state };
}

describe("simulated work reports what it does", () => {
  test("in the text of its progress, and in a log line at the start of each phase and at the end", async () => {
    const { clock, words, lines } = begin(10_000);
    expect(lines).toEqual(["This is simulated work: it takes 10s", "Reading the input"]);
    await clock.advance(10_000);
    expect([...new Set(words)]).toEqual(["reading the input", "working", "writing the result"]);
    expect(words.indexOf("working")).toBe(3); // after steps of 5, 10 and 15 per cent
    expect(lines.slice(2)).toEqual(["Working", "Writing the result", "Done"]);
  });

  test("only in the log if it is aborted at its start", async () => {
    const { lines, abort } = begin(10_000);
    abort.abort();
    await settled();
    expect(lines).toHaveLength(2);
  });

  test("not in the log if it takes less than a second", async () => {
    const { clock, lines } = begin(999);
    await clock.advance(999);
    expect(lines).toEqual([]);
  });

  test("with the failure as a warning", async () => {
    const lines: [message: string, level?: string | undefined][] = [];
    const handler = createSimulate({
      minMs: 1_000,
      maxMs: 1_000,
      failureRate: 1,
      random: () => 0,
      clock: createInstantClock(),
    });
    const { signal } = new AbortController();
    await handler(TASK, { signal, progress: () => undefined, log: (...line) => void lines.push(line) });
    expect(lines.at(-1)).toEqual(["The work fails because of SIMULATE_FAILURE_RATE=1", "warn"]);
  });
});

describe("simulated work shows its progress", () => {
  test.each([
    [0, []],
    [250, []],
    [500, [50]],
    [1_000, [25, 50, 75]],
    [1_250, [20, 40, 60, 80]],
  ])("over %d ms as %j percent", async (durationMs, percents) => {
    const { clock, shown, state } = begin(durationMs);
    await clock.advance(durationMs);
    expect(shown.map(({ percent }) => percent)).toEqual(percents);
    expect(state()).toBe("ended");
  });

  test("in twenty even steps when it takes long", async () => {
    const { clock, shown } = begin(4 * MINUTE_MS);
    await clock.advance(4 * MINUTE_MS);
    expect(shown).toEqual(
      Array.from({ length: 19 }, (_, at) => ({ at: (at + 1) * 12_000, percent: (at + 1) * 5 })),
    );
  });

  test("and does not end before its time", async () => {
    const { clock, state } = begin(4 * MINUTE_MS);
    await clock.advance(4 * MINUTE_MS - 1);
    expect(state()).toBe("running");
    await clock.advance(1);
    expect(state()).toBe("ended");
  });
});

describe("an abort ends simulated work", () => {
  test("at once in the middle of a step, and no timer remains", async () => {
    const { clock, shown, abort, state } = begin(4 * MINUTE_MS);
    await clock.advance(30_000);
    abort.abort("cancelled");
    await settled();
    expect(state()).toBe("aborted");
    const before = shown.length;
    await clock.advance(10 * MINUTE_MS);
    expect(shown).toHaveLength(before);
  });

  test("before its first step if it came earlier", async () => {
    const abort = new AbortController();
    abort.abort("shutdown");
    const { shown, state } = begin(4 * MINUTE_MS, abort);
    await settled();
    expect(state()).toBe("aborted");
    expect(shown).toEqual([]);
  });

  test("without effect if the work has ended already", async () => {
    const { clock, abort, state } = begin(1_000);
    await clock.advance(1_000);
    abort.abort("cancelled");
    await settled();
    expect(state()).toBe("ended");
  });
});
