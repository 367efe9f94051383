/**
 * `npm run build:sdk [-- FOLDER]`: makes the package of the SDK in dist/sdk, or in that folder: an ESM file that needs nothing, a
 * second one with the makers of handlers, the types beside them, and what npm reads.
 */
import { spawnSync } from "node:child_process";
import { cp, mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import packageJson from "../package.json" with { type: "json" };

const ROOT = join(import.meta.dir, "..");
const target = resolve(Bun.argv[2] ?? join(ROOT, "dist/sdk"));

const manifest = {
  name: "tasktrack",
  version: packageJson.version,
  description: "Client and workers for TaskTrack, the server for work that takes minutes",
  license: packageJson.license,
  type: "module",
  engines: packageJson.engines,
  exports: {
    ".": { types: "./types/client/client.d.ts", default: "./tasktrack.js" },
    "./handlers": { types: "./types/handlers/handlers.d.ts", default: "./handlers.js" },
  },
  sideEffects: false,
};

type Part = {
  readonly entry: string;
  readonly file: string;
  /** "browser": the web's standards alone, and what runs there runs everywhere; "node": its modules too, which Bun and Deno know. */
  readonly target: "browser" | "node";
  readonly tsconfig: string;
};

const PARTS: readonly Part[] = [
  { entry: "client/client.ts", file: "tasktrack.js", target: "browser", tsconfig: "tsconfig.sdk.json" },
  {
    entry: "handlers/handlers.ts",
    file: "handlers.js",
    target: "node",
    tsconfig: "tsconfig.sdk-handlers.json",
  },
];

async function bundle({ entry, file, target: runsOn }: Part): Promise<void> {
  const built = await Bun.build({
    entrypoints: [join(ROOT, "src", entry)],
    outdir: target,
    naming: file,
    target: runsOn,
    format: "esm",
  });
  if (!built.success) throw new Error(built.logs.join("\n"));
}

function declare({ tsconfig }: Part): void {
  const tsc = spawnSync(
    join(ROOT, "node_modules/.bin/tsc"),
    ["-p", join(ROOT, tsconfig), "--outDir", join(target, "types")],
    { encoding: "utf8" },
  );
  if (tsc.status !== 0) throw new Error(`the types do not compile alone:\n${tsc.stdout}${tsc.stderr}`);
}

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
for (const part of PARTS) {
  await bundle(part);
  declare(part);
}
await Bun.write(join(target, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
await cp(join(ROOT, "docs/sdk.md"), join(target, "README.md"));
await cp(join(ROOT, "LICENSE"), join(target, "LICENSE"));
