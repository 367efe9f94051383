/** The state of the form, and the request that it becomes. */
import type { TaskSpec } from "../../../src/client/client.ts";
import { compacted, indented } from "../../../src/core/json-text.ts";
import { labelsFrom, labelTexts } from "../../../src/core/task.ts";
import type { WrittenTask } from "../../api/written.ts";
import { isBlank } from "../../form/json-text.ts";
import { fromLocalInput, numberOrText } from "../../form/local-time.ts";

/** The field values as text. For an empty text the server applies its default. */
export type Form = {
  readonly name: string;
  readonly description: string;
  readonly type: string;
  readonly payload: string;
  readonly tags: readonly string[];
  /** Each as `name:value`. */
  readonly labels: readonly string[];
  readonly priority: string;
  /** Selects which of the next two fields is sent. */
  readonly start: "now" | "delay" | "at";
  readonly delay: string;
  readonly run_at: string;
  readonly timeout: string;
  readonly max_attempts: string;
  readonly backoff_base: string;
  readonly backoff_max: string;
  readonly key: string;
};

export const EMPTY: Form = {
  ...{ name: "", description: "", type: "", payload: "", tags: [], labels: [], priority: "", start: "now" },
  ...{ delay: "", run_at: "", timeout: "", max_attempts: "", backoff_base: "", backoff_max: "", key: "" },
};

/** The form for a duplicate of a task. It omits the key, which must be unique, and the start time, which is past. */
export const formFromTask = (task: WrittenTask): Form => ({
  ...EMPTY,
  name: task.name,
  description: task.description,
  type: task.type,
  payload: task.payloadText === null ? "" : indented(task.payloadText),
  tags: task.tags,
  labels: labelTexts(task.labels),
  priority: task.priority === 0 ? "" : String(task.priority),
  timeout: task.timeout ?? "",
  max_attempts: String(task.max_attempts),
});

/**
 * The request for the form. The form validates only the payload's JSON; the server validates everything else. An invalid number is
 * sent as text, and the server rejects it with an error for the field.
 */
export function specOf(form: Form): TaskSpec {
  const spec: Readonly<Record<keyof TaskSpec, unknown>> = {
    name: form.name,
    description: form.description || undefined,
    type: textOrNothing(form.type),
    payload: undefined,
    payloadText: isBlank(form.payload) ? undefined : compacted(form.payload),
    tags: form.tags.length === 0 ? undefined : form.tags,
    labels: form.labels.length === 0 ? undefined : labelsFrom(form.labels),
    priority: numberOrNothing(form.priority),
    delay: form.start === "delay" ? form.delay.trim() : undefined,
    run_at: form.start === "at" ? fromLocalInput(form.run_at) : undefined,
    timeout: textOrNothing(form.timeout),
    max_attempts: numberOrNothing(form.max_attempts),
    backoff: backoffOf(form),
    key: form.key || undefined,
  };
  const given = Object.entries(spec).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as TaskSpec; // the server validates it, see above
}

const textOrNothing = (text: string): string | undefined => text.trim() || undefined;

const numberOrNothing = (text: string): unknown => (text.trim() === "" ? undefined : numberOrText(text));

/** The server requires both values. If only one is given, the other gets the server's default. */
const backoffOf = ({ backoff_base, backoff_max }: Form): object | undefined =>
  backoff_base.trim() === "" && backoff_max.trim() === ""
    ? undefined
    : { base: backoff_base.trim() || "1s", max: backoff_max.trim() || "1h" };

const OPTIONAL = ["priority", "timeout", "max_attempts", "backoff_base", "backoff_max", "key"] as const;

/** Whether one of the optional fields is set. */
export const usesOptional = (form: Form): boolean =>
  form.start !== "now" || OPTIONAL.some((field) => form[field] !== "");
