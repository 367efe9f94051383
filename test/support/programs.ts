import { findBinary, findOrInstall } from "./servers/runner.ts";

/** The path of a program, which is installed from Debian's packages if it is missing; throws if that is not possible. */
export function programAt(name: string): string {
  const path = findOrInstall({ name, debianPackage: name, find: () => findBinary(name) });
  if (path !== null) return path;
  throw new Error(`the tests need ${name}: install it, or run them as root on Debian (they install it)`);
}
