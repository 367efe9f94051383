/** The receive time of each answer by the browser's monotonic clock: a running task's duration grows from there, independent of the wall clock. */
const receivedAt = new WeakMap<object, number>();

export function stampReceived<T extends object>(answer: T): T {
  receivedAt.set(answer, performance.now());
  return answer;
}

/** Milliseconds since the answer was received. */
export const ageMs = (answer: object): number =>
  performance.now() - (receivedAt.get(answer) ?? performance.now());
