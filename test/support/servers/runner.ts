/**
 * Real servers for tests and benchmarks. Each has its own data directory and its own port on 127.0.0.1, and is removed at the end.
 * A server's program is on the machine, or is installed from Debian's packages (as root), or runs by compose if Docker is available.
 * If none of these is possible, the start fails with a message.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

/** A server that can be stopped, killed and started again on its data. */
export interface TestServer {
  readonly port: number;
  /** Its process on this machine; null while it does not run, and in a container. */
  pid(): number | null;
  /** Starts it; resolves when it answers. */
  start(): Promise<void>;
  /** Sends a signal; if the signal ends it, resolves when the last of its processes is gone. */
  signal(name: NodeJS.Signals): Promise<void>;
  /** Ends it and removes its data. May be called twice. */
  remove(): Promise<void>;
}

export type Program = {
  /** The name in messages, and of the compose service. */
  readonly name: string;
  /** The path of the binary on Debian, or its name on the PATH. */
  readonly find: () => string | null;
  /** Its name, or several separated by spaces. */
  readonly debianPackage: string;
  /** The account under which it runs if the tests run as root; the server refuses root. */
  readonly account: string | null;
  /** Prepares a fresh data directory. */
  readonly prepare: (place: Place) => Promise<void>;
  readonly args: (place: Place) => readonly string[];
  /** Ends it cleanly. */
  readonly stopSignal: NodeJS.Signals;
  /** The environment of the compose service beside PORT. */
  readonly composeEnv: (place: Omit<Place, "run" | "binary">) => Readonly<Record<string, string>>;
};

export type Place = {
  readonly directory: string;
  readonly port: number;
  readonly binary: string;
  /** Runs a program under the server's account; throws with its output if it fails. */
  readonly run: (command: string, args: readonly string[]) => void;
};

/** The start of a broker takes ten seconds of the processor. Only a start that hangs takes this long, even beside twenty others. */
const READY_WITHIN_MS = 600_000;
const COMPOSE_FILE = join(import.meta.dir, "compose.yaml");

const isRoot = process.getuid?.() === 0;

/** Prepares a server of this program for its start. */
export async function createServerOf(program: Program): Promise<TestServer> {
  const binary = findOrInstall(program);
  if (binary === null) return createComposed(program);
  const directory = await mkdtemp(join(tmpdir(), `tasktrack-${program.name}-`));
  const account = isRoot ? accountOf(program.account) : null;
  if (account !== null) await chown(directory, account.uid, account.gid);
  const port = await freePort();
  const place: Place = { directory, port, binary, run: (command, args) => run(command, args, account) };
  await program.prepare(place);
  return createLocal(program, place, account);
}

type Account = { readonly uid: number; readonly gid: number };

function createLocal(program: Program, place: Place, account: Account | null): TestServer {
  let child: ChildProcess | null = null;
  let output = "";

  async function start(): Promise<void> {
    const started = spawn(place.binary, [...program.args(place)], {
      cwd: place.directory,
      stdio: ["ignore", "pipe", "pipe"],
      ...(account ?? {}),
    });
    child = started;
    output = "";
    for (const stream of [started.stdout, started.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output = (output + text).slice(-4_000);
      });
    }
    leftovers.add(started);
    started.once("exit", () => leftovers.delete(started));
    const isOver = (): boolean => started.exitCode !== null || started.signalCode !== null;
    if (await answers(place.port, isOver)) return;
    throw new Error(
      `${program.name} ${isOver() ? "ended at" : "was not ready in time after"} its start:\n${output}`,
    );
  }

  async function signal(name: NodeJS.Signals): Promise<void> {
    const running = child;
    if (running === null || running.exitCode !== null || running.signalCode !== null) return;
    if (name === "SIGSTOP" || name === "SIGCONT") {
      await freezeOrThaw(running.pid ?? 0, name);
      return;
    }
    const ended = new Promise((resolve) => running.once("exit", resolve));
    const children = name === "SIGKILL" ? await orphansOf(running.pid ?? 0) : [];
    running.kill(name);
    if (name === "SIGHUP") return;
    await ended;
    await allGone(children);
  }

  return {
    port: place.port,
    pid: () => child?.pid ?? null,
    start,
    signal,
    remove: async () => {
      await signal("SIGCONT");
      await signal(program.stopSignal);
      await rm(place.directory, { recursive: true, force: true });
    },
  };
}

