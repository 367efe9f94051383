/**
 * `npm run build:sdk [-- FOLDER]`: makes the package of the SDK in dist/sdk, or in that folder: one ESM file that needs nothing,
 * the types beside it, and what npm reads.
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
  exports: { ".": { types: "./types/client/client.d.ts", default: "./tasktrack.js" } },
  sideEffects: false,
};

async function bundle(): Promise<void> {
  const built = await Bun.build({
    entrypoints: [join(ROOT, "src/client/client.ts")],
    outdir: target,
    naming: "tasktrack.js",
    target: "browser", // the web's standards alone: what runs there runs everywhere
    format: "esm",
  });
  if (!built.success) throw new Error(built.logs.join("\n"));
}

function declare(): void {
  const tsc = spawnSync(
    join(ROOT, "node_modules/.bin/tsc"),
    ["-p", join(ROOT, "tsconfig.sdk.json"), "--outDir", join(target, "types")],
    { encoding: "utf8" },
  );
  if (tsc.status !== 0) throw new Error(`the types do not compile alone:\n${tsc.stdout}${tsc.stderr}`);
}

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
await bundle();
declare();
await Bun.write(join(target, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
await cp(join(ROOT, "docs/sdk.md"), join(target, "README.md"));
await cp(join(ROOT, "LICENSE"), join(target, "LICENSE"));
