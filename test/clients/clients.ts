/** Clients that generators make from the OpenAPI document. Each is generated, compiled and run against a live server. */
import { cp, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Command,
  cargoProgram,
  command,
  debianProgram,
  GO_ENV,
  goProgram,
  mavenJars,
  npmPackages,
  OPENAPI_GENERATOR,
  openApiGenerator,
  ProgramMissing,
  pythonPackages,
  runCommand,
} from "./programs.ts";

/** The steps of each client. Its program prints `ok` and the step if the answer was right. */
export const STEPS = [
  ...["create", "batch", "list", "get", "wait", "claim", "heartbeat"],
  ...["complete", "fail", "patch", "delete", "404", "409"],
] as const;

type GeneratedClient = {
  /** The name of its folder, which has its program and the versions of its dependencies. */
  readonly name: string;
  readonly generator: string;
  readonly language: string;
  /** Commands that generate and compile it in a copy of its folder that has an openapi.json; the last one runs it. */
  readonly commands: (at: Place) => Promise<readonly Command[]>;
};

/** The folder of a generated client, and the environment of its program. */
type Place = { readonly folder: string; readonly url: string; readonly kind: string };

const inGo = async ({ url, kind }: Place, generate: (go: string) => Command | Promise<Command>) => {
  const go = await goProgram();
  return [
    { ...(await generate(go)), env: GO_ENV },
    { ...command(go, "build", "-o", "client", "."), env: GO_ENV },
    command("./client", url, kind),
  ];
};

/** The repository's compiler is a native program: it takes a tenth of the processor time of those that the generators depend on. */
const TSC = join(import.meta.dir, "../../node_modules/typescript/bin/tsc");

/** Bun runs the generator, because it may need a later Node.js than the machine has. The client itself runs on Node.js. */
const inTypeScript = async (
  name: string,
  { folder, url, kind }: Place,
  generate: (packages: string) => Command | Promise<Command>,
) => {
  const packages = await npmPackages(name);
  await symlink(packages, join(folder, "node_modules"));
  return [
    await generate(packages),
    command("node", TSC, "-p", "."),
    command("node", "built/main.js", url, kind),
  ];
};

const byBun = (program: string, ...args: readonly string[]): Command =>
  command(process.execPath, "--bun", `node_modules/.bin/${program}`, ...args);

const inPython = async (
  name: string,
  { url, kind }: Place,
  generate: (programs: string) => Command | Promise<Command>,
  env: Readonly<Record<string, string>> = {},
) => {
  const programs = await pythonPackages(name);
  return [
    await generate(programs),
    command(join(programs, "python"), "-m", "compileall", "-q", "generated"),
    { ...command(join(programs, "python"), "main.py", url, kind), env },
  ];
};