/** Freezes all processes of a server. The parent is frozen first, so that it starts no more processes. */
async function freezeOrThaw(parent: number, name: "SIGSTOP" | "SIGCONT"): Promise<void> {
  const everyone = () => [parent, ...childrenOf(parent)];
  for (const pid of everyone()) sendTo(pid, name);
  // A process on another core stops a moment later, and may have started another process before that.
  while (name === "SIGSTOP" && !everyone().every(isStopped)) {
    for (const pid of everyone()) sendTo(pid, name);
    await Bun.sleep(1);
  }
}

type Identity = { readonly pid: number; readonly startedAt: string | null };

/** A process with its start time, because its id may be given to another process later. */
const identityOf = (pid: number): Identity => ({ pid, startedAt: startTimeOf(pid) });

/** The child processes, which would survive the end of this process. It is frozen meanwhile, so that it starts no more. */
async function orphansOf(parent: number): Promise<Identity[]> {
  if (!existsSync("/proc")) return [];
  sendTo(parent, "SIGSTOP");
  while (!isStopped(parent)) await wait(1);
  return childrenOf(parent).map(identityOf);
}

const startTimeOf = (pid: number): string | null => {
  const stat = statOf(String(pid));
  return stat === null || stat[0] === "Z" ? null : (stat[START_TIME] ?? null);
};
const START_TIME = 19; // after the name; see proc(5)

/**
 * The children of a killed server survive it for a moment. PostgreSQL refuses to start while a backend of the former process still
 * holds the shared memory.
 */
async function allGone(processes: readonly Identity[]): Promise<void> {
  const giveUpAt = performance.now() + READY_WITHIN_MS;
  const isThere = ({ pid, startedAt }: Identity): boolean =>
    startedAt !== null && startTimeOf(pid) === startedAt;
  while (processes.some(isThere)) {
    if (performance.now() > giveUpAt) throw new Error("processes of a server that was killed do not end");
    await wait(5);
  }
}

function sendTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error; // it has ended meanwhile
  }
}

/** From /proc, because a small machine may not have `ps`. */
const childrenOf = (parent: number): number[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && parentOf(name) === parent)
    .map(Number);

const parentOf = (pid: string): number | null => {
  const parent = statOf(pid)?.[1];
  return parent === undefined ? null : Number(parent);
};

/** A process that has ended counts as frozen. */
const isStopped = (pid: number): boolean => ["T", "Z", undefined].includes(statOf(String(pid))?.[0]);

/** The fields of /proc/PID/stat after the name: state, parent and more; null if the process has ended. */
function statOf(pid: string): string[] | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return null;
  }
}

async function createComposed(program: Program): Promise<TestServer> {
  if (spawnSync("docker", ["compose", "ps"], { stdio: "ignore" }).error !== undefined || !dockerRuns()) {
    throw new Error(
      `the tests need ${program.name}: install Debian's ${program.debianPackage}, or run them as root (they install it), or start Docker`,
    );
  }
  const port = await freePort();
  const project = `tasktrack-${program.name}-${port}`;
  const env = {
    ...process.env,
    PORT: String(port),
    ...program.composeEnv({ directory: "/data", port }),
  };
  const compose = (...args: string[]): void => {
    const done = spawnSync("docker", ["compose", "-f", COMPOSE_FILE, "-p", project, ...args], { env });
    if (done.status !== 0) throw new Error(`docker compose ${args.join(" ")}: ${done.stderr}`);
  };
  return {
    port,
    pid: () => null,
    start: async () => {
      compose("up", "--detach", "--no-recreate", program.name);
      compose("start", program.name);
      if (!(await answers(port, () => false))) throw new Error(`${program.name} was not ready in time`);
    },
    signal: async (name) => {
      if (name === "SIGSTOP") compose("pause", program.name);
      else if (name === "SIGCONT") compose("unpause", program.name);
      else compose("kill", "--signal", name, program.name);
    },
    remove: async () => compose("down", "--volumes"),
  };
}

