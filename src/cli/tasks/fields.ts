/** The flags for fields of a task, for create and edit. */
import type { TaskPatch, TaskSpec } from "../../client/types.ts";
import { labelsFrom } from "../../core/task.ts";
import { type Call, type Flag, UsageError } from "../command.ts";
import { codeOf } from "../settings.ts";

const PAYLOAD: Flag = {
  name: "payload",
  value: "JSON",
  about: "input of the worker: JSON, @FILE with JSON, or - for the standard input",
};
const PRIORITY: Flag = {
  name: "priority",
  value: "N",
  about: "from -1000 to 1000; tasks with a higher priority are claimed first",
};
const RUN_AT: Flag = {
  name: "run-at",
  value: "TIME",
  about: 'time when the task is due: "2026-01-31T12:00:00Z"',
};
const MAX_ATTEMPTS: Flag = {
  name: "max-attempts",
  value: "N",
  about: "number of failed attempts after which the task fails",
};
const DESCRIPTION: Flag = { name: "description", value: "TEXT", about: "a longer text" };
const TAG: Flag = { name: "tag", value: "TAG", about: "a word for searches", isMany: true };
const LABEL: Flag = {
  name: "label",
  value: "NAME:VALUE",
  about: "a named value to filter by, such as region:eu",
  isMany: true,
};

export const SPEC_FLAGS: readonly Flag[] = [
  { name: "type", value: "TYPE", about: 'workers claim tasks by type; default "simulate"' },
  DESCRIPTION,
  PAYLOAD,
  PRIORITY,
  { name: "delay", value: "DURATION", about: 'delay until the task is due: "10m"' },
  RUN_AT,
  { name: "timeout", value: "DURATION", about: "time limit of one attempt; default none" },
  MAX_ATTEMPTS,
  { name: "backoff", value: "BASE,MAX", about: 'delay after a failed attempt, first and longest: "1s,1h"' },
  TAG,
  LABEL,
  {
    name: "key",
    value: "KEY",
    about: "unique among tasks that have not ended: a create with the key of such a task returns its id",
  },
];

export const PATCH_FLAGS: readonly Flag[] = [
  { name: "name", value: "TEXT", about: "another name" },
  DESCRIPTION,
  { ...TAG, about: "the new tags, instead of the present ones" },
  { name: "no-tags", about: "remove its tags" },
  { ...LABEL, about: "the new labels, instead of the present ones" },
  { name: "no-labels", about: "remove its labels" },
  { ...PAYLOAD, about: `${PAYLOAD.about}; this and the following flags need a pending task` },
  PRIORITY,
  RUN_AT,
  { name: "timeout", value: "DURATION", about: 'time limit of one attempt; "none" removes it' },
  MAX_ATTEMPTS,
];

export async function specOf(call: Call): Promise<TaskSpec> {
  const { given, positionals } = call;
  const [type, delay, key, backoff] = ["type", "delay", "key", "backoff"].map(given.text);
  return {
    name: positionals[0] ?? "",
    ...(await sharedFields(call)),
    ...(type === undefined ? {} : { type }),
    ...(delay === undefined ? {} : { delay }),
    ...(key === undefined ? {} : { key }),
    ...(backoff === undefined ? {} : { backoff: backoffOf(backoff) }),
  };
}

export async function patchOf(call: Call): Promise<TaskPatch> {
  const { given } = call;
  const name = given.text("name");
  const patch = {
    ...(name === undefined ? {} : { name }),
    ...(await sharedFields(call)),
    ...(given.isOn("no-tags") ? { tags: [] } : {}),
    ...(given.isOn("no-labels") ? { labels: {} } : {}),
    ...(given.text("timeout") === "none" ? { timeout: null } : {}),
  };
  if (Object.keys(patch).length > 0) return patch;
  throw new UsageError("edit needs at least one flag that changes a field");
}

async function sharedFields(call: Call): Promise<Omit<TaskPatch, "name">> {
  const { given } = call;
  const [description, payload, run_at, timeout] = ["description", "payload", "run-at", "timeout"].map(
    given.text,
  );
  const [priority, max_attempts] = ["priority", "max-attempts"].map((name) => wholeOf(call, name));
  const [tags, labels] = [given.texts("tag"), given.texts("label")];
  return {
    ...(description === undefined ? {} : { description }),
    ...(payload === undefined ? {} : { payloadText: await payloadOf(payload, call) }),
    ...(priority === undefined ? {} : { priority }),
    ...(run_at === undefined ? {} : { run_at }),
    ...(timeout === undefined ? {} : { timeout }),
    ...(max_attempts === undefined ? {} : { max_attempts }),
    ...(tags.length === 0 ? {} : { tags }),
    ...(labels.length === 0 ? {} : { labels: labelsOf(labels) }),
  };
}

/** A text without a colon is an error. A label with an empty value is written `NAME:`. */
function labelsOf(texts: readonly string[]): TaskPatch["labels"] {
  const bad = texts.find((text) => !text.includes(":"));
  if (bad === undefined) return labelsFrom(texts);
  throw new UsageError(`--label: expected NAME:VALUE, got ${JSON.stringify(bad)}`);
}

/** The server checks its bounds. */
export function wholeOf({ given }: Call, name: string): number | undefined {
  const text = given.text(name);
  if (text === undefined) return undefined;
  if (/^-?\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(`--${name}: expected a whole number, got ${JSON.stringify(text)}`);
}

function backoffOf(text: string): { readonly base: string; readonly max: string } {
  const [base = "", max = "", more] = text.split(",").map((part) => part.trim());
  if (base !== "" && max !== "" && more === undefined) return { base, max };
  throw new UsageError(`--backoff: expected two durations such as "1s,1h", got ${JSON.stringify(text)}`);
}

/** The text unchanged: the server keeps it as it is. */
async function payloadOf(source: string, { terminal }: Call): Promise<string> {
  const text = await sourceText(source, terminal);
  try {
    JSON.parse(text);
    return text.trim();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--payload: expected JSON (a text needs quotes of its own: '"like this"'): ${why}`);
  }
}

async function sourceText(source: string, terminal: Call["terminal"]): Promise<string> {
  if (source === "-") return terminal.readInput();
  if (!source.startsWith("@")) return source;
  try {
    return await terminal.readFile(source.slice(1));
  } catch (error) {
    throw new UsageError(`--payload: ${JSON.stringify(source.slice(1))} cannot be read: ${codeOf(error)}`);
  }
}
