/** What workers say. */
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

/** No lease has a token that a store cannot keep: it becomes one that matches none, so that its bearer hears `lost`. */
const token = z
  .string()
  .max(255)
  .transform((value) => storableText(value, value.length))
  .meta({ description: "The token of the lease, as the claim gave it", examples: ["1.5fb2d9a0"] });
const worker = text(workerFault).meta({
  description: "The worker's name, as leases and history show it",
  minLength: 1,
  maxLength: LIMITS.workerCodePoints,
  examples: ["gpu-1"],
});
const requestId = z.string().min(1).max(255);
/** Never a reason to lose what a worker has to say: what no store can keep becomes the sign for that. */
const saidText = z.string().transform((value) => storableText(value, LIMITS.messageLength));

export const Claim = z
  .strictObject({
    worker,
    types: listOf(text(typePatternFault).meta({ pattern: TYPE_PATTERN.source }), {
      ...{ least: 1, leastWords: "must name at least one type" },
      ...{ most: LIMITS.claimTypes, mostWords: `must name at most ${LIMITS.claimTypes} types` },
    }).meta({ description: "Types, or prefixes ending in `*`", examples: [["video.*"]] }),
    max: z.int().min(1).max(1_000).default(1).meta({ description: "How many tasks at most" }),
    slots: z.int().min(1).max(1_000_000).exactOptional().meta({
      description: "How many tasks the worker works on at once, for the statistics",
    }),
    lease: duration(LEAST_LEASE_MS, DAY_MS, 'must be a duration from "1s" to "24h"')
      .exactOptional()
      .meta({
        description: "How long they stay this worker's without a heartbeat, a Go duration from 1s to 24h",
        examples: ["30s"],
      }),
    wait: duration(0, ASKED_WAIT_MS, 'must be a duration from "0s" to "60s"')
      .exactOptional()
      .meta({
        description:
          "How long to wait for the first task, a Go duration up to 60s, of which 45s are waited at most; not at all without it",
        examples: ["25s"],
      }),
    request: requestId.exactOptional().meta({
      description:
        "A claim repeated under the same id gets the same leases, those that it still holds; a worker that leaves names it",
    }),
  })
  .meta({
    id: "ClaimRequest",
    description: "Which tasks a worker takes",
    examples: [{ worker: "gpu-1", types: ["video.*"], lease: "30s", wait: "25s" }],
  });
export type Claim = z.output<typeof Claim>;

export const Leave = z
  .strictObject({
    worker,
    requests: listOf(requestId, {
      ...{ least: 1, leastWords: "must name at least one request" },
      ...{ most: LEAVES_AT_MOST, mostWords: `must name at most ${LEAVES_AT_MOST} requests` },
    }).meta({ description: "The `request` ids of the claims that this worker has not had an answer to" }),
  })
  .meta({
    id: "LeaveRequest",
    description: "Which claims of a worker end",
    examples: [{ worker: "gpu-1", requests: ["8e03978e"] }],
  });

export const DrainParams = z.strictObject({ worker });

const LogEntry = z
  .union([
    saidText,
    z
      .strictObject({ level: LogLevelName, message: saidText.meta({ description: "Its text" }) })
      .meta({ id: "LeveledLine", description: "A line with a level" }),
  ])
  .meta({ id: "LogEntry", description: "A line of the log: its text, or its text with a level" });

/** What makes an element of a heartbeat a lease; only a broken client gets it wrong. */
export const LeaseWord = z.object({ id: taskId, token });
export const ElementId = LeaseWord.pick({ id: true });

/** The same with all fields of an element, whatever stands in those that may be dropped. */
export const BeatFrame = z.strictObject({
  ...LeaseWord.shape,
  progress: z.unknown().optional(),
  log: z.unknown().optional(),
});

