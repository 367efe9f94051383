import { describe, expect, test } from "bun:test";
import { dirname, join, relative } from "node:path";
import { Glob } from "bun";

/**
 * The rules of the house: which folder may import which. A file's name in the list means that file alone; `type` means
 * that only its types may be used.
 */
const MAY_IMPORT: Record<string, readonly string[]> = {
  core: ["core"],
  lib: ["lib"],
  store: ["store", "core", "lib"],
  wire: ["wire", "core", "lib"],
  wakeup: ["wakeup", "core", "lib", "type store/store.ts"],
  broker: ["broker", "core", "lib", "wire", "type wakeup/wake-ups.ts"],
  engine: [
    "engine",
    "core",
    "lib",
    "type store/store.ts",
    "type wakeup/wake-ups.ts",
    "type broker/event-output.ts",
  ],
  processor: ["processor", "core", "lib"],
  handlers: [
    "handlers",
    "core",
    "lib",
    "processor/handler.ts",
    "processor/context.ts",
    "processor/execute.ts",
    "processor/pool-messages.ts",
  ],
  http: ["http", "core", "lib", "wire", "type engine/engine.ts", "ui/archive.ts"],
  ui: ["ui"],
  client: ["client", "core", "lib", "processor"],
  cli: [
    "cli",
    "client",
    "core",
    "lib",
    "handlers",
    "app.ts",
    "config.ts",
    "processor/pool.ts",
    "type processor/handler.ts",
    "type processor/pool-messages.ts",
    "store/open.ts",
    "type store/store.ts",
    "type store/migrations.ts",
  ],
  "config.ts": ["core", "lib", "broker/url.ts"],
  "main.ts": ["cli"],
  "app.ts": [
    "core",
    "lib",
    "store",
    "wakeup",
    "broker",
    "engine",
    "processor",
    "handlers",
    "http",
    "ui",
    "config.ts",
  ],
};

/** What comes from outside the project, and which part, folder or file may use it. */
const MAY_USE: Record<string, readonly string[]> = {
  bun: ["store/postgres", "store/redis"],
  "@platformatic/kafka": ["broker/kafka"],
  "rabbitmq-client": ["broker/rabbitmq"],
  zod: ["http", "wire"],
  "bun:sqlite": ["store/sqlite"],
  "node:child_process": ["handlers"],
  "node:dns/promises": ["handlers/http-call.ts"],
  "node:http": ["http", "wire/problem.ts", "handlers/http-call.ts"],
  "node:net": ["http", "handlers/http-call.ts"],
  "node:tls": ["handlers/http-call.ts", "broker/tls-options.ts"],
  "node:fs": ["store/sqlite", "handlers", "cli", "broker/tls-options.ts"],
  "node:fs/promises": ["cli"],
  "node:os": ["cli"],
  "node:path": ["store/sqlite", "ui", "cli"],
  "node:stream": ["http/compression.ts"],
  "node:util": ["cli", "http/compression.ts"],
  "node:zlib": ["http/compression.ts"],
};

/** Effects come in through app.ts: who else reads the clock, draws at random or asks the environment is found here. */
const EFFECTS =
  /\b(Date\.now|performance\.now|Math\.random|crypto\.|setTimeout|setInterval|process\.env|Bun\.env|new Date\(\))/;
const EFFECTS_ALLOWED = [
  "lib/system-clock.ts",
  "cli/handler-processes.ts",
  "cli/serve.ts",
  "cli/settings.ts",
  "cli/terminal.ts",
  "lib/system-chance.ts",
  "handlers/command.ts", // what it starts inherits the environment
];

const SOURCE = join(import.meta.dir, "../src");
const files = [...new Glob("**/*.ts").scanSync(SOURCE)]
  .filter((file) => !/\.(test|suite)\.ts$|\/suite\//.test(file))
  .sort();

type Import = { readonly target: string; readonly isType: boolean };

const IMPORT = /^(?:import|export)\s+(type\s+)?(?:[^;"']*?\bfrom\s+)?["']([^"']+)["']/gms;

function importsOf(text: string): Import[] {
  return [...text.matchAll(IMPORT)].map(([, type, target]) => ({
    target: target ?? "",
    isType: type !== undefined,
  }));
}

/** The first folder below src, or the file itself where it lies in src. */
const partOf = (file: string): string => file.split("/")[0] ?? file;

function faultOf(file: string, { target, isType }: Import): string | null {
  const part = partOf(file);
  if (!target.startsWith(".")) {
    const isAllowed = MAY_USE[target]?.some(
      (place) => [part, file].includes(place) || file.startsWith(`${place}/`),
    );
    return isAllowed ? null : `${file} uses ${target}`;
  }
  const path = relative(SOURCE, join(SOURCE, dirname(file), target));
  if (path === "../package.json") return part === "app.ts" ? null : `${file} reads ${path}`;
  const allowed = MAY_IMPORT[part] ?? [];
  const names = [path, partOf(path), ...(isType ? [`type ${path}`] : [])];
  return names.some((name) => allowed.includes(name))
    ? null
    : `${file} imports ${isType ? "type " : ""}${path}`;
}

const textOf = (file: string): Promise<string> => Bun.file(join(SOURCE, file)).text();

/** Of the server and the SDK the web UI knows the client, the words of core, and nothing else. */
const WEB_MAY_IMPORT = /^(web\/|src\/client\/|src\/core\/)/;
const WEB = join(SOURCE, "../web");

async function webFaults(): Promise<string[]> {
  const found = [...new Glob("**/*.{ts,tsx}").scanSync(WEB)].filter((file) => file !== "build.ts").sort();
  const faults = found.map(async (file) =>
    importsOf(await Bun.file(join(WEB, file)).text())
      .filter(({ target }) => target.startsWith("."))
      .map(({ target }) => relative(join(WEB, ".."), join(WEB, dirname(file), target)))
      .filter((path) => !WEB_MAY_IMPORT.test(path))
      .map((path) => `web/${file} imports ${path}`),
  );
  return (await Promise.all(faults)).flat();
}

describe("the house", () => {
  test("every part of the source has its rule", () => {
    expect([...new Set(files.map(partOf))].filter((part) => MAY_IMPORT[part] === undefined)).toEqual([]);
  });

  test("no file imports what its part may not", async () => {
    const faults = await Promise.all(
      files.map(async (file) => importsOf(await textOf(file)).map((found) => faultOf(file, found))),
    );
    expect(faults.flat().filter((fault) => fault !== null)).toEqual([]);
  });

  test("the web UI stands on the client and on core alone", async () => {
    expect(await webFaults()).toEqual([]);
  });

  test("the rules see what is against them", () => {
    const against =
      'import { createMemoryStore } from "../store/memory.ts";\nimport type { Ask } from "../store/store.ts";';
    expect(importsOf(against).map((found) => faultOf("http/tasks.ts", found))).toEqual([
      "http/tasks.ts imports store/memory.ts",
      "http/tasks.ts imports type store/store.ts",
    ]);
    expect(faultOf("core/task.ts", { target: "node:fs", isType: false })).toBe("core/task.ts uses node:fs");
  });

  test("time, chance and environment enter at the door", async () => {
    const reading = await Promise.all(
      files.map(async (file) => (EFFECTS.test(code(await textOf(file))) ? file : null)),
    );
    expect(reading.filter((file) => file !== null)).toEqual([...EFFECTS_ALLOWED].sort());
  });
});

/** Without comments and strings of documentation. */
const code = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
