import { describe, expect, test } from "bun:test";
import { dirname, join, relative } from "node:path";
import { Glob } from "bun";

/**
 * The rules of imports: which folder may import which. The name of a file means only this file; `type` means
 * that only types may be imported.
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
    "processor/handler-processes/messages.ts",
    "type processor/stop.ts",
  ],
  http: [
    "http",
    "core",
    "lib",
    "wire",
    "type engine/maintenance.ts",
    "type engine/producers.ts",
    "type engine/watchers.ts",
    "type engine/workers.ts",
    "ui/archive.ts",
  ],
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
    "version.ts",
    "processor/handler-processes/handler-processes.ts",
    "type processor/handler.ts",
    "type processor/handler-processes/messages.ts",
    "type processor/handler-processes/process.ts",
    "store/open.ts",
    "type store/setup.ts",
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
    "version.ts",
  ],
  "version.ts": [],
};

/** The external modules, and the part, folder or file that may import each of them. */
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

/** app.ts passes the clock, random numbers and the environment to all parts. The files that use them directly are listed here. */
const EFFECTS =
  /\b(Date\.now|performance\.now|Math\.random|crypto\.|setTimeout|setInterval|process\.env|Bun\.env|new Date\(\))/;
const EFFECTS_ALLOWED = [
  "lib/system-clock.ts",
  "cli/serve.ts",
  "cli/settings.ts",
  "cli/spawn-handlers.ts",
  "cli/terminal.ts",
  "lib/system-chance.ts",
  "handlers/command.ts", // its child processes inherit the environment
];

const SOURCE = join(import.meta.dir, "../src");
const files = [...new Glob("**/*.ts").scanSync(SOURCE)]
  .filter((file) => !/\.(test|suite)\.ts$|\/suite\//.test(file))
  .sort();

type Import = {
  readonly target: string;
  readonly isType: boolean;
  /** It is loaded by `import()` when it is needed, so it makes no circle of imports. */
  readonly isLazy: boolean;
};

const IMPORT = /^(?:import|export)\s+(type\s+)?(?:[^;"']*?\bfrom\s+)?["']([^"']+)["']/gms;

/** A module that is loaded when it is needed. */
const LAZY_IMPORT = /\bimport\(\s*["']([^"']+)["']\s*\)/g;

function importsOf(text: string): Import[] {
  const first = [...text.matchAll(IMPORT)].map(([, type, target]) => ({
    target: target ?? "",
    isType: type !== undefined,
    isLazy: false,
  }));
  const later = [...text.matchAll(LAZY_IMPORT)].map(([, target]) => ({
    target: target ?? "",
    isType: false,
    isLazy: true,
  }));
  return [...first, ...later];
}

/** The first folder below src, or the file itself if it is directly in src. */
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
  if (path === "../package.json") return part === "version.ts" ? null : `${file} reads ${path}`;
  const allowed = MAY_IMPORT[part] ?? [];
  const names = [path, partOf(path), ...(isType ? [`type ${path}`] : [])];
  return names.some((name) => allowed.includes(name))
    ? null
    : `${file} imports ${isType ? "type " : ""}${path}`;
}

const textOf = (file: string): Promise<string> => Bun.file(join(SOURCE, file)).text();

/** The web UI imports the SDK's client and core, and nothing else of the server. */
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

describe("the source", () => {
  test("every part of the source has a rule", () => {
    expect([...new Set(files.map(partOf))].filter((part) => MAY_IMPORT[part] === undefined)).toEqual([]);
  });

  test("no file imports a part that its own part may not import", async () => {
    const faults = await Promise.all(
      files.map(async (file) => importsOf(await textOf(file)).map((found) => faultOf(file, found))),
    );
    expect(faults.flat().filter((fault) => fault !== null)).toEqual([]);
  });

  test("the web UI imports only the client and core", async () => {
    expect(await webFaults()).toEqual([]);
  });

  test("the rules find violations", () => {
    const against =
      'import { createMemoryStore } from "../store/memory/store.ts";\nimport type { Ask } from "../store/store.ts";\nconst { run } = await import("../cli/cli.ts");';
    expect(importsOf(against).map((found) => faultOf("http/tasks.ts", found))).toEqual([
      "http/tasks.ts imports store/memory/store.ts",
      "http/tasks.ts imports type store/store.ts",
      "http/tasks.ts imports cli/cli.ts",
    ]);
    expect(faultOf("core/task.ts", { target: "node:fs", isType: false, isLazy: false })).toBe(
      "core/task.ts uses node:fs",
    );
  });

  test("time, random numbers and the environment come from the setup", async () => {
    const reading = await Promise.all(
      files.map(async (file) => (EFFECTS.test(code(await textOf(file))) ? file : null)),
    );
    expect(reading.filter((file) => file !== null)).toEqual([...EFFECTS_ALLOWED].sort());
  });
});

// ---- sizes, circles and words

const FUNCTION_LINES = 120;
const FILE_LINES = 400;

/** Words that comments of src and web should replace by exact nouns. */
const VAGUE_WORDS = /\b(who|whom|whoever|somebody|nobody)\b/gi;
const VAGUE_WORDS_AT_MOST = 15;

const ROOT = join(SOURCE, "..");
const product = [...new Glob("{src,web}/**/*.{ts,tsx}").scanSync(ROOT)]
  .filter((file) => !/\.(test|suite)\.tsx?$|\/suite\//.test(file))
  .sort();
const productText = (file: string): Promise<string> => Bun.file(join(ROOT, file)).text();

/** The functions of a formatted file with more lines than allowed. A function ends before the next line that is indented no deeper. */
function longFunctions(text: string, most: number): string[] {
  const lines = text.split("\n");
  return lines.flatMap((line, start) => {
    const name = FUNCTION_START.exec(line)
      ?.slice(1)
      .find((found) => found !== undefined);
    if (name === undefined) return [];
    const isNext = (other: string): boolean =>
      other !== "" &&
      (indentOf(other) < indentOf(line) || (indentOf(other) === indentOf(line) && !/^\s*[})]/.test(other)));
    const following = lines.slice(start + 1);
    const next = following.findIndex(isNext);
    const own = next === -1 ? following : following.slice(0, next);
    const length = own.findLastIndex((other) => other !== "") + 2;
    return length > most ? [`${name} (${length} lines)`] : [];
  });
}

