import { readFileSync } from "node:fs";

const SIGHUP_BIT = 1n;

/**
 * Whether this process was started to ignore SIGHUP, as `nohup` does: our own listener would undo that. Read before any listener
 * is added. False where the system does not tell (only Linux has /proc).
 */
export function ignoresHangup(): boolean {
  const [, ignored] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(processStatus()) ?? [];
  return ignored !== undefined && (BigInt(`0x${ignored}`) & SIGHUP_BIT) !== 0n;
}

function processStatus(): string {
  try {
    return readFileSync("/proc/self/status", "utf8");
  } catch {
    return ""; // another system
  }
}
