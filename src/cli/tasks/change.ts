/** The commands cancel, retry and remove: for ids, or for all tasks that flags choose. */
import type { Client } from "../../client/client.ts";
import type { BulkRequest, Task } from "../../client/types.ts";
import { type Call, type Command, type Flag, UsageError } from "../command.ts";
import { FAILED, OK } from "../exit-codes.ts";
import { interruptible } from "../interrupt.ts";
import { taskSentence } from "../show/task-row.ts";
import { FILTER_FLAGS, filterOf } from "./filter.ts";
import { followToEnd } from "./follow.ts";
import { forEachTask, idsOf, SERVER_FLAGS, type Server, withServer } from "./server.ts";

type Operation = {
  readonly name: "cancel" | "retry" | "remove";
  readonly action: BulkRequest["action"];
  /** "12 tasks cancelled" */
  readonly past: string;
  readonly one: (client: Client, id: number) => Promise<Done>;
};

/** The line to print, and whether the task needs no wait. */
type Done = { readonly line: string; readonly isOver: boolean };

const CANCEL: Operation = {
  name: "cancel",
  action: "cancel",
  past: "cancelled or asked to stop",
  one: async (client, id) => cancelled(await client.cancel(id)),
};

const RETRY: Operation = {
  name: "retry",
  action: "retry",
  past: "pending again",
  one: async (client, id) => {
    await client.retry(id);
    return { line: `Task ${id} is pending again`, isOver: true };
  },
};

const REMOVE: Operation = {
  name: "remove",
  action: "delete",
  past: "deleted",
  one: async (client, id) => {
    await client.remove(id);
    return { line: `Task ${id} deleted`, isOver: true };
  },
};

const WAIT: Flag = { name: "wait", about: "wait until the tasks have ended, in any status" };
const YES: Flag = { name: "yes", about: "change all tasks that the flags choose, without a question" };

const CHOOSING = `Name tasks by ids, or choose them by flags. With flags, the command prints their number and asks first. Without a terminal it needs --yes.`;

export const cancelCommand = commandOf(CANCEL, {
  about: "cancel tasks",
  details: `A pending task ends at once. A running task is asked to stop, and ends within 30 seconds. ${CHOOSING}`,
  flags: [WAIT],
  examples: [
    { line: "tasktrack cancel 7 8", about: "two tasks" },
    {
      line: "tasktrack cancel --status pending --type 'video.*'",
      about: "all tasks that match, after a question",
    },
  ],
});

export const retryCommand = commandOf(RETRY, {
  about: "make ended tasks pending again",
  details: `Their attempts are counted from 1 again. Their history is kept. ${CHOOSING}`,
  flags: [],
  examples: [
    { line: "tasktrack retry 7", about: "once more" },
    {
      line: "tasktrack retry --status failed --tag nightly --yes",
      about: "all tasks that match, from a script",
    },
  ],
});

export const removeCommand = commandOf(REMOVE, {
  about: "delete tasks",
  details: `A running task is aborted, and its result is dropped. ${CHOOSING}`,
  flags: [],
  examples: [
    { line: "tasktrack remove 7", about: "in any status" },
    { line: "tasktrack remove --status cancelled", about: "all tasks that match, after a question" },
  ],
});

function commandOf(
  operation: Operation,
  words: Pick<Command, "about" | "flags" | "examples"> & { readonly details: string },
): Command {
  return {
    ...words,
    name: operation.name,
    positionals: [{ name: "ID", isMany: true, isOptional: true }],
    flags: [...words.flags, ...FILTER_FLAGS, YES, ...SERVER_FLAGS],
    outlivesOutput: true,
    run: (call) => withServer(call, (server) => change(call, server, operation)),
  };
}

