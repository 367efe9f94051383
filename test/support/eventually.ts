import { setTimeout as wait } from "node:timers/promises";

/** The pauses are short at first, so that no test is slow, and longer later, so that long waits use little processor time. */
const PAUSE = { firstMs: 2, growth: 1.25, mostMs: 100 };
/** A busy machine may stop a process for seconds. Only a test that fails waits this long. */
const PATIENCE_MS = 120_000;

/** Asks again until the answer satisfies the condition. Throws with the last answer when the time is over. */
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
