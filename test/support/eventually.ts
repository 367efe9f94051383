import { setTimeout as wait } from "node:timers/promises";

/** Often at first, so that no test is slow; less often later, so that tests that wait for long leave the processor to the others. */
const PAUSE = { firstMs: 2, growth: 1.25, mostMs: 100 };
/** A busy machine may stop a process for seconds. Only a test that fails waits for so long. */
const PATIENCE_MS = 120_000;

/** Asks again until the answer satisfies; throws with the last answer if it does not within the time. */
export async function eventually<T>(
  ask: () => T | Promise<T>,
  satisfies: (answer: T) => boolean,
  withinMs = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (let pauseMs = PAUSE.firstMs; ; pauseMs = Math.min(PAUSE.mostMs, pauseMs * PAUSE.growth)) {
    const answer = await ask();
    if (satisfies(answer)) return answer;
    if (performance.now() > deadline) {
      throw new Error(`not within ${withinMs} ms; the last answer was ${JSON.stringify(answer)}`);
    }
    await wait(pauseMs);
  }
}