function change(call: Call, server: Server, operation: Operation): Promise<number> {
  const ids = idsOf(call.positionals);
  const isChosen = Object.keys(filterOf(call.given)).length > 0;
  if (ids.length > 0 && isChosen) throw new UsageError("ids and flags that choose tasks do not go together");
  if (ids.length === 0 && !isChosen) {
    throw new UsageError(
      `${operation.name} needs an ID, or a flag that chooses tasks, such as --status failed`,
    );
  }
  if (isChosen && call.given.isOn("wait")) throw new UsageError("--wait needs ids");
  return isChosen ? changeMany(call, server, operation) : changeEach(call, server, { operation, ids });
}

async function changeEach(
  call: Call,
  { client, url }: Server,
  { operation, ids }: { readonly operation: Operation; readonly ids: readonly number[] },
): Promise<number> {
  const { given, terminal } = call;
  const open: number[] = [];
  const exitCode = await forEachTask(call, { url, ids }, async (id) => {
    const { line, isOver } = await operation.one(client, id);
    terminal.out.write(`${line}\n`);
    if (!isOver) open.push(id);
    return OK;
  });
  if (!given.isOn("wait") || open.length === 0) return exitCode;
  return Math.max(exitCode, await waitForAny(call, client, open));
}

const cancelled = ({ id, status }: Task): Done =>
  status === "running"
    ? { line: `Task ${id} was asked to stop`, isOver: false }
    : { line: `Task ${id} ${status}`, isOver: true };

/** Waits for the end of each task in any status: a task may succeed before the request to stop reaches it. */
async function waitForAny(
  { terminal, paint }: Call,
  client: Client,
  ids: readonly number[],
): Promise<number> {
  const { out, clock } = terminal;
  const print = (text: string): void => out.write(`${text}\n`);
  const follower = {
    onTask: (task: Parameters<typeof taskSentence>[0]["task"]) => {
      if (task.finished_at === null) return;
      print(taskSentence({ task, seenAt: clock.now() }, { now: clock.now(), paint }));
    },
    onDeleted: (id: number) => print(`Task ${id} was deleted`),
    onConnection: () => undefined,
  };
  const open: number[] = [];
  for (const id of ids) {
    const task = await client.get(id);
    if (task.finished_at === null) open.push(id);
    else follower.onTask(task);
  }
  if (open.length === 0) return OK;
  const { exitCode } = await interruptible(terminal, async (signal) => {
    await followToEnd(client, open, { follower, signal, known: open });
    return OK;
  });
  return exitCode;
}

async function changeMany(
  call: Call,
  { client }: Server,
  { name, action, past }: Operation,
): Promise<number> {
  const { given, terminal } = call;
  const request: BulkRequest = { filter: filterOf(given), action };
  const { count, up_to_id } = await client.bulkPreview(request);
  if (count === 0) {
    terminal.err.write("tasktrack: no task matches\n");
    return OK;
  }
  if (!given.isOn("yes")) {
    const answer = await terminal.ask(`${name} ${tasks(count)}? (y/N) `);
    if (answer === null) {
      throw new UsageError(
        `${name} would change ${tasks(count)}, and there is no terminal for the question; add --yes`,
      );
    }
    if (!/^y(es)?$/i.test(answer)) {
      terminal.err.write("tasktrack: nothing was done\n");
      return FAILED;
    }
  }
  const result = await bulk(client, { ...request, up_to_id });
  const kept = result.refused === 0 ? "" : `, ${result.refused} left as they were`;
  terminal.out.write(`${tasks(result.count)} ${past}${kept}\n`);
  return OK;
}

async function bulk(
  client: Client,
  request: BulkRequest,
): Promise<{ readonly count: number; readonly refused: number }> {
  let [count, refused] = [0, 0];
  for (let next: number | null = 0; next !== null; ) {
    const result = await client.bulk({ ...request, ...(next === 0 ? {} : { after_id: next }) });
    count += result.count;
    refused += result.refused;
    next = result.next;
  }
  return { count, refused };
}

const tasks = (count: number): string => `${count.toLocaleString("en")} ${count === 1 ? "task" : "tasks"}`;
