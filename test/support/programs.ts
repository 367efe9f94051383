import { findBinary, findOrInstall } from "./servers/runner.ts";

/** Where a program is that a test drives, installed from Debian's packages where it is missing; throws where it cannot be had. */
export function programAt(name: string): string {
  const path = findOrInstall({ name, debianPackage: name, find: () => findBinary(name) });
  if (path !== null) return path;
  throw new Error(`the tests need ${name}: install it, or run them as root on Debian (they install it)`);
}
