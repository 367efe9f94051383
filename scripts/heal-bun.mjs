// If npm skips install scripts, Bun's package has only a stub that prints an error. Running the package's install script
// replaces the stub by the real binary. If Bun is already installed, this costs one stat call.
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
