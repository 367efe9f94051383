/** Handlers that fail in all ways, and some that work. */
import { command, fail, type Handlers, snooze } from "tasktrack/handlers";

const until = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

export default {
  good: async (task, { progress, log }) => {
    progress(50, "half way");
    log("hello");
    log("careful", "warn");
    return { got: task.payload, attempt: task.attempt };
  },
  text: async (task) => task.payloadText,
  echo: command(["cat"]),
  patient: {
    handler: (_task, { signal }) => until(signal),
    timeout: "10m",
    max_attempts: 7,
    backoff: { base: "2s", max: "4s" },
  },
  later: { handler: async () => "at last", delay: "1h" },
  refuses: async () => fail("not today", { code: "closed", retryable: false }),
  snoozes: async () => snooze("1h"),
  throws: { handler: () => Promise.reject(new Error("oops")), max_attempts: 1 },
  short: { handler: () => Bun.sleep(300).then(() => "slept"), max_attempts: 1 },

  loops: {
    handler: async () => {
      for (;;);
    },
    timeout: "1s",
    max_attempts: 1,
  },
  unstoppable: () => Bun.sleep(600_000),
  exits: async () => process.exit(3),
  rejects: async () => {
    void Promise.reject(new Error("not caught"));
    await Bun.sleep(600_000);
  },
  crashes: async () => {
    process.kill(process.pid, "SIGSEGV");
    await Bun.sleep(600_000);
  },
  hogs: async () => new Uint8Array(2 ** 31).fill(1).length,

  tree: command(["sh", "-c", 'echo "tree $$"; sleep 600 & sleep 600'], { killAfter: "1s" }),
} satisfies Handlers;
