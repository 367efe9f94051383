/**
 * `npm run build [-- FILE]`: makes the single-file executable, dist/tasktrack unless another file is named. It has all commands,
 * needs no other files, and can load a module of handlers from the disk.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { BunPlugin } from "bun";
import { buildWeb } from "../web/build.ts";

const ROOT = join(import.meta.dir, "..");

/** The program, and the threads that it starts by name. */
const ENTRIES = ["main.ts", "store/sqlite/thread-entry.ts", "handlers/lifeline-entry.ts"];

const SOURCE = join(ROOT, "src");
const target = resolve(Bun.argv[2] ?? join(ROOT, "dist/tasktrack"));
const entries = ENTRIES.map((name) => join(SOURCE, name));

/** The archive of the web UI. The executable keeps the name of this file and finds it by the name; see src/ui/open.ts. */
async function writeUi(folder: string): Promise<string> {
  const path = join(folder, "web-ui.bin");
  await Bun.write(path, await buildWeb());
  return path;
}

/** The checksum library of the Kafka client reads a file in its folder. This variant of the library contains that file. */
const wasmInside: BunPlugin = {
  name: "wasm inside",
  setup: (build) => {
    build.onResolve({ filter: /^@platformatic\/wasm-utils$/ }, ({ importer }) => ({
      path: Bun.resolveSync("@platformatic/wasm-utils/bundled", dirname(importer)),
    }));
  },
};

/** With a root: without it, the path of the archive would change the paths of the threads' entries, and they would not be found. */
const compile = (ui: string) =>
  Bun.build({
    entrypoints: [...entries, ui],
    root: SOURCE,
    target: "bun",
    plugins: [wasmInside],
    compile: {
      outfile: target,
      autoloadDotenv: false, // the settings read `.env` themselves, and no other file
      autoloadBunfig: false,
      autoloadTsconfig: true, // a module of handlers may need these to be resolved
      autoloadPackageJson: true,
    },
  });

await mkdir(dirname(target), { recursive: true });
const folder = await mkdtemp(join(tmpdir(), "tasktrack-build-"));
try {
  const { success, logs } = await compile(await writeUi(folder));
  for (const line of logs) console.error(String(line));
  if (success) console.log(target);
  else process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true });
}
