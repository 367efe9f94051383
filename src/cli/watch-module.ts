import { watch } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Clock } from "../core/clock.ts";

/** An editor writes a file in several steps: this long after the last one, the module is loaded. */
const SETTLED_AFTER_MS = 150;

/**
 * Calls `changed` when a source file in the folder of the module, or below, has changed; one call after the
 * other. For development: changes of installed packages are ignored.
 */
export function watchModule(path: string, changed: () => Promise<void>, clock: Clock): void {
  let cancelTimer = (): void => undefined;
  let last: Promise<void> = Promise.resolve();
  watch(dirname(resolve(path)), { recursive: true }, (_, name) => {
    if (name === null || !isSource(name)) return;
    cancelTimer();
    cancelTimer = clock.after(SETTLED_AFTER_MS, () => {
      last = last.then(changed);
    });
  });
}

const isSource = (name: string): boolean =>
  /\.(?:[cm]?[jt]sx?|json)$/.test(name) && !/(?:^|[/\\])(?:node_modules|\.git)[/\\]/.test(name);
