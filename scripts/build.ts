/**
 * `npm run build [-- FILE]`: makes the single-file executable, dist/tasktrack unless another file is named. It serves, works and
 * commands, needs nothing beside it, and runs a module of handlers from the disk.
 */
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { buildWeb } from "../web/build.ts";

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

const SOURCE = join(ROOT, "src");
const target = resolve(Bun.argv[2] ?? join(ROOT, "dist/tasktrack"));
const entries = ENTRIES.map((name) => join(SOURCE, name));

/** The archive of the web UI as a file whose name the executable keeps, and finds it by; see src/ui/open.ts. */
async function writeUi(folder: string): Promise<string> {
  const path = join(folder, "web-ui.bin");
  await Bun.write(path, await buildWeb());
  return path;
}

/** `--root`, for otherwise the archive's place would move the threads' entries away from where they are looked for. */
const compile = (ui: string): boolean =>
  spawnSync(
    process.execPath,
    ["build", "--compile", ...AUTOLOAD, "--root", SOURCE, ...entries, ui, "--outfile", target],
    { stdio: ["ignore", "ignore", "inherit"] },
  ).status === 0;

await mkdir(dirname(target), { recursive: true });
const folder = await mkdtemp(join(tmpdir(), "tasktrack-build-"));
try {
  if (compile(await writeUi(folder))) console.log(target);
  else process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true });
}
