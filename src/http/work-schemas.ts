/** What workers say. */
import { z } from "zod";
import { FAILURES } from "../core/outcome.ts";
import {
  LIMITS,
  type LogLevel,
  MAX_TASK_ID,
  storableText,
  typePatternFault,
  workerFault,
} from "../core/task.ts";
import { listOf } from "./list-schema.ts";
import { rawJson } from "./raw-json.ts";
import { duration, text } from "./task-schemas.ts";

const DAY_MS = 86_400_000;
const LEAST_LEASE_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
const LEASES_AT_MOST = 1_000;
const LEAVES_AT_MOST = 100;
const ELEMENTS_WORDS = `must name at most ${LEASES_AT_MOST} tasks`;

const taskId = z.int().min(1).max(MAX_TASK_ID);
/** No lease has a token that a store cannot keep: it becomes one that matches none, so that its bearer hears `lost`. */
const token = z
  .string()
  .max(255)
  .transform((value) => storableText(value, value.length));
const worker = text(workerFault).meta({
  description: "The worker's name, as leases and history show it",
  minLength: 1,
  examples: ["gpu-1"],
});
const requestId = z.string().min(1).max(255);
/** Never a reason to lose what a worker has to say: what no store can keep becomes the sign for that. */
const saidText = z.string().transform((value) => storableText(value, LIMITS.messageLength));

export const Claim = z.strictObject({
  worker,
  types: listOf(text(typePatternFault), {
    ...{ least: 1, leastWords: "must name at least one type" },
    ...{ most: LIMITS.claimTypes, mostWords: `must name at most ${LIMITS.claimTypes} types` },
  }).meta({ description: "Types, or prefixes ending in `*`", examples: [["video.*"]] }),
  max: z.int().min(1).max(1_000).default(1),
  slots: z.int().min(1).max(1_000_000).exactOptional().meta({
    description: "How many tasks the worker works on at once, for who looks at the board",
  }),
  lease: duration(LEAST_LEASE_MS, DAY_MS, 'must be a duration from "1s" to "24h"')
    .exactOptional()
    .meta({ description: "How long they stay this worker's without a heartbeat", examples: ["30s"] }),
  wait: duration(0, LONGEST_WAIT_MS, 'must be a duration from "0s" to "60s"')
    .exactOptional()
    .meta({ description: "How long to wait for the first task; not at all without it", examples: ["25s"] }),
  request: requestId.exactOptional().meta({
    description:
      "A claim repeated under the same id gets the same leases, those that it still holds; a worker that leaves names it",
  }),
});
export type Claim = z.output<typeof Claim>;

export const Leave = z.strictObject({
  worker,
  requests: listOf(requestId, {
    ...{ least: 1, leastWords: "must name at least one request" },
    ...{ most: LEAVES_AT_MOST, mostWords: `must name at most ${LEAVES_AT_MOST} requests` },
  }).meta({ description: "The `request` ids of the claims that this worker has not had an answer to" }),
});

export const DrainParams = z.strictObject({ worker });

export const LEVELS = ["debug", "info", "warn", "error"] as const satisfies readonly LogLevel[];

const LogEntry = z.union([saidText, z.strictObject({ level: z.enum(LEVELS), message: saidText })]);

/** What makes an element of a heartbeat a lease; only a broken client gets it wrong. */
export const LeaseWord = z.object({ id: taskId, token });
export const ElementId = LeaseWord.pick({ id: true });

/** The same with all fields of an element, whatever stands in those that may be dropped. */
export const BeatFrame = z.strictObject({
  ...LeaseWord.shape,
  progress: z.unknown().optional(),
  log: z.unknown().optional(),
});

export const ProgressWord = z.strictObject({
  percent: z.number().min(0).max(100),
  message: saidText.default(""),
});

/** As it is documented. Elements are judged one by one (`leases.ts`), so that one bad line ends no other lease. */
export const Heartbeat = z.strictObject({
  worker,
  leases: z
    .array(
      LeaseWord.extend({
        progress: ProgressWord.exactOptional(),
        log: z.array(LogEntry).max(LIMITS.logLinesKept).exactOptional(),
      }).strict(),
    )
    .max(LEASES_AT_MOST),
});

/** The frame of a heartbeat, whose faults refuse the whole. */
export const HeartbeatFrame = z.strictObject({
  worker,
  leases: listOf(z.unknown(), { most: LEASES_AT_MOST, mostWords: ELEMENTS_WORDS }),
});

const result = rawJson.meta({
  description:
    "Any JSON, kept as the text that was sent, up to 1 MiB; a larger one fails the task with `result_too_large`",
});

export const Complete = z.strictObject({
  token,
  result: result.exactOptional(),
  claim: Claim.exactOptional(),
});

export const Completion = z.strictObject({ id: taskId, token, result: result.exactOptional() });

export type Completion = z.output<typeof Completion>;

/** As it is documented; elements are judged one by one. */
export const Completes = z.strictObject({
  tasks: z.array(Completion).min(1).max(LEASES_AT_MOST),
  claim: Claim.exactOptional(),
});

export const CompletesFrame = z.strictObject({
  tasks: listOf(z.unknown(), {
    ...{ least: 1, leastWords: "must name at least one task" },
    ...{ most: LEASES_AT_MOST, mostWords: ELEMENTS_WORDS },
  }),
  claim: Claim.exactOptional(),
});

const delay = duration(0, 365 * DAY_MS, 'must be a duration such as "10s"').meta({ examples: ["10s"] });

export const Fail = z.strictObject({
  token,
  error: z
    .strictObject({
      code: saidText.default(FAILURES.handlerError),
      message: saidText.default(""),
    })
    .default({ code: FAILURES.handlerError, message: "" }),
  retryable: z.boolean().default(true),
  retry_after: delay.exactOptional().meta({ description: "When it is tried again, in place of the backoff" }),
});

export const Release = z.strictObject({
  token,
  delay: delay.exactOptional().meta({ description: "When it is due again; at once without it" }),
});
