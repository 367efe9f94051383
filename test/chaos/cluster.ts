/** Processes on one store that are killed, frozen and started again; the log of each is kept. */
import { eventually } from "../support/eventually.ts";
import { type LogEvent, type ServerProcess, tasktrack } from "../support/server-process.ts";
import { runningIn } from "./history.ts";

/** A process from its start to its end. */
export type Life = {
  readonly pid: number;
  readonly process: ServerProcess;
  /** When its end was observed, in epoch milliseconds; null while it runs. */
  diedAt: number | null;
};

export interface Member {
  /** The URL of the current process. */
  readonly url: string;
  readonly lives: readonly Life[];
  readonly current: Life;
  /** The log of the current process so far. */
  events(): readonly LogEvent[];
  /** Starts the next process; resolves when it listens. */
  start(): Promise<void>;
  /** kill -9; resolves when it is dead. */
  kill(): Promise<Life>;
  freeze(): void;
  thaw(): void;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
}

const STARTS = 5;

/** Settings have the names of the environment; by default the simulation never fails and tasks are due at once. */
export function createMember(env: Readonly<Record<string, string>>): Member {
  const lives: Life[] = [];
  let url = "";

  function begin(): Life {
    const process = tasktrack(["serve"], {
      env: {
        HTTP_HOST: "127.0.0.1",
        HTTP_PORT: "0",
        SIMULATE_FAILURE_RATE: "0",
        DISPATCH_INTERVAL: "0s",
        LOG_LEVEL: "debug",
        SHUTDOWN_GRACE: "5s",
        ...env,
      },
    });
    const life: Life = { pid: process.pid, process, diedAt: null };
    process.ended.then(() => {
      life.diedAt ??= Date.now();
    });
    lives.push(life);
    return life;
  }

  /**
   * On a busy machine the store may not answer within the 5 s that a start waits. The process then ends with this message, and is
   * started again, as its supervisor would do.
   */
  async function listening(): Promise<string> {
    for (let tries = 1; ; tries++) {
      const { process } = begin();
      try {
        return await process.url();
      } catch (error) {
        if (tries === STARTS || !/not answer/.test(process.written().stderr)) throw error;
        lives.pop(); // this process has done nothing
      }
    }
  }

  const current = (): Life => {
    const life = lives.at(-1);
    if (life === undefined) throw new Error("the process was not started");
    return life;
  };

  return {
    get url() {
      return url;
    },
    lives,
    get current() {
      return current();
    },
    events: () => current().process.events(),
    start: async () => {
      url = await listening();
    },
    kill: async () => {
      const life = current();
      life.process.kill("SIGKILL");
      await life.process.ended;
      return life;
    },
    freeze: () => current().process.kill("SIGSTOP"),
    thaw: () => current().process.kill("SIGCONT"),
    stop: async () => {
      const { process } = current();
      process.kill("SIGTERM");
      return (await process.ended).code;
    },
  };
}

/** Starts a process; resolves when it listens. */
export async function startMember(env: Readonly<Record<string, string>>): Promise<Member> {
  const member = createMember(env);
  await member.start();
  return member;
}

/** kill -9 while the process runs tasks. Resolves with its pid and the time at which its end was observed. */
export async function killAtWork(
  worker: Member,
  { tasks = 2 } = {},
): Promise<readonly [pid: number, diedAt: number]> {
  await eventually(
    () => runningIn(worker.current).length,
    (running) => running >= tasks,
  );
  const { pid, diedAt } = await worker.kill();
  return [pid, diedAt ?? Number.NaN];
}

/** Resolves when the server reports that it is ready, or not ready. */
export async function readiness(url: string, ready: boolean, withinMs?: number): Promise<void> {
  const ask = (): Promise<number> =>
    fetch(`${url}/readyz`).then(
      ({ status }) => status,
      () => 0,
    );
  await eventually(ask, (status) => status === (ready ? 200 : 503), withinMs);
}

/** Resolves when no task is pending or running. */
export async function allEnded(url: string, withinMs = 300_000): Promise<void> {
  const unfinished = async (): Promise<string> => {
    const response = await fetch(`${url}/api/task?status=pending&status=running&limit=3&view=full`);
    return response.ok ? response.text() : `status ${response.status}`;
  };
  await eventually(unfinished, (tasks) => tasks === "[]", withinMs);
}
