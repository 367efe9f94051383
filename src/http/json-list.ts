/** Large answers, made between turns of the event loop, so that other requests go on meanwhile. */
import { ANSWER_LEAST_BYTES } from "../core/text-size.ts";
import { inSizes } from "../lib/sizes.ts";

/** Text that is yet to be made, and about how long it will be. */
export type Later = { readonly size: number; readonly text: () => string };

/** Characters that are made into JSON and encoded in one go: some milliseconds. */
const AT_ONCE = ANSWER_LEAST_BYTES;

/** Lets what waits in the event loop go first. */
export const otherRequestsFirst = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export const inPieces = (texts: readonly Later[]): Later[][] => inSizes(texts, AT_ONCE, ({ size }) => size);

export const sizeOf = (texts: readonly Later[]): number => texts.reduce((sum, { size }) => sum + size, 0);

/** The texts as the members of a list in JSON; bytes where they are too long for one go. */
export async function jsonList(
  before: string,
  texts: readonly Later[],
  after: string,
): Promise<string | Uint8Array<ArrayBuffer>> {
  const pieces = inPieces(texts);
  const joined = pieces.map((piece) => () => piece.map(({ text }) => text()).join());
  if (joined.length <= 1) return `${before}[${joined[0]?.() ?? ""}]${after}`;
  const encoder = new TextEncoder();
  const parts = [encoder.encode(`${before}[`)];
  for (const [at, piece] of joined.entries()) {
    parts.push(encoder.encode(at === 0 ? piece() : `,${piece()}`));
    await otherRequestsFirst();
  }
  parts.push(encoder.encode(`]${after}`));
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