export const ProgressWord = z
  .strictObject({
    percent: z.number().min(0).max(100).meta({ description: "From 0 to 100" }),
    message: saidText.default("").meta({ description: "What the worker does at the moment" }),
  })
  .meta({
    id: "ProgressReport",
    description: "How far the worker is",
    examples: [{ percent: 40, message: "cutting" }],
  });

/** As it is documented. Elements are judged one by one (`leases.ts`), so that one bad line ends no other lease. */
export const Heartbeat = z
  .strictObject({
    worker,
    leases: z
      .array(
        LeaseWord.extend({
          progress: ProgressWord.exactOptional(),
          log: z
            .array(LogEntry)
            .max(LIMITS.logLinesKept)
            .exactOptional()
            .meta({ description: "Lines for the task's log" }),
        })
          .strict()
          .meta({ id: "LeaseReport", description: "A lease to renew, and what its worker has to say" }),
      )
      .max(LEASES_AT_MOST)
      .meta({ description: "The leases that the worker holds, each task once" }),
  })
  .meta({
    id: "HeartbeatRequest",
    description: "What a worker holds",
    examples: [
      {
        worker: "gpu-1",
        leases: [
          { id: 4, token: "1.5fb2d9a0", progress: { percent: 40, message: "cutting" }, log: ["frame 400"] },
        ],
      },
    ],
  });

/** The frame of a heartbeat, whose faults refuse the whole. */
export const HeartbeatFrame = z.strictObject({
  worker,
  leases: listOf(z.unknown(), { most: LEASES_AT_MOST, mostWords: ELEMENTS_WORDS }),
});

const result = rawJson.meta({
  description:
    "Any JSON, kept as the text that was sent, up to 1 MiB; a larger one fails the task with `result_too_large`",
  examples: [{ output: "b.mp4" }],
});

export const Complete = z
  .strictObject({ token, result: result.exactOptional(), claim: Claim.exactOptional() })
  .meta({
    id: "CompleteRequest",
    description: "What came out of a task; with `claim`, which tasks its worker takes next",
    examples: [{ token: "1.5fb2d9a0", result: { output: "b.mp4" } }],
  });

export const Completion = z
  .strictObject({ id: taskId, token, result: result.exactOptional() })
  .meta({ id: "Completion", description: "What came out of one task" });

export type Completion = z.output<typeof Completion>;

/** As it is documented; elements are judged one by one. */
export const Completes = z
  .strictObject({
    tasks: z.array(Completion).min(1).max(LEASES_AT_MOST).meta({ description: "The tasks that are done" }),
    claim: Claim.exactOptional(),
  })
  .meta({
    id: "CompleteManyRequest",
    description: "What came out of many tasks; with `claim`, which tasks their worker takes next",
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
        code: saidText
          .default(FAILURES.handlerError)
          .meta({ description: "A short stable word; `handler_error` without it", examples: ["no_space"] }),
        message: saidText
          .default("")
          .meta({ description: "A sentence for people", examples: ["The disk is full"] }),
      })
      .meta({ id: "FailureReport", description: "Why the attempt failed" })
      .default({ code: FAILURES.handlerError, message: "" })
      .meta({ description: "Why the attempt failed" }),
    retryable: z
      .boolean()
      .default(true)
      .meta({ description: "False: it has failed for good, whatever attempts are left" }),
    retry_after: delay.exactOptional().meta({
      description: "In how long it is tried again, a Go duration, in place of the backoff",
    }),
  })
  .meta({
    id: "FailRequest",
    description: "How an attempt failed",
    examples: [{ token: "1.5fb2d9a0", error: { code: "no_space", message: "The disk is full" } }],
  });

export const Release = z
  .strictObject({
    token,
    delay: delay.exactOptional().meta({
      description: "In how long it is due again, a Go duration; at once without it",
    }),
  })
  .meta({
    id: "ReleaseRequest",
    description: "Gives a task back",
    examples: [{ token: "1.5fb2d9a0", delay: "10s" }],
  });
