/** Waits for the end of tasks, and shows their progress on a terminal. */
import type { TaskState } from "../../client/types.ts";
import type { Call } from "../command.ts";
import { OK, TASK_CANCELLED } from "../exit-codes.ts";
import { interruptible } from "../interrupt.ts";
import { type Live, startLines } from "../live.ts";
import { progressLine, type Seen, taskSentence } from "../show/task-row.ts";
import { clockTime } from "../show/time.ts";
import { canRedraw } from "../terminal.ts";
import { exitCodeOf, type Follower, followToEnd } from "./follow.ts";
import type { Server } from "./server.ts";

export type Waiting = {
  readonly ids: readonly number[];
  /** Ids of tasks that exist for certain. */
  readonly known?: readonly number[];
  /** Prints nothing. */
  readonly isQuiet?: boolean;
  /** Puts the time before plain lines. */
  readonly isDated?: boolean;
};

/**
 * Resolves with the exit code of the worst end. After a Ctrl-C, the tasks continue, and the command prints how
 * to watch them again.
 */
export async function waitForEnds(call: Call, { client, url }: Server, waiting: Waiting): Promise<number> {
  const { terminal } = call;
  const { ids, known = [], isQuiet = false } = waiting;
  const codes = new Map<number, number>();
  const open = new Set(ids);
  const shown = isQuiet ? SILENT : canRedraw(terminal) ? asBars(call, ids, url) : asLines(call, waiting, url);
  const follower: Follower = {
    onTask: (task) => {
      codes.set(task.id, exitCodeOf(task));
      if (task.finished_at !== null) open.delete(task.id);
      shown.onTask(task);
    },
    onDeleted: (id) => {
      codes.set(id, TASK_CANCELLED);
      open.delete(id);
      shown.onDeleted(id);
    },
    onConnection: shown.onConnection,
  };
  const { exitCode, wasInterrupted } = await interruptible(terminal, async (signal) => {
    try {
      await followToEnd(client, ids, { follower, signal, known });
    } finally {
      shown.stop();
    }
    return Math.max(OK, ...codes.values());
  });
  if (wasInterrupted) terminal.err.write(`tasktrack: ${watchAgain([...open])}\n`);
  return exitCode;
}

const NAMED = 20;

function watchAgain(open: readonly number[]): string {
  const subject = open.length === 1 ? `task ${open[0]} continues` : `${open.length} tasks continue`;
  const more = open.length > NAMED ? " …" : "";
  return `${subject}; watch again with: tasktrack watch ${open.slice(0, NAMED).join(" ")}${more}`;
}

type Shown = Follower & { readonly stop: () => void };

const nothing = (): void => undefined;
const SILENT: Shown = { onTask: nothing, onDeleted: nothing, onConnection: nothing, stop: nothing };

const deletedLine = (id: number): string => `Task ${id} was deleted`;

/** A plain line for each change of status or progress. */
function asLines({ terminal, paint }: Call, { isDated = false }: Waiting, url: string): Shown {
  const { out, err, clock } = terminal;
  const last = new Map<number, string>();
  const print = (text: string): void => {
    const date = isDated ? `${clockTime(new Date(clock.now()).toISOString())} ` : "";
    out.write(`${date}${text}\n`);
  };
  return {
    onTask: (task) => {
      const state = JSON.stringify([task.status, task.attempt, task.progress, task.cancel_requested]);
      if (state === last.get(task.id)) return;
      last.set(task.id, state);
      print(taskSentence({ task, seenAt: clock.now() }, { now: clock.now(), paint }));
    },
    onDeleted: (id) => print(deletedLine(id)),
    onConnection: awayNotice((text) => err.write(`tasktrack: ${text}\n`), url),
    stop: nothing,
  };
}

/** Reports once that the server does not answer, and once that it answers again. */
export function awayNotice(print: (text: string) => void, url: string): (isConnected: boolean) => void {
  let wasConnected = true;
  return (isConnected) => {
    if (isConnected !== wasConnected)
      print(isConnected ? `${url} is back` : `${url} does not answer; trying again`);
    wasConnected = isConnected;
  };
}

/** A bar for each task that has not ended; lines for ended tasks stay above. */
function asBars({ terminal, paint }: Call, ids: readonly number[], url: string): Shown {
  const { clock, out } = terminal;
  const open = new Map<number, Seen>();
  let isConnected = true;
  const live: Live = startLines(terminal, ({ columns, rows }) => {
    const now = clock.now();
    const away = isConnected ? [] : [paint("yellow", `${url} does not answer; trying again`)];
    const room = Math.max(1, rows - away.length - 1);
    const all = ids.flatMap((id) => open.get(id) ?? []);
    const hidden = all.length - room;
    return [
      ...all.slice(0, room).map((seen) => progressLine(seen, { now, width: columns, paint })),
      ...(hidden > 0 ? [paint("dim", `… and ${hidden} more`)] : []),
      ...away,
    ];
  });
  return {
    onTask: (task: TaskState) => {
      const seen = { task, seenAt: clock.now() };
      open.set(task.id, seen);
      if (task.finished_at === null) return live.changed();
      open.delete(task.id);
      live.print(taskSentence(seen, { now: clock.now(), paint }));
    },
    onDeleted: (id) => {
      open.delete(id);
      live.print(deletedLine(id));
    },
    onConnection: (connected) => {
      isConnected = connected;
      live.changed();
    },
    stop: () => {
      live.stop();
      // Tasks that continue stay visible in their last state.
      for (const seen of open.values()) {
        out.write(`${progressLine(seen, { now: clock.now(), width: out.size().columns - 1, paint })}\n`);
      }
    },
  };
}
