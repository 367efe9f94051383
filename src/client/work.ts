/** The calls of the worker protocol. */
import { elementsOf, memberOf, startOf } from "../core/json-text.ts";
import type { Api, ApiAnswer } from "./api.ts";
import type { FieldFault } from "./error.ts";
import type { Failure, LogLevel, Progress, Task } from "./types.ts";

/** `drain`: finish the held tasks and claim no more. `stop`: the same, but release tasks that cannot finish soon. */
export type Directive = "run" | "drain" | "stop";

export type LeasedTask = Task & {
  readonly lease: { readonly token: string; readonly expires_in: string };
  /** The text of the payload in the answer; null without one. */
  readonly payloadText: string | null;
};

export type ClaimBody = {
  readonly worker: string;
  /** Exact types, or prefixes ending in `*`. */
  readonly types: readonly string[];
  readonly max: number;
  /** The number of tasks that the worker runs at the same time. */
  readonly slots?: number;
  readonly lease: string;
  readonly wait?: string;
  /** The request id: a claim that is repeated with the same id gets the same leases. A leave names it. */
  readonly request: string;
};

export type BeatBody = {
  readonly id: number;
  readonly token: string;
  readonly progress?: Progress;
  readonly log?: readonly (string | { readonly level: LogLevel; readonly message: string })[];
};

export type ClaimAnswer = { readonly tasks: readonly LeasedTask[]; readonly directive?: Directive };
export type BeatAnswer = {
  readonly directive?: Directive;
  /** `errors`: the invalid progress and log lines of that lease, which were dropped; at most ten. */
  readonly leases: readonly {
    readonly id: number | null;
    readonly status: "ok" | "cancel" | "lost";
    readonly errors?: readonly FieldFault[];
  }[];
};
export type CompleteAnswer = {
  /** `invalid`: the element is invalid for the reasons in `errors`, and had no effect. */
  readonly tasks: readonly {
    readonly id: number | null;
    readonly status: "ok" | "lease_lost" | "invalid";
    readonly errors?: readonly FieldFault[];
  }[];
  readonly claimed?: readonly LeasedTask[];
  readonly directive?: Directive;
};

export type Completion = {
  readonly id: number;
  readonly token: string;
  /** JSON. */
  readonly result: string | null;
};

export interface WorkCalls {
  claim(body: ClaimBody, waitMs: number, signal: AbortSignal): Promise<ClaimAnswer>;
  /** Ends the claims with these request ids in all processes of the server, and releases their tasks. */
  leave(worker: string, requests: readonly string[], withinMs: number): Promise<void>;
  heartbeat(worker: string, leases: readonly BeatBody[], withinMs: number): Promise<BeatAnswer>;
  /** Completes tasks, and claims the next ones in the same round trip. */
  complete(tasks: readonly Completion[], claim: ClaimBody | null): Promise<CompleteAnswer>;
  fail(id: number, body: FailBody): Promise<void>;
  release(id: number, body: { readonly token: string; readonly delay?: string }): Promise<void>;
}

export type FailBody = {
  readonly token: string;
  readonly error: Failure;
  readonly retryable: boolean;
  readonly retry_after?: string;
};

/** Few, because the caller repeats an outcome itself as long as the lease is held. */
const RETRIES = 2;

export function createWorkCalls(api: Api): WorkCalls {
  async function post<T>(
    path: string,
    body: string,
    more: {
      readonly waitMs?: number;
      readonly signal?: AbortSignal;
      readonly timeoutMs?: number;
      readonly retries?: number;
    } = {},
  ): Promise<ApiAnswer<T>> {
    const answer = await api.send<T>({ method: "POST", path, body, retries: RETRIES, ...more });
    if (answer === null) throw new Error("the answer was lost"); // only `doneWhen`, which is not given, makes it so
    return answer;
  }

  return {
    claim: async (claim, waitMs, signal) => {
      const text = JSON.stringify(claim);
      const answer = await post<ClaimAnswer>("/api/worker/claim", text, { waitMs, signal });
      return { ...answer.body, tasks: withPayloadTexts(answer.body.tasks, answer.text, "tasks") };
    },
    leave: async (worker, requests, withinMs) => {
      const text = JSON.stringify({ worker, requests });
      await post("/api/worker/leave", text, { timeoutMs: withinMs, retries: 0 });
    },
    heartbeat: async (worker, leases, withinMs) => {
      const text = JSON.stringify({ worker, leases });
      return (await post<BeatAnswer>("/api/worker/heartbeat", text, { timeoutMs: withinMs, retries: 0 }))
        .body;
    },
    complete: async (tasks, claim) => {
      const { body, text } = await post<CompleteAnswer>("/api/worker/complete", completeText(tasks, claim));
      return { ...body, claimed: withPayloadTexts(body.claimed ?? [], text, "claimed") };
    },
    fail: async (id, body) => void (await post(`/api/task/${id}/fail`, JSON.stringify(body))),
    release: async (id, body) => void (await post(`/api/task/${id}/release`, JSON.stringify(body))),
  };
}

/** Parsing loses the digits of large numbers and the order of keys, so payloads are cut out of the text of the answer. */
function withPayloadTexts(tasks: readonly LeasedTask[], text: string, list: string): readonly LeasedTask[] {
  if (tasks.every(({ payload }) => payload === null)) return tasks.map(withoutPayload);
  const spans = elementsOf(text, memberOf(text, startOf(text), list)?.start ?? text.length);
  return tasks.map((task, at) => {
    const span = task.payload === null ? null : memberOf(text, spans[at]?.start ?? text.length, "payload");
    return span === null ? withoutPayload(task) : { ...task, payloadText: text.slice(span.start, span.end) };
  });
}

const withoutPayload = (task: LeasedTask): LeasedTask => ({ ...task, payloadText: null });

/** Results are JSON already. */
function completeText(tasks: readonly Completion[], claim: ClaimBody | null): string {
  const parts = tasks.map(
    ({ id, token, result }) => `{"id":${id},"token":${JSON.stringify(token)},"result":${result ?? "null"}}`,
  );
  return `{"tasks":[${parts.join()}]${claim === null ? "" : `,"claim":${JSON.stringify(claim)}`}}`;
}
