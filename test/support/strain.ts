/**
 * Runs a shell script as a `command()` in a process of its own; resolves with the additional memory in bytes, the turns of the event
 * loop meanwhile, and the length of the forwarded output. In a process that has already run a thousand tests, it would
 * measure the garbage collector.
 */
import { command } from "../../src/handlers/command.ts";

const [script = ""] = process.argv.slice(2);
const task = {
  ...{ id: 1, name: "strain", description: "", type: "strain", tags: [], labels: {}, attempt: 1, losses: 0 },
  ...{ createdAt: 0, payload: null, payloadText: null },
};

Bun.gc(true);
const before = process.memoryUsage.rss();
const seen = { grown: 0, turns: 0, lines: 0, shown: 0, ms: 0, ended: "" };
const from = performance.now();
const look = setInterval(() => {
  seen.grown = Math.max(seen.grown, process.memoryUsage.rss() - before);
  seen.turns++;
}, 5);
const context = {
  signal: new AbortController().signal,
  log: () => void seen.lines++,
  progress: () => void seen.shown++,
};
seen.ended = await command(["sh", "-c", script.replaceAll(/[{}]/g, "$&$&")])(task, context).then(
  () => "done",
  (error: unknown) => (error instanceof Error ? error.message : "refused"),
);
clearInterval(look);
seen.ms = performance.now() - from;
console.log(JSON.stringify(seen));