const dockerRuns = (): boolean => spawnSync("docker", ["info"], { stdio: "ignore" }).status === 0;

/** Ends the servers of an interrupted test run. */
const leftovers = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of leftovers) child.kill("SIGKILL");
});

const INSTALL_LOCK = join(tmpdir(), "tasktrack-apt-get.lock");

/** The result of `find`, after an installation if it is missing; null if that is not possible. */
export function findOrInstall(program: Pick<Program, "name" | "debianPackage" | "find">): string | null {
  const found = program.find();
  if (found !== null) return found;
  const { name, debianPackage, find } = program;
  if (!isRoot || !existsSync("/usr/bin/apt-get")) return null;
  console.error(`installing Debian's ${debianPackage} for ${name}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  for (const args of [
    ["update", "-q"],
    ["install", "-qy", "--no-install-recommends", ...debianPackage.split(" ")],
  ]) {
    // Test files run in parallel, and apt-get fails if another one holds its lock.
    const done = spawnSync("flock", [INSTALL_LOCK, "apt-get", ...args], { env, encoding: "utf8" });
    if (done.status !== 0) throw new Error(`apt-get ${args.join(" ")} failed:\n${done.stderr}`);
  }
  return find();
}

/** The ids of the account; null if none is given. */
function accountOf(name: string | null): Account | null {
  if (name === null) return null;
  const id = (option: string): number =>
    Number(spawnSync("id", [option, name], { encoding: "utf8" }).stdout.trim());
  return { uid: id("-u"), gid: id("-g") };
}

function run(command: string, args: readonly string[], account: Account | null): void {
  const done = spawnSync(command, [...args], { encoding: "utf8", ...(account ?? {}) });
  if (done.status !== 0)
    throw new Error(`${command} ${args.join(" ")} failed:\n${done.stdout}${done.stderr}`);
}

/** Below the ports that the system assigns to outgoing connections and for port 0, so that none of these is taken by chance. */
const PORTS = { from: 10_000, to: 32_000 };
/** Parallel processes search in different ranges. No port is given twice, because a server does not listen at once. */
const PORTS_OF_A_PROCESS = 250;
const places = Math.floor((PORTS.to - PORTS.from) / PORTS_OF_A_PROCESS);
const place = PORTS.from + (process.pid % places) * PORTS_OF_A_PROCESS;
/** Processes of two test runs may search in the same range, so each begins at a random port of the range. */
let drawn = Math.floor(Math.random() * PORTS_OF_A_PROCESS);

/** A port on which no process listens at this moment. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = place + (drawn++ % PORTS_OF_A_PROCESS);
    if (await isFree(port)) return port;
  }
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });

/** Resolves with whether a process listens there before the time is over. */
async function answers(port: number, isOver: () => boolean): Promise<boolean> {
  const giveUpAt = performance.now() + READY_WITHIN_MS;
  while (!(await accepts(port))) {
    if (isOver() || performance.now() > giveUpAt) return false;
    await wait(10);
  }
  return true;
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });

/** A binary on the PATH or in one of these folders. */
export const findBinary = (name: string, folders: readonly string[] = []): string | null =>
  [...folders, ...(process.env.PATH ?? "").split(":"), "/usr/sbin"]
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path)) ?? null;

/** The versions of Debian's PostgreSQL, the newest first. */
export const postgresFolders = (): string[] =>
  existsSync("/usr/lib/postgresql")
    ? readdirSync("/usr/lib/postgresql")
        .sort((a, b) => Number(b) - Number(a))
        .map((version) => `/usr/lib/postgresql/${version}/bin`)
    : [];
