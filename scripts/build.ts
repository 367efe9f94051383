/**
 * `npm run build [-- FILE]`: makes the single-file executable, dist/tasktrack unless another file is named. It serves, works and
 * commands, needs nothing beside it, and runs a module of handlers from the disk.
 */
import { spawnSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";

const ROOT = join(import.meta.dir, "..");

/** The program, and the threads that it starts by name. */
const ENTRIES = ["main.ts", "store/sqlite/thread-entry.ts", "handlers/lifeline-entry.ts"];

/** What the executable reads where it runs: what a module of handlers may need to be resolved, and no settings. */
const AUTOLOAD = [
  "--no-compile-autoload-dotenv", // `.env` is read by the settings, that file alone
  "--no-compile-autoload-bunfig",
  "--compile-autoload-tsconfig",
  "--compile-autoload-package-json",
];

const target = resolve(Bun.argv[2] ?? join(ROOT, "dist/tasktrack"));
await mkdir(dirname(target), { recursive: true });
const entries = ENTRIES.map((name) => join(ROOT, "src", name));
const built = spawnSync(
  process.execPath,
  ["build", "--compile", ...AUTOLOAD, ...entries, "--outfile", target],
  { stdio: ["ignore", "ignore", "inherit"] },
);
if (built.status === 0) console.log(target);
else process.exitCode = 1;
