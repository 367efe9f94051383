import type { Client } from "../../client/client.ts";
import type { Sort, Task, TaskQuery } from "../../client/types.ts";
import { compacted } from "../../core/json-text.ts";
import { textOf } from "../answers.ts";
import { type Call, type Command, UsageError } from "../command.ts";
import { OK } from "../exit-codes.ts";
import { type Layout, layOut, rowLine, titleLine } from "../show/table.ts";
import { TASK_COLUMNS, taskRow } from "../show/task-row.ts";
import { harmlessJson } from "../show/text.ts";
import { widthFor } from "../terminal.ts";
import { wholeOf } from "./fields.ts";
import { FILTER_FLAGS, filterOf } from "./filter.ts";
import { JSON_FLAG, SERVER_FLAGS, type Server, withServer } from "./server.ts";
import { linesText } from "./write.ts";

const SORTS = ["id", "-id", "finished_at", "-finished_at"] as const satisfies readonly Sort[];
const LIMIT = 50;
const LARGEST_PAGE = 500;

export const listCommand: Command = {
  name: "list",
  about: "list tasks, the newest first",
  positionals: [],
  flags: [
    ...FILTER_FLAGS,
    {
      ...{ name: "sort", value: "ORDER", choices: SORTS },
      about: "default -id; a sort by finished_at lists ended tasks only",
    },
    { name: "limit", value: "N", about: `number of tasks at most; default ${LIMIT}` },
    { name: "all", about: "list all tasks that match" },
    { ...JSON_FLAG, about: "print one JSON array of whole tasks" },
    ...SERVER_FLAGS,
  ],
  examples: [
    { line: "tasktrack list --status running --status pending", about: "tasks that have not ended" },
    {
      line: "tasktrack list --status failed --type 'video.*' --sort -finished_at",
      about: "the latest failures",
    },
    { line: "tasktrack list --query 'payload.user:ann' --all --json | jq length", about: "for a program" },
  ],
  run: (call) => withServer(call, (server) => list(call, server)),
};

async function list(call: Call, { client }: Server): Promise<number> {
  const { given, terminal } = call;
  const limit = limitOf(call);
  const query: TaskQuery = {
    ...filterOf(given),
    sort: (given.text("sort") as Sort | undefined) ?? "-id", // the parser has checked the choices
    limit: Math.min(LARGEST_PAGE, limit + 1),
  };
  const isJson = given.isOn("json");
  const printer = isJson ? arrayPrinter(call) : tablePrinter(call);
  let count = 0;
  for await (const page of pages(client, query)) {
    const shown = page.slice(0, limit - count);
    printer.print(shown);
    await terminal.flushed();
    count += shown.length;
    if (shown.length === page.length) continue;
    terminal.err.write(`tasktrack: there are more than these ${count}: --all, or --limit N\n`);
    break;
  }
  printer.end();
  return OK;
}

function limitOf(call: Call): number {
  const { given } = call;
  if (given.isOn("all")) {
    if (given.isOn("limit")) throw new UsageError("--all and --limit do not go together");
    return Number.POSITIVE_INFINITY;
  }
  const limit = wholeOf(call, "limit") ?? LIMIT;
  if (limit > 0) return limit;
  throw new UsageError(`--limit: expected a whole number from 1, got ${limit}`);
}

/** Without empty pages. */
async function* pages(client: Client, query: TaskQuery): AsyncGenerator<readonly Task[], void, void> {
  let cursor: string | null = null;
  do {
    const { tasks, next } = await client.page({ ...query, ...(cursor === null ? {} : { cursor }) });
    if (tasks.length > 0) yield tasks;
    cursor = next;
  } while (cursor !== null);
}

type Printer = { readonly print: (tasks: readonly Task[]) => void; readonly end: () => void };

/** Writes the array page by page, so that a million tasks need little memory. */
function arrayPrinter({ terminal: { out } }: Call): Printer {
  let isFirst = true;
  return {
    print: (tasks) => {
      for (const task of tasks) {
        out.write(`${isFirst ? "[\n" : ",\n"}${harmlessJson(compacted(textOf(task)))}`);
        isFirst = false;
      }
    },
    end: () => out.write(isFirst ? "[]\n" : "\n]\n"),
  };
}

/** The first page determines the widths of the columns. */
function tablePrinter({ terminal, paint }: Call): Printer {
  const { out, clock } = terminal;
  let layout: Layout | null = null;
  return {
    print: (tasks) => {
      const now = clock.now();
      const rows = tasks.map((task) => taskRow({ task, seenAt: now }, { now, paint }));
      if (layout === null) {
        layout = layOut(TASK_COLUMNS, rows, widthFor(out));
        out.write(`${paint("bold", titleLine(layout))}\n`);
      }
      const known = layout;
      out.write(linesText(rows.map((row) => rowLine(known, row))));
    },
    end: () => {
      if (layout === null) terminal.err.write("tasktrack: no task matches\n");
    },
  };
}
