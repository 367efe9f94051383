/**
 * `npm run build:sdk [-- FOLDER]`: makes the package of the SDK in dist/sdk, or in that folder: an ESM file without dependencies,
 * an ESM file with the functions that make handlers, their types, and the files for npm.
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
  // TypeScript with `moduleResolution: node10` does not read `exports`. It uses these two fields, and finds handlers.d.ts by its path.
  main: "./tasktrack.js",
  types: "./tasktrack.d.ts",
  exports: {
    ".": { types: "./tasktrack.d.ts", default: "./tasktrack.js" },
    "./handlers": { types: "./handlers.d.ts", default: "./handlers.js" },
  },
  sideEffects: false,
};

type Part = {
  readonly entry: string;
  readonly file: string;
  /** "browser": web standards only, which all runtimes support. "node": also the modules of Node.js, which Bun and Deno support. */
  readonly target: "browser" | "node";
  readonly tsconfig: string;
  /** The type declarations of the entry, in the same folder: TypeScript then finds them for an import by path as well. */
  readonly types: string;
};

const PARTS: readonly Part[] = [
  {
    entry: "client/client.ts",
    file: "tasktrack.js",
    target: "browser",
    tsconfig: "tsconfig.sdk.json",
    types: "tasktrack.d.ts",
  },
  {
    entry: "handlers/handlers.ts",
    file: "handlers.js",
    target: "node",
    tsconfig: "tsconfig.sdk-handlers.json",
    types: "handlers.d.ts",
  },
];

async function bundle({ entry, file, target: runsOn, types }: Part): Promise<void> {
  const built = await Bun.build({
    entrypoints: [join(ROOT, "src", entry)],
    outdir: target,
    naming: file,
    target: runsOn,
    format: "esm",
    banner: `// @ts-self-types="./${types}"`, // the only place where Deno searches for types if the file is imported by its path or URL
  });
  if (!built.success) throw new Error(built.logs.join("\n"));
}

async function declare({ entry, tsconfig, types }: Part): Promise<void> {
  const tsc = spawnSync(
    join(ROOT, "node_modules/.bin/tsc"),
    ["-p", join(ROOT, tsconfig), "--outDir", join(target, "types")],
    { encoding: "utf8" },
  );
  if (tsc.status !== 0) throw new Error(`the types do not compile alone:\n${tsc.stdout}${tsc.stderr}`);
  await Bun.write(join(target, types), `export * from "./types/${entry}";\n`);
}

/**
 * In a type declaration, an import of "./x.ts" would name a file that is not in the package, and "./x.d.ts" is forbidden. For
 * "./x.js" TypeScript finds x.d.ts in every mode. Deno finds it in node_modules; elsewhere it needs the comment `@ts-self-types`.
 */
const IMPORT = /^((?:import|export) .* from ")(\.[^"]*)\.ts";$/gm;

async function renameImports(): Promise<void> {
  for (const file of new Bun.Glob("**/*.d.ts").scanSync(target)) {
    const text = await Bun.file(join(target, file)).text();
    await Bun.write(join(target, file), text.replaceAll(IMPORT, '// @ts-types="$2.d.ts"\n$1$2.js";'));
  }
}

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
for (const part of PARTS) {
  await bundle(part);
  await declare(part);
}
await renameImports();
await Bun.write(join(target, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
await cp(join(ROOT, "docs/sdk.md"), join(target, "README.md"));
await cp(join(ROOT, "LICENSE"), join(target, "LICENSE"));
