import type { Submission } from "./inlet.ts";

/** Of a body that was refused so much is kept: with its problem it stays below what brokers take by default, 1 MiB. */
const BODY_KEPT_BYTES = 131_072;

/**
 * What is published to `tasktrack.rejected`: why a message was refused, as HTTP would have answered, and what it said, as text
 * where it is UTF-8.
 */
export function rejectionOf({ body, key }: Submission, problem: string): string {
  const kept = body.subarray(0, BODY_KEPT_BYTES);
  const text = utf8(kept);
  return JSON.stringify({
    problem: JSON.parse(problem),
    key,
    encoding: text === null ? "base64" : "utf-8",
    truncated: body.length > kept.length,
    body: text ?? Buffer.from(kept).toString("base64"),
  });
}

const decoder = new TextDecoder("utf-8", { fatal: true });

function utf8(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}
