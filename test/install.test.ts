/** `npm ci`, the first command of a new user. */
import { expect, test } from "bun:test";
import { join } from "node:path";

type Locked = {
  readonly engines?: { readonly node?: string };
  readonly deprecated?: string;
  readonly optional?: boolean;
};

const ROOT = join(import.meta.dir, "..");
/** The latest version of each supported line of Node.js. npm compares them with the `engines` of packages. */
const NODES = ["20.20.2", "22.23.3", "24.0.0"];

/**
 * The Kafka client requires Node.js 22.22, but Bun runs it. npm cannot ignore this for one package, so the lock file omits its
 * `engines`. `npm install` may add them again; then remove them by hand.
 */
test.each(NODES)("npm ci prints no warning on Node.js %s", async (version) => {
  const lock = (await Bun.file(join(ROOT, "package-lock.json")).json()) as {
    readonly packages: Record<string, Locked>;
  };
  const warnings = Object.entries(lock.packages).flatMap(
    ([path, { engines, deprecated, optional = false }]) => {
      const isRefused =
        !optional && engines?.node !== undefined && !Bun.semver.satisfies(version, engines.node);
      return [
        ...(isRefused ? [`${path} asks for Node.js ${engines.node}`] : []),
        ...(deprecated ? [`${path}: ${deprecated}`] : []),
      ];
    },
  );
  expect(warnings).toEqual([]);
});
