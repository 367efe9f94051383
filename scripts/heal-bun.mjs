// An npm that skips install scripts leaves Bun's package with a stub that only prints an error; running its own
// install script again puts the real binary in its place. On a healthy install this costs one stat.
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const binary = join(root, "node_modules/bun/bin/bun.exe");
const SMALLEST_REAL_BINARY = 1_000_000;

const isReal = () => {
  try {
    return statSync(binary).size > SMALLEST_REAL_BINARY;
  } catch {
    return false;
  }
};

if (!isReal()) {
  spawnSync(process.execPath, ["install.js"], { cwd: join(root, "node_modules/bun"), stdio: "inherit" });
  if (!isReal()) {
    console.error("tasktrack: the Bun runtime is not installed; run `npm ci` first.");
    process.exit(1);
  }
}