export const CLIENTS: readonly GeneratedClient[] = [
  {
    name: "openapi-typescript",
    generator: "openapi-typescript 7.13.0, openapi-fetch 0.17.0",
    language: "TypeScript",
    commands: (at) =>
      inTypeScript("openapi-typescript", at, () =>
        byBun("openapi-typescript", "openapi.json", "-o", "generated/schema.d.ts"),
      ),
  },
  {
    name: "oapi-codegen",
    generator: "oapi-codegen 2.8.2",
    language: "Go",
    commands: (at) =>
      inGo(at, (go) => command(go, "tool", "oapi-codegen", "-config", "oapi-codegen.yaml", "openapi.json")),
  },
  {
    name: "openapi-python-client",
    generator: "openapi-python-client 0.29.1",
    language: "Python",
    commands: (at) =>
      inPython("openapi-python-client", at, (programs) =>
        command(
          join(programs, "openapi-python-client"),
          ...["generate", "--path", "openapi.json", "--output-path", "generated"],
          ...["--meta", "none", "--config", "config.yaml"],
        ),
      ),
  },
  {
    name: "hey-api",
    generator: "@hey-api/openapi-ts 0.99.0",
    language: "TypeScript",
    commands: (at) => inTypeScript("hey-api", at, () => byBun("openapi-ts")),
  },
  {
    name: "orval",
    generator: "orval 8.38.0",
    language: "TypeScript",
    commands: (at) =>
      inTypeScript("orval", at, () => ({ ...byBun("orval"), env: { TASKTRACK_URL: at.url } })),
  },
  {
    name: "generator-typescript",
    generator: `openapi-generator ${OPENAPI_GENERATOR}, typescript-fetch`,
    language: "TypeScript",
    commands: (at) =>
      inTypeScript("generator-typescript", at, () =>
        openApiGenerator("typescript-fetch", "--additional-properties=importFileExtension=.js"),
      ),
  },
  {
    name: "ogen",
    generator: "ogen 1.25.0",
    language: "Go",
    commands: (at) =>
      inGo(at, (go) =>
        command(go, "tool", "ogen", "--target", "generated", "--package", "tasktrack", "openapi.json"),
      ),
  },
  {
    name: "generator-go",
    generator: `openapi-generator ${OPENAPI_GENERATOR}, go`,
    language: "Go",
    commands: (at) =>
      inGo(at, () =>
        openApiGenerator(
          "go",
          "--additional-properties=packageName=tasktrack,withGoMod=false,enumClassPrefix=true",
          "--global-property=apis,models,supportingFiles,apiTests=false,modelTests=false",
        ),
      ),
  },
  {
    name: "generator-python",
    generator: `openapi-generator ${OPENAPI_GENERATOR}, python`,
    language: "Python",
    commands: (at) =>
      inPython("generator-python", at, () => openApiGenerator("python"), { PYTHONPATH: "generated" }),
  },
  {
    name: "generator-java",
    generator: `openapi-generator ${OPENAPI_GENERATOR}, java`,
    language: "Java",
    commands: async ({ url, kind }) => {
      const jars = join(await mavenJars("generator-java"), "*");
      const generate = await openApiGenerator("java");
      const compile = `javac -nowarn -d built -cp '${jars}' Main.java $(find generated/src/main -name '*.java')`;
      return [
        generate,
        command("sh", "-c", compile),
        command(debianProgram("java", "openjdk-17-jdk-headless"), "-cp", `built:${jars}`, "Main", url, kind),
      ];
    },
  },
  {
    name: "generator-rust",
    generator: `openapi-generator ${OPENAPI_GENERATOR}, rust`,
    language: "Rust",
    commands: async ({ url, kind }) => [
      await openApiGenerator("rust"),
      command(await cargoProgram(), "build", "--locked"),
      command("target/debug/tasktrack-client-generator-rust", url, kind),
    ],
  },
];

/** The successful steps, or the reason why no step was tried. */
export type Report =
  | { readonly kind: "ran"; readonly steps: readonly string[]; readonly fault: string | null }
  | { readonly kind: "not run"; readonly reason: string };

/** Makes a client in a temporary folder and runs it against the server at this address. */
export async function tryClient({ name, commands }: GeneratedClient, url: string): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), `tasktrack-client-${name}-`));
  try {
    await cp(join(import.meta.dir, name), folder, { recursive: true });
    await writeFile(join(folder, "openapi.json"), await (await fetch(`${url}/openapi.json`)).text());
    let output = "";
    for (const each of await commands({ folder, url, kind: `clients.${name}` }))
      output = await runCommand(each, folder);
    return { kind: "ran", steps: stepsIn(output), fault: null };
  } catch (error) {
    if (error instanceof ProgramMissing) return { kind: "not run", reason: error.message };
    const fault = error instanceof Error ? error.message : String(error);
    return { kind: "ran", steps: stepsIn(fault), fault };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const stepsIn = (output: string): string[] =>
  [...output.matchAll(/^ok (.+)$/gm)].map(([, step = ""]) => step);
