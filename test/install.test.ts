/** The first thing that a newcomer sees: `npm ci`. */
import { expect, test } from "bun:test";
import { join } from "node:path";

type Locked = {
  readonly engines?: { readonly node?: string };
  readonly deprecated?: string;
  readonly optional?: boolean;
};

const ROOT = join(import.meta.dir, "..");
/** The last of each line that the tests of the SDK and README name; npm compares them with what packages ask for. */
const NODES = ["20.20.2", "22.23.3", "24.0.0"];

/**
 * The Kafka client asks for Node.js 22.22, though Bun runs it: npm has no switch for one package, so the lock file leaves its
 * `engines` out. `npm install` may put them in again; then remove them by hand.
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
