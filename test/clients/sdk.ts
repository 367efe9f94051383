/**
 * The SDK's package with runtimes, bundlers and compilers that `npm test` does not try. It is a part of `npm run clients`; alone
 * it is `npm run clients -- sdk`. It takes minutes and half a gigabyte of packages. The runtimes are kept for the next run.
 */
import { spawnSync } from "node:child_process";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { startApp } from "../support/app.ts";
import { launchBrowser } from "../support/browser.ts";
import { eventually } from "../support/eventually.ts";
import { installRuntimes, RUNTIMES, type RuntimePackage } from "../support/runtimes.ts";
import { freePort } from "../support/servers/runner.ts";

const ROOT = join(import.meta.dir, "../..");

const bunOf = (version: string): RuntimePackage => ({
  spec: `@oven/bun-${process.platform}-${process.arch}@${version}`,
  file: "bin/bun",
});

const MORE_RUNTIMES = {
  bun11: bunOf("1.1.45"),
  bun12: bunOf("1.2.23"),
  bun13: bunOf("1.3.14"),
  bun14: bunOf("1.4.5"),
  workerd: { spec: "@cloudflare/workerd-linux-64@1.20261117.1", file: "bin/workerd" },
} as const satisfies Readonly<Record<string, RuntimePackage>>;

const BUNDLERS = {
  esbuild: "0.28.2",
  rollup: "4.68.8",
  "@rollup/plugin-node-resolve": "16.0.3",
  webpack: "5.113.0",
  "webpack-cli": "7.3.1",
  vite: "8.4.0",
  rolldown: "1.3.3",
} as const;

/** The latest patch of each minor version. Versions from 6 on do not support node10. */
const COMPILERS = ["5.4.5", "5.5.4", "5.6.3", "5.7.3", "5.8.3", "5.9.3", "6.0.3", "7.0.2"] as const;
const RESOLUTIONS = [
  ["esnext", "bundler"],
  ["nodenext", "nodenext"],
  ["esnext", "node10"],
] as const;

type Outcome = { readonly name: string; readonly faults: readonly string[] };
type Place = { readonly home: string; readonly url: string };

const SCRIPT = `
import * as sdk from "tasktrack";
import { examine } from "./exam.mjs";
const [url, runtime] = globalThis.Deno?.args ?? process.argv.slice(2);
for (const line of await examine(sdk, url, runtime)) console.log(line);
`;

/** Deno's \`fetch\` forgot its signal half a minute after the answer had begun. */
const OLD_STREAM_SCRIPT = `
import { createClient } from "tasktrack";
const [url] = globalThis.Deno?.args ?? process.argv.slice(2);
const abort = new AbortController();
setTimeout(() => abort.abort(), 35_000);
for await (const _ of createClient(url).watch({ type: "none", signal: abort.signal }));
console.log("ok a stream of 35 seconds ends with its signal");
`;

const CONSUMER = `
import { createClient, createWorker, type Handler, type Task } from "tasktrack";
import { command, type Handlers } from "tasktrack/handlers";
const signal: AbortSignal | undefined = undefined;
export const task: Promise<Task> = createClient("http://localhost:8080").run({ name: "x" }, { signal });
const handler: Handler = async ({ payload }, { progress }) => progress(1, String(payload));
export const worker = createWorker({ url: "http://localhost:8080", handlers: { x: handler } });
export default { "video.encode": { handler: command(["ffmpeg"]), timeout: "1h" } } satisfies Handlers;
// @ts-expect-error a task needs a name
void createClient("http://localhost:8080").create({});
`;

/** Runs a command. If a folder is given, its programs come first on the PATH. */
async function run(
  command: readonly string[],
  cwd: string,
  programs?: string,
): Promise<{ readonly code: number; readonly output: string }> {
  const PATH = [...(programs === undefined ? [] : [programs]), process.env.PATH ?? ""].join(":");
  const child = Bun.spawn([...command], {
    cwd,
    env: { ...process.env, PATH },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, complained] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, output: output + complained };
}

/** The failed lines of an exam, or the whole output if the exam did not reach its end. */
const faultsOf = ({ code, output }: { readonly code: number; readonly output: string }): string[] => {
  const lines = output.trimEnd().split("\n");
  const isWhole = code === 0 && lines.some((line) => line.startsWith("ok "));
  return isWhole ? lines.filter((line) => line.startsWith("failed ")) : [`ended with ${code}: ${output}`];
};

const DENO = ["run", "--quiet", "--allow-all", "--no-lock", "--node-modules-dir=manual"];

// ---- runtimes

