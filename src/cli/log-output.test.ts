import { expect, test } from "bun:test";
import { createOutputLog } from "./log-output.ts";

/** A stream whose reader takes the written data only when the test lets it. */
function openLog() {
  const taken: string[] = [];
  const waiting: { readonly text: string; readonly done: () => void }[] = [];
  const log = createOutputLog({
    stream: { write: (text, done) => waiting.push({ text, done }) },
    ...{ level: "info", pretty: false, now: () => 0 },
  });
  return {
    log,
    waiting: () => waiting.length,
    /** Resolves when no write is waiting. */
    takeAll: (): string[] => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        taken.push(next.text);
        next.done();
      }
      return taken;
    },
  };
}

const LONG = "x".repeat(1_000);

test("up to a megabyte is kept for a slow reader, and the number of missing lines is logged later", () => {
  const x = openLog();
  for (let n = 0; n < 5_000; n++) x.log.info("long", { n, text: LONG });
  const kept = x.waiting();
  expect(kept).toBeGreaterThan(900);
  expect(kept).toBeLessThan(1_049);
  const lines = x
    .takeAll()
    .map((line) => JSON.parse(line) as { readonly event: string; readonly count?: number });
  const reports = lines.filter(({ event }) => event === "log_lines_dropped");
  expect(reports.map(({ count }) => count)).toEqual([5_000 - kept]);
  x.log.info("after");
  expect(x.takeAll().at(-1)).toContain('"event":"after"');
});

test("a longer line is written if no other line waits", () => {
  const x = openLog();
  x.log.info("long", { text: "x".repeat(2_000_000) });
  x.log.info("short");
  expect(x.takeAll().map((line) => (JSON.parse(line) as { readonly event: string }).event)).toEqual([
    "long",
    "log_lines_dropped",
  ]);
});

test("a fast reader misses no line", () => {
  const x = openLog();
  for (let n = 0; n < 5_000; n++) {
    x.log.info("long", { n, text: LONG });
    x.takeAll();
  }
  expect(x.takeAll()).toHaveLength(5_000);
});
