/** Schemas that several requests and answers use. Each `id` is the name of a type in generated clients. */
import { z } from "zod";
import { parseDurationMs } from "../core/duration.ts";
import { type LogLevel, MAX_TASK_ID, STATUSES, textFault } from "../core/task.ts";

export const taskId = z
  .int()
  .min(1)
  .max(MAX_TASK_ID)
  .meta({ description: "The id of a task", examples: [1] });

export const TaskStatus = z.enum(STATUSES).meta({
  id: "TaskStatus",
  description:
    "`pending`: waits for a worker; `running`: a worker holds it; the other statuses: it has ended",
});

export const LEVELS = ["debug", "info", "warn", "error"] as const satisfies readonly LogLevel[];
export const LogLevelName = z.enum(LEVELS).meta({ id: "LogLevel", description: "The level of a log line" });

export const timeAnswer = z.iso
  .datetime()
  .meta({ description: "RFC 3339, UTC", examples: ["2026-01-31T12:00:00.000Z"] });

export const durationAnswer = z.string().meta({ description: "A Go duration", examples: ["4m2.348s", "0s"] });

/**
 * A Go duration that is not negative, for the OpenAPI document. Requests are checked by the parser of core
 * and the limits of each field, which no pattern can express.
 */
export const DURATION_PATTERN = String.raw`^(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[nu\u00b5\u03bcm]?s|m|h))+)$`;

export const FaultAnswer = z
  .object({
    pointer: z.string().meta({ description: "JSON Pointer into the request", examples: ["/name"] }),
    detail: z.string().meta({ description: "What was expected there", examples: ["must not be empty"] }),
  })
  .meta({ id: "FieldFault", description: "An invalid field of the request" });

export const FailureAnswer = z
  .object({
    code: z.string().meta({ description: "A short stable code", examples: ["timeout"] }),
    message: z.string().meta({ description: "A sentence for people" }),
  })
  .meta({ id: "Failure", description: "Why an attempt failed" });

export const ProgressAnswer = z
  .object({
    percent: z.number().min(0).max(100).meta({ description: "From 0 to 100" }),
    message: z.string().meta({ description: "What the worker does at present" }),
  })
  .meta({ id: "Progress", description: "The progress of the work" });

// ---- of requests

/** Text that a rule of core accepts, after `tidy`. */
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

/** Text that all stores can keep and search for. */
export const storable = text(textFault);

/** A Go duration within limits, in milliseconds. */
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
