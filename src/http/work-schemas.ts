/** The requests of workers. */
import { z } from "zod";
import { FAILURES } from "../core/outcome.ts";
import { LIMITS, storableText, TYPE_PATTERN, typePatternFault, workerFault } from "../core/task.ts";
import { listOf } from "../wire/list-schema.ts";
import { rawJson } from "../wire/raw-json.ts";
import { duration, LogLevelName, taskId, text } from "../wire/shared-schemas.ts";
import { ASKED_WAIT_MS } from "./waits.ts";

const DAY_MS = 86_400_000;
const LEAST_LEASE_MS = 1_000;
const LEASES_AT_MOST = 1_000;
const LEAVES_AT_MOST = 100;
const ELEMENTS_WORDS = `must name at most ${LEASES_AT_MOST} tasks`;

/**
 * A token with characters that no store can keep belongs to no lease. It is replaced by one that matches
 * none, and the answer is `lost`.
 */
const token = z
  .string()
  .max(255)
  .transform((value) => storableText(value, value.length))
  .meta({ description: "The token of the lease, from the answer to the claim", examples: ["1.5fb2d9a0"] });
const worker = text(workerFault).meta({
  description: "The name of the worker, which leases and history show",
  minLength: 1,
  maxLength: LIMITS.workerCodePoints,
  examples: ["gpu-1"],
});
const requestId = z.string().min(1).max(255);
/** Characters that no store can keep are replaced: a worker must not lose its report because of them. */
const storableReport = z.string().transform((value) => storableText(value, LIMITS.messageLength));

export const Claim = z
  .strictObject({
    worker,
    types: listOf(text(typePatternFault).meta({ pattern: TYPE_PATTERN.source }), {
      ...{ least: 1, leastWords: "must name at least one type" },
      ...{ most: LIMITS.claimTypes, mostWords: `must name at most ${LIMITS.claimTypes} types` },
    }).meta({ description: "Types, or prefixes ending in `*`", examples: [["video.*"]] }),
    max: z.int().min(1).max(1_000).default(1).meta({ description: "How many tasks at most" }),
    slots: z.int().min(1).max(1_000_000).exactOptional().meta({
      description: "How many tasks the worker works on at once, for statistics",
    }),
    lease: duration(LEAST_LEASE_MS, DAY_MS, 'must be a duration from "1s" to "24h"')
      .exactOptional()
      .meta({
        description:
          "The length of the leases: without a heartbeat they expire after it. A Go duration from 1s to 24h",
        examples: ["30s"],
      }),
    wait: duration(0, ASKED_WAIT_MS, 'must be a duration from "0s" to "60s"')
      .exactOptional()
      .meta({
        description:
          "How long to wait for the first task, a Go duration up to 60s; the server waits 45s at most. No wait unless given",
        examples: ["25s"],
      }),
    request: requestId.exactOptional().meta({
      description:
        "A claim that is repeated with the same id gets the same leases, if they still hold. A worker that leaves names the ids of its claims",
    }),
  })
  .meta({
    id: "ClaimRequest",
    description: "The tasks that a worker claims",
    examples: [{ worker: "gpu-1", types: ["video.*"], lease: "30s", wait: "25s" }],
  });
export type Claim = z.output<typeof Claim>;

export const Leave = z
  .strictObject({
    worker,
    requests: listOf(requestId, {
      ...{ least: 1, leastWords: "must name at least one request" },
      ...{ most: LEAVES_AT_MOST, mostWords: `must name at most ${LEAVES_AT_MOST} requests` },
    }).meta({ description: "The `request` ids of the claims that this worker has received no answer to" }),
  })
  .meta({
    id: "LeaveRequest",
    description: "The claims of a worker that end",
    examples: [{ worker: "gpu-1", requests: ["8e03978e"] }],
  });

export const DrainParams = z.strictObject({ worker });

const LogEntry = z
  .union([
    storableReport,
    z
      .strictObject({
        level: LogLevelName,
        message: storableReport.meta({ description: "The text of the line" }),
      })
      .meta({ id: "LeveledLine", description: "A line with a level" }),
  ])
  .meta({ id: "LogEntry", description: "A line of the log: a text, or a text with a level" });

/** The fields that make an element of a heartbeat a lease. */
export const LeaseFields = z.object({ id: taskId, token });
export const ElementId = LeaseFields.pick({ id: true });

/** The same with all fields of an element. Those that may be dropped are not checked. */
export const BeatFrame = z.strictObject({
  ...LeaseFields.shape,
  progress: z.unknown().optional(),
  log: z.unknown().optional(),
});

