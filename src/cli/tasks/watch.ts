import type { WatchEvent } from "../../client/client.ts";
import type { TaskState } from "../../client/types.ts";
import type { Call, Command } from "../command.ts";
import { OK, TASK_CANCELLED } from "../exit-codes.ts";
import { interruptible } from "../interrupt.ts";
import { taskSentence } from "../show/task-row.ts";
import { harmless } from "../show/text.ts";
import { clockTime } from "../show/time.ts";
import { canRedraw } from "../terminal.ts";
import { STATUS_FLAG, statusesOf, TYPE_FLAG } from "./filter.ts";
import { exitCodeOf, followToEnd } from "./follow.ts";
import { watchTable } from "./live-table.ts";
import { idsOf, JSON_FLAG, SERVER_FLAGS, type Server, withServer } from "./server.ts";
import { awayNotice, waitForEnds } from "./wait.ts";
import { jsonLine } from "./write.ts";

export const watchCommand: Command = {
  name: "watch",
  about: "follow tasks as they change",
  details: `Without an ID: a live table of the running tasks, the next ones and those that ended last; a line for each change if the output is no terminal. With IDs: a bar for each task until all have ended; the exit code is then 0 for done, 3 for failed, 4 for cancelled or deleted. The command reconnects after an outage of the server.`,
  positionals: [{ name: "ID", isMany: true, isOptional: true }],
  flags: [
    STATUS_FLAG,
    TYPE_FLAG,
    { ...JSON_FLAG, about: "print a line of JSON for each change" },
    ...SERVER_FLAGS,
  ],
  examples: [
    { line: "tasktrack watch", about: "until Ctrl-C" },
    { line: "tasktrack watch 7 8 9", about: "until all three have ended" },
    { line: "tasktrack watch --status failed --json >> failures.jsonl", about: "for a program" },
  ],
  run: (call) => withServer(call, (server) => watch(call, server)),
};

function watch(call: Call, server: Server): Promise<number> {
  const { given, terminal, positionals } = call;
  const ids = idsOf(positionals);
  const isJson = given.isOn("json");
  if (ids.length > 0) {
    return isJson ? endsAsJson(call, server, ids) : waitForEnds(call, server, { ids, isDated: true });
  }
  if (!isJson && canRedraw(terminal)) return watchTable(call, server);
  return watchLines(call, server);
}

async function endsAsJson(call: Call, { client, url }: Server, ids: readonly number[]): Promise<number> {
  const { terminal } = call;
  const codes = new Map<number, number>();
  const follower = {
    onTask: (task: TaskState) => {
      codes.set(task.id, exitCodeOf(task));
      terminal.out.write(jsonLine({ event: "task", task: withoutBulk(task) }));
    },
    onDeleted: (id: number) => {
      codes.set(id, TASK_CANCELLED);
      terminal.out.write(jsonLine({ event: "deleted", id }));
    },
    onConnection: awayNotice((text) => terminal.err.write(`tasktrack: ${text}\n`), url),
  };
  const { exitCode } = await interruptible(terminal, async (signal) => {
    await followToEnd(client, ids, { follower, signal });
    return Math.max(OK, ...codes.values());
  });
  return exitCode;
}

/** Drops payload and result, which events do not have, so that all lines have the same members. */
function withoutBulk(task: TaskState & { readonly payload?: unknown; readonly result?: unknown }): TaskState {
  const { payload: _payload, result: _result, ...state } = task;
  return state;
}

/** A line for each change, of JSON or for a person. */
async function watchLines(call: Call, { client, url }: Server): Promise<number> {
  const { terminal, given } = call;
  const type = given.texts("type");
  await client.stats(); // throws if the server does not answer; the stream would wait for it
  const line = given.isOn("json") ? jsonEvent : plainEvents(call);
  const { exitCode } = await interruptible(terminal, async (signal) => {
    const events = client.watch({
      ...(type.length === 0 ? {} : { type }),
      signal,
      onConnection: awayNotice((text) => terminal.err.write(`tasktrack: ${text}\n`), url),
    });
    const statuses = statusesOf(given);
    for await (const event of events) {
      if (event.kind === "task" && statuses.length > 0 && !statuses.includes(event.task.status)) continue;
      terminal.out.write(line(event));
    }
    return OK;
  });
  return exitCode;
}

/** The event in the form of the API. */
function jsonEvent(event: WatchEvent): string {
  const { kind, eventId, ...rest } = event;
  return jsonLine({ event: kind, event_id: eventId, ...rest });
}

function plainEvents({ terminal: { clock }, paint }: Call): (event: WatchEvent) => string {
  return (event) => {
    const now = clock.now();
    const date = clockTime(new Date(now).toISOString());
    switch (event.kind) {
      case "task": {
        const { task } = event;
        return `${date} ${taskSentence({ task, seenAt: now }, { now, paint })} (${harmless(task.name)})\n`;
      }
      case "deleted":
        return `${date} Task ${event.id} deleted\n`;
      case "reset":
        return `${date} Some changes were missed\n`;
      default:
        return event satisfies never;
    }
  };
}
