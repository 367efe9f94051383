import type { ReactElement } from "react";
import type { TaskState } from "../../src/client/client.ts";
import { ageMs } from "../api/received.ts";
import { useLanguage, useWords } from "../i18n/language.ts";
import { shared } from "../i18n/shared.ts";
import { durationMs, formatDuration, formatExact, formatRelative } from "./format.ts";
import { useNow } from "./now.ts";

/** A time of the API: relative with the exact time as tooltip, or exact with the API's text as tooltip. */
export function Time({ value, exact = false }: { value: string; exact?: boolean }): ReactElement {
  return exact ? <ExactTime value={value} /> : <RelativeTime value={value} />;
}

function ExactTime({ value }: { value: string }): ReactElement {
  const language = useLanguage();
  return (
    <time className="time" dateTime={value} title={value}>
      {formatExact(language, Date.parse(value))}
    </time>
  );
}

function RelativeTime({ value }: { value: string }): ReactElement {
  const language = useLanguage();
  const t = useWords(shared);
  const at = Date.parse(value);
  return (
    <time className="time" dateTime={value} title={formatExact(language, at)}>
      {formatRelative(language, at, useNow()) ?? t.justNow}
    </time>
  );
}

/** The run time of a task; it grows each second while the task runs. */
export function TaskDuration({ task }: { task: TaskState }): ReactElement {
  return task.status === "running" ? <Ticking task={task} /> : <Duration ms={durationMs(task.duration)} />;
}

function Ticking({ task }: { task: TaskState }): ReactElement {
  useNow();
  return <Duration ms={durationMs(task.duration) + ageMs(task)} />;
}

export function Duration({ ms }: { ms: number }): ReactElement {
  const language = useLanguage();
  return <span className="duration">{formatDuration(language, ms)}</span>;
}
