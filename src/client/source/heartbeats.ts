/** Heartbeats over HTTP: those of one turn of the event loop share a request. */
import { TaskError } from "../../core/error.ts";
import { createBatch } from "../../lib/batch.ts";
import { errorText, type Log } from "../../lib/log.ts";
import type { Heartbeat } from "../../processor/source.ts";
import { faultText, isContentRefusal } from "../error.ts";
import type { BeatAnswer, BeatBody } from "../work.ts";
import { BODY_BYTES, REQUEST_LIMITS } from "./limits.ts";

type Answer = "ok" | "cancel" | "lost";

export type HeartbeatsSetup = {
  readonly heartbeat: (leases: readonly BeatBody[]) => Promise<BeatAnswer>;
  readonly log: Log;
};

/** Renews one lease. */
export function createExtend({ heartbeat, log }: HeartbeatsSetup): (beat: Heartbeat) => Promise<Answer> {
  const beats = createBatch<BeatBody, Answer>({
    send: beatAll,
    keyOf: ({ id }) => id,
    sizeOf: (beat) => jsonBytes(beat),
    provesRollback: isContentRefusal,
    overloaded: () => new TaskError("overloaded", "Too many heartbeats wait for the server"),
    limits: REQUEST_LIMITS,
  });

  async function beatAll(sent: readonly BeatBody[]): Promise<readonly Answer[]> {
    const { leases } = await heartbeat(sent);
    const answers = new Map(leases.map((lease) => [lease.id, lease]));
    return sent.map(({ id }) => {
      const { status, errors } = answers.get(id) ?? { status: "lost" as const };
      if (errors !== undefined) log.warn("words_refused", { task_id: id, error: faultText(errors) });
      return status;
    });
  }

  /** Splits a request that is too large into several. The last answer counts. */
  async function extendWithContent(beat: Heartbeat): Promise<Answer> {
    let answer: Answer = "ok";
    for (const piece of piecesOf(beat)) answer = await beats(piece);
    return answer;
  }

  /**
   * Progress and log lines never cost a lease. A server of version 0.1.0 refuses a heartbeat as a whole: it gets the refused
   * heartbeat again without progress and log lines. A lease that the server refuses even then is invalid.
   */
  return async (beat) => {
    try {
      return await extendWithContent(beat);
    } catch (error) {
      if (!isContentRefusal(error)) throw error;
      log.warn("words_refused", { task_id: beat.id, error: errorText(error) });
      return beats({ id: beat.id, token: beat.token }).catch((again: unknown) => {
        if (isContentRefusal(again)) return "lost";
        throw again;
      });
    }
  };
}

const encoder = new TextEncoder();
/** The size as JSON, in which a control character takes six bytes. The server closes the connection for a body that is too large. */
const jsonBytes = (value: unknown): number => encoder.encode(JSON.stringify(value)).length;

function piecesOf({ id, token, progress, log }: Heartbeat): BeatBody[] {
  const pieces: Heartbeat["log"][number][][] = [[]];
  let bytes = 0;
  for (const line of log) {
    const lineBytes = jsonBytes(line);
    bytes += lineBytes;
    if (bytes > BODY_BYTES / 2) {
      pieces.push([]);
      bytes = lineBytes;
    }
    pieces.at(-1)?.push(line);
  }
  return pieces.map((lines) => ({
    ...{ id, token },
    ...(progress === null ? {} : { progress }),
    ...(lines.length === 0 ? {} : { log: lines.map(logEntry) }),
  }));
}

const logEntry = (line: Heartbeat["log"][number]) => (line.level === "info" ? line.message : line);
