import { storableText } from "../core/task.ts";
import type { Submission } from "./submissions.ts";

/** Half of the brokers' default limits (Kafka: 1 MiB), so that it also fits a limit that is set somewhat lower. */
const REJECTION_BYTES = 524_288;
/** The most bytes of a rejected body that are kept. */
const BODY_KEPT_BYTES = 131_072;
/** Kafka has no limit for a header except that of the message. */
const KEY_LENGTH = 1_000;

/**
 * The message that is published to `<prefix>.rejected`: the problem document, as HTTP would have answered, and the body, as text if
 * it is UTF-8. It has REJECTION_BYTES at most: JSON needs six bytes for a control character, so less is kept of some bodies.
 */
export function rejectionOf(submission: Submission, problem: string): string {
  for (let kept = BODY_KEPT_BYTES; kept >= 1_024; kept /= 2) {
    const text = rejectionWith(submission, JSON.parse(problem), startOf(submission.body, kept));
    if (Buffer.byteLength(text) <= REJECTION_BYTES) return text;
  }
  return shortRejectionOf(submission, problem);
}

const DETAIL_LENGTH = 200;

/** The same without the body and with the main members of the problem only, for a broker with a lower limit. */
export function shortRejectionOf(submission: Submission, problem: string): string {
  const { status, code, detail, request_id } = JSON.parse(problem) as Record<string, unknown>; // the submitter wrote it
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

/** The first bytes; UTF-8 is cut between two characters. */
function startOf(bytes: Uint8Array, atMost: number): Uint8Array {
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
