/** Other JavaScript runtimes, at exact versions, from npm: installed at the first run and kept for the next ones. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type RuntimePackage = {
  /** The name on npm, with the exact version. */
  readonly spec: string;
  /** The file in the package that is run. */
  readonly file: string;
};

const { platform, arch } = process;

const nodeOf = (version: string): RuntimePackage => ({
  spec: `node-${platform}-${arch}@${version}`,
  file: "bin/node",
});

/** The supported lines of Node.js, and Deno. */
export const RUNTIMES = {
  node20: nodeOf("20.20.2"),
  node22: nodeOf("22.23.5"),
  node24: nodeOf("24.22.3"),
  node26: nodeOf("26.12.1"),
  deno: { spec: `@deno/${platform}-${arch}-glibc@2.9.6`, file: "deno" },
} as const satisfies Readonly<Record<string, RuntimePackage>>;

const CACHE = join(tmpdir(), "tasktrack-runtimes");

const pathOf = ({ spec, file }: RuntimePackage): string =>
  join(CACHE, spec.replaceAll("/", "-"), "package", file);

/** The paths of the runtimes, by name. Throws with npm's message if one is not available. */
export function installRuntimes<N extends string>(
  packages: Readonly<Record<N, RuntimePackage>>,
): Record<N, string> {
  const entries = Object.entries(packages) as [N, RuntimePackage][]; // a record has no others
  install(entries.map(([, runtime]) => runtime).filter((runtime) => !existsSync(pathOf(runtime))));
  return Object.fromEntries(entries.map(([name, runtime]) => [name, pathOf(runtime)])) as Record<N, string>;
}

/**
 * One `npm pack` for all packages, and only the program of each package is unpacked. For five runtimes this takes ten seconds of
 * the processor; five installs took twenty-four. Files have temporary names at first, so that an interrupted run leaves no
 * incomplete file.
 */
function install(runtimes: readonly RuntimePackage[]): void {
  if (runtimes.length === 0) return;
  mkdirSync(CACHE, { recursive: true });
  const made = mkdtempSync(join(CACHE, "new-"));
  try {
    const specs = runtimes.map(({ spec }) => spec);
    const files = run("npm", ["pack", "--silent", "--pack-destination", made, ...specs])
      .trim()
      .split("\n");
    for (const [at, runtime] of runtimes.entries()) {
      const folder = join(made, String(at));
      mkdirSync(folder);
      run("tar", ["-xzf", join(made, files[at] ?? ""), "-C", folder, `package/${runtime.file}`]);
      moveTo(folder, join(CACHE, runtime.spec.replaceAll("/", "-")));
    }
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

function run(command: string, args: readonly string[]): string {
  const done = spawnSync(command, args, { encoding: "utf8" });
  if (done.status === 0) return done.stdout;
  throw new Error(`${command} ${args.join(" ")} failed:\n${done.stdout}${done.stderr}${done.error ?? ""}`);
}

/** Another process may have installed it meanwhile. */
function moveTo(made: string, folder: string): void {
  try {
    renameSync(made, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  }
}
