import { readFileSync } from "node:fs";

const SIGHUP_BIT = 1n;

/**
 * Whether this process was started with SIGHUP ignored, as by `nohup`. A listener for SIGHUP would undo that, so call
 * this before a listener is added. False on systems without /proc.
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