const indentOf = (line: string): number => line.search(/\S/);

/** `function name(`, or `name = (…` as the begin of an arrow function. */
const FUNCTION_START =
  /^\s*(?:export )?(?:default )?(?:async )?(?:function\*? (\w+)|const (\w+)(?:: [^=]+)? = (?:async )?(?:<[^>]*>)?\()/;

/** Groups of files that import each other, directly or through others; types count. */
function circlesOf(imports: ReadonlyMap<string, readonly string[]>): string[][] {
  const reachedFrom = (start: string): ReadonlySet<string> => {
    const reached = new Set<string>();
    const left = [...(imports.get(start) ?? [])];
    for (let file = left.pop(); file !== undefined; file = left.pop()) {
      if (reached.has(file)) continue;
      reached.add(file);
      left.push(...(imports.get(file) ?? []));
    }
    return reached;
  };
  const inCircle = [...imports.keys()]
    .map((file) => ({ file, reached: reachedFrom(file) }))
    .filter(({ file, reached }) => reached.has(file));
  const circles = inCircle.map(({ file, reached }) =>
    inCircle.filter((other) => reached.has(other.file) && other.reached.has(file)).map((other) => other.file),
  );
  return [...new Map(circles.map((circle) => [circle.join(), circle])).values()];
}

const commentsOf = (text: string): string =>
  (text.match(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm) ?? []).join("\n");

describe("the product is made of small parts", () => {
  test(`no function has more than ${FUNCTION_LINES} lines`, async () => {
    const found = await Promise.all(
      product.map(async (file) =>
        longFunctions(await productText(file), FUNCTION_LINES).map((long) => `${file} ${long}`),
      ),
    );
    expect(found.flat()).toEqual([]);
  });

  test(`no file has more than ${FILE_LINES} lines`, async () => {
    const found = await Promise.all(
      product.map(async (file) =>
        (await productText(file)).split("\n").length - 1 > FILE_LINES ? [file] : [],
      ),
    );
    expect(found.flat()).toEqual([]);
  });

  test("no files import each other", async () => {
    const imports = await Promise.all(
      product.map(async (file) => {
        const atOnce = importsOf(await productText(file)).filter(({ isLazy }) => !isLazy);
        const targets = atOnce.map(({ target }) => join(dirname(file), target));
        return [file, targets.filter((target) => product.includes(target))] as const;
      }),
    );
    expect(circlesOf(new Map(imports))).toEqual([]);
  });

  test("comments name their subjects", async () => {
    const found = await Promise.all(
      product.map(async (file) => {
        const count = commentsOf(await productText(file)).match(VAGUE_WORDS)?.length ?? 0;
        return count === 0 ? [] : [{ file, count }];
      }),
    );
    const total = found.flat().reduce((sum, { count }) => sum + count, 0);
    expect(total > VAGUE_WORDS_AT_MOST ? found.flat() : []).toEqual([]);
  });

  test("the checks find what is too long, circular or vague", () => {
    const body = "    call();\n".repeat(3);
    const text = `export function createIt(setup: {\n  a: 1;\n}): It {\n${body}  const inner = (): void => {\n${body}  };\n}\n`;
    expect(longFunctions(text, 4)).toEqual(["createIt (12 lines)", "inner (5 lines)"]);
    const imports = { a: ["b"], b: ["c"], c: ["b"], d: ["a"] };
    expect(circlesOf(new Map(Object.entries(imports)))).toEqual([["b", "c"]]);
    expect(commentsOf('/** Who waits */ call("who"); // nobody').match(VAGUE_WORDS)).toEqual([
      "Who",
      "nobody",
    ]);
  });
});

/** Without comments and strings of documentation. */
const code = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