async function onRuntimes({ home, url }: Place): Promise<Outcome[]> {
  const { workerd, ...programs } = installRuntimes({ ...RUNTIMES, ...MORE_RUNTIMES });
  const examine = async (name: string, program: string): Promise<Outcome> => {
    const args = name === "deno" ? DENO : [];
    const [exam, oldStream] = await Promise.all([
      run([program, ...args, "script.mjs", url, name], home),
      run([program, ...args, "old-stream.mjs", url], home),
    ]);
    return { name, faults: [...faultsOf(exam), ...faultsOf(oldStream)] };
  };
  return Promise.all([
    ...Object.entries(programs).map(([name, program]) => examine(name, program)),
    onWorkerd(workerd, { home, url }),
    inChromium({ home, url }),
  ]);
}

const WORKERD_SCRIPT = `
import * as sdk from "tasktrack";
import { examine } from "exam";
export default {
  async fetch(request) {
    const url = new URL(request.url).searchParams.get("server");
    return new Response((await examine(sdk, url, "workerd")).join("\\n"));
  },
};
`;

const workerdConfig = (port: number): string => `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [
        (name = "main", esModule = embed "workerd.mjs"),
        (name = "tasktrack", esModule = embed "node_modules/tasktrack/tasktrack.js"),
        (name = "exam", esModule = embed "exam.mjs"),
      ],
      compatibilityDate = "2026-01-01",
    )),
    (name = "internet", network = (allow = ["private", "public", "local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
`;

async function onWorkerd(program: string, { home, url }: Place): Promise<Outcome> {
  const port = await freePort();
  await writeFile(join(home, "workerd.mjs"), WORKERD_SCRIPT);
  await writeFile(join(home, "workerd.capnp"), workerdConfig(port));
  const served = Bun.spawn([program, "serve", "workerd.capnp"], {
    cwd: home,
    stdout: "inherit",
    stderr: "inherit",
  });
  try {
    const ask = () => fetch(`http://127.0.0.1:${port}/?server=${url}`).catch(() => null);
    const answer = await eventually(ask, (response) => response !== null);
    return { name: "workerd", faults: faultsOf({ code: 0, output: (await answer?.text()) ?? "" }) };
  } finally {
    served.kill();
    await served.exited;
  }
}

const PAGE = `<!doctype html><script type="importmap">{"imports":{"tasktrack":"./tasktrack.js"}}</script>
<script type="module">
import * as sdk from "tasktrack";
import { examine } from "./exam.mjs";
globalThis.lines = await examine(sdk, location.origin, "chromium");
</script>`;

/** The page comes from the server's own origin: pages of others may not change tasks. */
async function inChromium({ home, url }: Place): Promise<Outcome> {
  const browser = await launchBrowser();
  try {
    const { page } = await browser.open(`${url}/livez`);
    const files = new Map([
      ["page.html", { body: PAGE, contentType: "text/html" }],
      ...(await Promise.all(
        [join(home, "exam.mjs"), join(home, "node_modules/tasktrack/tasktrack.js")].map(
          async (path) =>
            [
              path.slice(dirname(path).length + 1),
              { body: await Bun.file(path).text(), contentType: "text/javascript" },
            ] as const,
        ),
      )),
    ]);
    await page.route("**/exam-of-the-sdk/*", (route) => {
      const file = files.get(new URL(route.request().url()).pathname.split("/").at(-1) ?? "");
      return route.fulfill(file ?? { status: 404 });
    });
    await page.goto(`${url}/exam-of-the-sdk/page.html`);
    const lines = await page.waitForFunction("globalThis.lines", undefined, { timeout: 300_000 });
    const output = ((await lines.jsonValue()) as string[]).join("\n"); // in the form that the page sets
    return { name: "chromium", faults: faultsOf({ code: 0, output }) };
  } finally {
    await browser.close();
  }
}

// ---- bundlers

const WEBPACK_CONFIG = `export default {
  mode: "production", target: "node20", entry: "./script.mjs", experiments: { outputModule: true },
  output: { path: process.cwd() + "/out-webpack", filename: "bundle.mjs", module: true },
};`;
const ROLLUP_CONFIG = `import resolve from "@rollup/plugin-node-resolve";
export default { input: "script.mjs", output: { file: "out-rollup/bundle.mjs", format: "es" }, plugins: [resolve()] };`;
const VITE_CONFIG = `export default {
  build: { ssr: "script.mjs", outDir: "out-vite", target: "node20", rollupOptions: { output: { entryFileNames: "bundle.mjs" } } },
  ssr: { noExternal: true }, logLevel: "warn",
};`;

