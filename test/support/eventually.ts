import { setTimeout as wait } from "node:timers/promises";

const ASK_EVERY_MS = 5;
/** A machine that does much else at once stands still for seconds now and then; who waits in vain waits once. */
const PATIENCE_MS = 20_000;

/** Asks again and again until the answer satisfies; throws, with the last answer, when it does not within the time. */
export async function eventually<T>(
  ask: () => T | Promise<T>,
  satisfies: (answer: T) => boolean,
  withinMs = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (satisfies(answer)) return answer;
    if (performance.now() > deadline) {
      throw new Error(`not within ${withinMs} ms; the last answer was ${JSON.stringify(answer)}`);
    }
    await wait(ASK_EVERY_MS);
  }
}
