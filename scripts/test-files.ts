/** The test files, and the servers that each of them needs, found by its direct and indirect imports. */
import { dirname, join, relative } from "node:path";
import { Glob } from "bun";

const ROOT = join(import.meta.dir, "..");

export const SERVERS = [
  "Postgres",
  "Pgbouncer",
  "Redis",
  "Rabbitmq",
  "SecuredRabbitmq",
  "Kafka",
  "SecuredKafka",
] as const;
export type ServerName = (typeof SERVERS)[number];

/** Tests get the shared servers from functions with these names. */
const SHARED = "test/support/servers/shared.ts";
const NAME = new RegExp(`\\bshared(${SERVERS.join("|")})\\b`, "g");

/** These start programs: servers, a browser, a terminal, TaskTrack itself, other languages, npm and the compiler. */
const PROGRAMS = /^test\/(support\/(servers\/|server-process|browser|programs)|sdk\/package)/;

export const testFiles = (): string[] =>
  [...new Glob("{src,test,web}/**/*.test.{ts,tsx}").scanSync(ROOT)].sort();

/** The shared servers that these files use. */
export async function serversOf(files: readonly string[]): Promise<ReadonlySet<ServerName>> {
  const servers = (await modulesOf(files)).flatMap(({ servers }) => servers);
  return new Set(servers);
}

/** Whether a file can run without other programs. */
export async function isSelfContained(file: string): Promise<boolean> {
  return !(await modulesOf([file])).some(({ path, servers }) => PROGRAMS.test(path) || servers.length > 0);
}

type Module = {
  readonly path: string;
  readonly imports: readonly string[];
  readonly servers: readonly ServerName[];
};

/** The files and all modules of this repository that they import, except the module that defines the shared servers. */
async function modulesOf(files: readonly string[]): Promise<readonly Module[]> {
  const modules = new Map<string, Module>();
  for (const left = [...files]; left.length > 0; ) {
    const path = left.pop() ?? "";
    if (modules.has(path) || path === SHARED) continue;
    const module = await read(path);
    modules.set(path, module);
    left.push(...module.imports);
  }
  return [...modules.values()];
}

const known = new Map<string, Module>();
const transpilers = {
  ts: new Bun.Transpiler({ loader: "ts" }),
  tsx: new Bun.Transpiler({ loader: "tsx" }),
};

async function read(path: string): Promise<Module> {
  const before = known.get(path);
  if (before !== undefined) return before;
  const text = await Bun.file(join(ROOT, path)).text();
  const imports = transpilers[path.endsWith("x") ? "tsx" : "ts"]
    .scanImports(text)
    .filter((found) => found.path.startsWith(".") && /\.tsx?$/.test(found.path))
    .map((found) => relative(ROOT, join(ROOT, dirname(path), found.path)));
  const servers = [...text.matchAll(NAME)].map(([, name]) => name as ServerName); // the pattern matches only these names
  const module = { path, imports, servers };
  known.set(path, module);
  return module;
}