export const ProgressReport = z
  .strictObject({
    percent: z.number().min(0).max(100).meta({ description: "From 0 to 100" }),
    message: storableReport.default("").meta({ description: "What the worker does at present" }),
  })
  .meta({
    id: "ProgressReport",
    description: "The progress of the work",
    examples: [{ percent: 40, message: "cutting" }],
  });

/**
 * For the OpenAPI document. The elements are checked one by one (`elements.ts`), so that an invalid one has
 * no effect on other leases.
 */
export const Heartbeat = z
  .strictObject({
    worker,
    leases: z
      .array(
        LeaseFields.extend({
          progress: ProgressReport.exactOptional(),
          log: z
            .array(LogEntry)
            .max(LIMITS.logLinesKept)
            .exactOptional()
            .meta({ description: "Lines for the task's log" }),
        })
          .strict()
          .meta({ id: "LeaseReport", description: "A lease to renew, with progress and log lines" }),
      )
      .max(LEASES_AT_MOST)
      .meta({ description: "The leases of the worker, each task once" }),
  })
  .meta({
    id: "HeartbeatRequest",
    description: "The leases that a worker holds",
    examples: [
      {
        worker: "gpu-1",
        leases: [
          { id: 4, token: "1.5fb2d9a0", progress: { percent: 40, message: "cutting" }, log: ["frame 400"] },
        ],
      },
    ],
  });

/** A heartbeat without its elements. A fault here refuses the whole request. */
export const HeartbeatFrame = z.strictObject({
  worker,
  leases: listOf(z.unknown(), { most: LEASES_AT_MOST, mostWords: ELEMENTS_WORDS }),
});

const result = rawJson.meta({
  description:
    "Any JSON, stored as the text that was sent, up to 1 MiB; a larger one fails the task with `result_too_large`",
  examples: [{ output: "b.mp4" }],
});

export const Complete = z
  .strictObject({ token, result: result.exactOptional(), claim: Claim.exactOptional() })
  .meta({
    id: "CompleteRequest",
    description: "The result of a task; with `claim`, the tasks that the worker claims next",
    examples: [{ token: "1.5fb2d9a0", result: { output: "b.mp4" } }],
  });

export const Completion = z
  .strictObject({ id: taskId, token, result: result.exactOptional() })
  .meta({ id: "Completion", description: "The result of one task" });

export type Completion = z.output<typeof Completion>;

/** For the OpenAPI document. The elements are checked one by one. */
export const Completes = z
  .strictObject({
    tasks: z.array(Completion).min(1).max(LEASES_AT_MOST).meta({ description: "The tasks that are done" }),
    claim: Claim.exactOptional(),
  })
  .meta({
    id: "CompleteManyRequest",
    description: "The results of many tasks; with `claim`, the tasks that the worker claims next",
    examples: [{ tasks: [{ id: 4, token: "1.5fb2d9a0", result: { output: "b.mp4" } }] }],
  });

export const CompletesFrame = z.strictObject({
  tasks: listOf(z.unknown(), {
    ...{ least: 1, leastWords: "must name at least one task" },
    ...{ most: LEASES_AT_MOST, mostWords: ELEMENTS_WORDS },
  }),
  claim: Claim.exactOptional(),
});

const delay = duration(0, 365 * DAY_MS, 'must be a duration such as "10s"').meta({ examples: ["10s"] });

export const Fail = z
  .strictObject({
    token,
    error: z
      .strictObject({
        code: storableReport
          .default(FAILURES.handlerError)
          .meta({ description: "A short stable code; `handler_error` unless given", examples: ["no_space"] }),
        message: storableReport
          .default("")
          .meta({ description: "A sentence for people", examples: ["The disk is full"] }),
      })
      .meta({ id: "FailureReport", description: "Why the attempt failed" })
      .default({ code: FAILURES.handlerError, message: "" })
      .meta({ description: "Why the attempt failed" }),
    retryable: z
      .boolean()
      .default(true)
      .meta({ description: "False: the task fails now, even if attempts are left" }),
    retry_after: delay.exactOptional().meta({
      description: "After which time it is tried again, a Go duration, instead of the backoff",
    }),
  })
  .meta({
    id: "FailRequest",
    description: "The failure of an attempt",
    examples: [{ token: "1.5fb2d9a0", error: { code: "no_space", message: "The disk is full" } }],
  });

export const Release = z
  .strictObject({
    token,
    delay: delay.exactOptional().meta({
      description: "After which time it is due again, a Go duration; at once unless given",
    }),
  })
  .meta({
    id: "ReleaseRequest",
    description: "The release of a task",
    examples: [{ token: "1.5fb2d9a0", delay: "10s" }],
  });
