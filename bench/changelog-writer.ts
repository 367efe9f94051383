/**
 * One of several processes that create tasks at once: `CREATORS` calls of the engine are always under way. Prints a line when
 * it is ready, starts when it reads a line, and prints how many tasks it has created in this number of milliseconds.
 *
 *   STORE_URL=postgres://… bun bench/changelog-writer.ts MILLISECONDS
 */
import { createBenchEngine, openTaskStore } from "./tasktrack.ts";

const CREATORS = 64;
const SPEC = { name: "task 00000000", description: "some description of the work", type: "work" };

const engine = createBenchEngine(await openTaskStore(process.env.STORE_URL ?? ""));
await engine.start();
await engine.create([SPEC]);
console.log("ready");

const lines = console[Symbol.asyncIterator]();
await lines.next();
const endsAt = performance.now() + Number(Bun.argv[2]);
let created = 0;

const createUntilTheEnd = async (): Promise<void> => {
  while (performance.now() < endsAt) {
    await engine.create([SPEC]);
    created += 1;
  }
};

await Promise.all(Array.from({ length: CREATORS }, createUntilTheEnd));
console.log(String(created));
process.exit(0);
