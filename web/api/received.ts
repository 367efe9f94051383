/** When an answer came, by this browser's own steady clock: a running task's duration grows from there, whatever its wall clock says. */
const receivedAt = new WeakMap<object, number>();

export function stampReceived<T extends object>(answer: T): T {
  receivedAt.set(answer, performance.now());
  return answer;
}

/** How long ago the answer came, in milliseconds. */
export const ageMs = (answer: object): number =>
  performance.now() - (receivedAt.get(answer) ?? performance.now());
