/**
 * Prints the result of each side of the drain: one line on standard output. The time runs from just before the start of the workers
 * until the end of the last job is stored, not only until the last handler returns. Runs on Bun and on Node.js.
 */
export type Drained = { readonly seconds: number; readonly cpuSeconds: number };

/** The last batch of outcomes is written within milliseconds after the last handler. */
const POLL_MS = 5;

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, POLL_MS));

export const drain = async (side: {
  readonly jobs: number;
  /** Starts the workers, which call `handled` for each job. */
  readonly start: (handled: () => void) => unknown;
  /** Whether the end of every job is stored; called only after the last handler has returned. */
  readonly isEmpty: () => Promise<boolean>;
}): Promise<never> => {
  let count = 0;
  const all = Promise.withResolvers<void>();
  const handled = (): void => {
    count += 1;
    if (count === side.jobs) all.resolve();
  };
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  await side.start(handled);
  await all.promise;
  while (!(await side.isEmpty())) await pause();
  const seconds = (performance.now() - startedAt) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  if (count !== side.jobs) throw new Error(`${side.jobs} jobs were handled ${count} times`);
  const drained: Drained = { seconds, cpuSeconds: (cpu.user + cpu.system) / 1e6 };
  console.log(JSON.stringify(drained));
  process.exit(0);
};

/** `count` jobs in batches of at most `size`. */
export const jobs = function* (count: number, size: number) {
  for (let from = 0; from < count; from += size) {
    yield Array.from({ length: Math.min(size, count - from) }, (_, at) => job(from + at));
  }
};

/** The same names as in the load generator. */
const job = (n: number) => ({
  name: `task ${String(n).padStart(8, "0")}`,
  description: "some description of the work",
});
