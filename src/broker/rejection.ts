import { storableText } from "../core/task.ts";
import type { Submission } from "./submissions.ts";

/** Half of what brokers take by default (Kafka: 1 MiB), so that one set a little lower takes it as well. */
const REJECTION_BYTES = 524_288;
/** Of a body that was refused so much is kept at most. */
const BODY_KEPT_BYTES = 131_072;
/** Kafka has no limit for a header but that of the message. */
const KEY_LENGTH = 1_000;

/**
 * What is published to `tasktrack.rejected`: why a message was refused, as HTTP would have answered, and what it said, as text
 * where it is UTF-8. Never longer than REJECTION_BYTES: JSON writes a control character six times as long as it is, so of some bodies
 * less is kept.
 */
export function rejectionOf(submission: Submission, problem: string): string {
  for (let kept = BODY_KEPT_BYTES; kept >= 1_024; kept /= 2) {
    const text = rejectionWith(submission, JSON.parse(problem), beginOf(submission.body, kept));
    if (Buffer.byteLength(text) <= REJECTION_BYTES) return text;
  }
  return shortRejectionOf(submission, problem);
}

const DETAIL_LENGTH = 200;

/** The same without the body and with one sentence of the problem: for a broker that takes no more. */
export function shortRejectionOf(submission: Submission, problem: string): string {
  const { status, code, detail, request_id } = JSON.parse(problem) as Record<string, unknown>; // intake has made it
  const sentence = typeof detail === "string" ? storableText(detail, DETAIL_LENGTH) : detail;
  return rejectionWith(submission, { status, code, detail: sentence, request_id }, NOTHING);
}

const NOTHING = new Uint8Array();

function rejectionWith({ body, key }: Submission, problem: unknown, kept: Uint8Array): string {
  const text = utf8(kept);
  return JSON.stringify({
    problem,
    key: key === null ? null : storableText(key, KEY_LENGTH),
    encoding: text === null ? "base64" : "utf-8",
    truncated: body.length > kept.length,
    body: text ?? Buffer.from(kept).toString("base64"),
  });
}

/** Cut off between two characters, where it is UTF-8. */
function beginOf(bytes: Uint8Array, atMost: number): Uint8Array {
  if (bytes.length <= atMost) return bytes;
  const cuts = [atMost, atMost - 1, atMost - 2, atMost - 3];
  return bytes.subarray(0, cuts.find((at) => !isWithinCharacter(bytes[at])) ?? atMost);
}

const isWithinCharacter = (byte = 0): boolean => (byte & 0xc0) === 0x80;

const decoder = new TextDecoder("utf-8", { fatal: true });

function utf8(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}
