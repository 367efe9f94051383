/** The fields of tasks that clients send. The rules themselves are core's. */
import { z } from "zod";
import { parseDurationMs } from "../core/duration.ts";
import { descriptionFault, LIMITS, nameFault, TYPE, tagFault, textFault, typeFault } from "../core/task.ts";
import { parseTime } from "../core/time.ts";
import { listOf } from "./list-schema.ts";
import { rawJson } from "./raw-json.ts";
import { DURATION_PATTERN } from "./shared-schemas.ts";

/** Text that a rule of core accepts; `tidy` is applied first. */
export const text = (
  rule: (value: string) => string | null,
  tidy: (value: string) => string = (value) => value,
) =>
  z.string().transform((value, context) => {
    const tidied = tidy(value);
    const fault = rule(tidied);
    if (fault !== null) context.addIssue({ code: "custom", message: fault });
    return tidied;
  });

/** Text that every store can keep and look for. */
export const storable = text(textFault);

/** A Go duration within bounds, in milliseconds. */
export const duration = (leastMs: number, mostMs: number, words: string) =>
  z
    .string()
    .transform((value, context) => {
      const ms = parseDurationMs(value);
      if (ms !== null && ms >= leastMs && ms <= mostMs) return ms;
      context.addIssue({ code: "custom", message: words });
      return z.NEVER;
    })
    .meta({ pattern: DURATION_PATTERN });

const CENTURY_MS = 100 * 365 * 86_400_000;
export const span = duration(0, CENTURY_MS, 'must be a duration such as "250ms", "30s" or "1h30m"').meta({
  examples: ["30s"],
});
export const limit = duration(1, CENTURY_MS, 'must be a duration of at least 1ms, such as "90s"').meta({
  examples: ["90s"],
});

export const time = z
  .string()
  .transform((value, context) => {
    const read = parseTime(value);
    if ("ms" in read) return read.ms;
    context.addIssue({ code: "custom", message: read.fault });
    return z.NEVER;
  })
  .meta({ format: "date-time", examples: ["2026-01-31T12:00:00Z"] });

export const name = text(nameFault, (value) => value.trim()).meta({
  description: "White space around it is cut off; counted in code points",
  minLength: 1,
  maxLength: LIMITS.nameCodePoints,
  examples: ["someName"],
});

export const description = text(descriptionFault).meta({
  description: "Counted in code points",
  maxLength: LIMITS.descriptionCodePoints,
  examples: ["some description"],
});

export const type = text(typeFault).meta({
  description: "What kind of work it is; a worker that takes this type does it; `simulate` without it",
  pattern: TYPE.source,
  examples: ["video.encode"],
});

export const payload = rawJson.meta({
  description: "Any JSON, for the handler; kept as the text that was sent, digits and key order included",
  examples: [{ input: "a.mp4" }],
});

export const priority = z
  .int()
  .min(-LIMITS.priority, `must be a whole number from -${LIMITS.priority} to ${LIMITS.priority}`)
  .max(LIMITS.priority, `must be a whole number from -${LIMITS.priority} to ${LIMITS.priority}`)
  .meta({ description: "Higher goes first; 0 without it" });

export const maxAttempts = z
  .int()
  .min(1, `must be a whole number from 1 to ${LIMITS.maxAttempts}`)
  .max(LIMITS.maxAttempts, `must be a whole number from 1 to ${LIMITS.maxAttempts}`)
  .meta({ description: "Failures after which it has failed; 1 for `simulate`, else 3 without it" });

export const tags = listOf(text(tagFault).meta({ minLength: 1, maxLength: LIMITS.tagCodePoints }), {
  most: LIMITS.tags,
  mostWords: `must be at most ${LIMITS.tags} tags`,
}).meta({ description: "Words to find it by", examples: [["nightly"]] });

export const backoff = z
  .strictObject({
    base: span.meta({ description: "The longest pause before the second attempt, a Go duration" }),
    max: span.meta({ description: "The longest pause before any attempt, a Go duration" }),
  })
  .transform(({ base, max }) => ({ baseMs: base, maxMs: max }))
  .meta({
    id: "Backoff",
    description: "A retry waits up to base · 2ⁿ, at most max",
    examples: [{ base: "1s", max: "1h" }],
  });
