import { setTimeout as wait } from "node:timers/promises";

/** Often at first, so that no test is slow; less often then, so that tests that wait for long leave the machine to the others. */
const PAUSE = { firstMs: 2, growth: 1.25, mostMs: 100 };
/** A machine that does much else at once stands still for seconds now and then. Only a test that fails waits for so long. */
const PATIENCE_MS = 120_000;

/** Asks again and again until the answer satisfies; throws, with the last answer, when it does not within the time. */
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