const BUNDLE_COMMANDS: Readonly<Record<string, readonly string[]>> = {
  esbuild: [
    "esbuild",
    "script.mjs",
    "--bundle",
    "--platform=node",
    "--format=esm",
    "--outfile=out-esbuild/bundle.mjs",
    "--log-level=warning",
  ],
  rollup: ["rollup", "--config", "rollup.config.mjs", "--silent"],
  webpack: ["webpack", "--config", "webpack.config.mjs", "--stats=errors-only"],
  vite: ["vite", "build", "--config", "vite.config.mjs"],
  rolldown: ["rolldown", "script.mjs", "--platform", "node", "--file", "out-rolldown/bundle.mjs"],
};

async function throughBundlers({ home, url }: Place): Promise<Outcome[]> {
  await writeFile(join(home, "webpack.config.mjs"), WEBPACK_CONFIG);
  await writeFile(join(home, "rollup.config.mjs"), ROLLUP_CONFIG);
  await writeFile(join(home, "vite.config.mjs"), VITE_CONFIG);
  const outcomes: Outcome[] = [];
  const { node26 } = installRuntimes(RUNTIMES);
  for (const [name, [program = "", ...args]] of Object.entries(BUNDLE_COMMANDS)) {
    const bundled = await run([join(home, "node_modules/.bin", program), ...args], home, dirname(node26));
    const faults =
      bundled.code === 0
        ? faultsOf(await run([node26, `out-${name}/bundle.mjs`, url, name], home))
        : [bundled.output];
    outcomes.push({ name, faults });
  }
  return outcomes;
}

function npmInstall(folder: string, specs: readonly string[]): void {
  const args = ["install", "--no-save", "--no-audit", "--no-fund", "--no-package-lock", ...specs];
  const done = spawnSync("npm", args, { cwd: folder, encoding: "utf8" });
  if (done.status !== 0) throw new Error(`npm ${args.join(" ")} failed:\n${done.stdout}${done.stderr}`);
}

// ---- compilers

/** Without the types of other packages, which the older compilers do not understand. */
const projectOf = (module: string, moduleResolution: string): string =>
  JSON.stringify({
    files: ["consumer.ts"],
    compilerOptions: {
      ...{ strict: true, noEmit: true, exactOptionalPropertyTypes: true, target: "es2022", types: [] },
      ...{ lib: ["es2022", "dom", "dom.iterable"], module, moduleResolution },
    },
  });

async function underCompilers({ home }: Place): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const version of COMPILERS) {
    const faults: string[] = [];
    for (const [module, resolution] of RESOLUTIONS) {
      if (resolution === "node10" && Number.parseInt(version, 10) > 5) continue;
      const project = `tsconfig.${resolution}.json`;
      await writeFile(join(home, project), projectOf(module, resolution));
      const tsc = join(home, `node_modules/typescript-${version}/bin/tsc`);
      const { code, output } = await run([tsc, "-p", project], home);
      if (code !== 0) faults.push(`${resolution}: ${output}`);
    }
    outcomes.push({ name: `typescript ${version}`, faults });
  }
  return outcomes;
}

// ---- all

/** npm comes first: it removes what it has not installed itself. */
async function prepare(home: string): Promise<void> {
  await writeFile(join(home, "package.json"), '{"private":true,"type":"module"}');
  await writeFile(join(home, "script.mjs"), SCRIPT);
  await writeFile(join(home, "old-stream.mjs"), OLD_STREAM_SCRIPT);
  await writeFile(join(home, "consumer.ts"), CONSUMER);
  await cp(join(ROOT, "test/sdk/exam.mjs"), join(home, "exam.mjs"));
  npmInstall(home, [
    ...Object.entries(BUNDLERS).map(([name, version]) => `${name}@${version}`),
    ...COMPILERS.map((version) => `typescript-${version}@npm:typescript@${version}`),
  ]);
  await buildPackage(home);
}

async function buildPackage(home: string): Promise<void> {
  const built = await run(
    [process.execPath, join(ROOT, "scripts/build-sdk.ts"), join(home, "node_modules/tasktrack")],
    home,
  );
  if (built.code !== 0) throw new Error(`the package cannot be built:\n${built.output}`);
}

/** An outcome for each runtime, bundler and compiler. */
export async function* examineSdk(): AsyncGenerator<Outcome> {
  const home = await mkdtemp(join(tmpdir(), "tasktrack-sdk-"));
  const server = await startApp({ LEASE: "5s" });
  try {
    await prepare(home);
    for (const part of [throughBundlers, underCompilers, onRuntimes])
      yield* await part({ home, url: server.url });
  } finally {
    await server.stop();
    await rm(home, { recursive: true });
  }
}
