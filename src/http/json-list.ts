/**
 * Large answers, generated in several turns of the event loop, so that other requests are served meanwhile.
 */
import { ANSWER_LEAST_BYTES } from "../core/text-size.ts";
import { inSizes } from "../lib/sizes.ts";

/** Text that is not generated yet, and its approximate length. */
export type LazyText = { readonly size: number; readonly text: () => string };

/** How many characters are generated and encoded in one turn of the event loop: some milliseconds. */
const AT_ONCE = ANSWER_LEAST_BYTES;

/** Resolves after the events that already wait in the event loop. */
export const yieldToEventLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export const inChunks = (texts: readonly LazyText[]): LazyText[][] =>
  inSizes(texts, AT_ONCE, ({ size }) => size);

export const sizeOf = (texts: readonly LazyText[]): number => texts.reduce((sum, { size }) => sum + size, 0);

/** The texts as the members of a JSON list: a string, or bytes if the list is too long for one turn. */
export async function jsonList(
  before: string,
  texts: readonly LazyText[],
  after: string,
): Promise<string | Uint8Array<ArrayBuffer>> {
  const pieces = inChunks(texts);
  const joined = pieces.map((piece) => () => piece.map(({ text }) => text()).join());
  if (joined.length <= 1) return `${before}[${joined[0]?.() ?? ""}]${after}`;
  const encoder = new TextEncoder();
  const parts = [encoder.encode(`${before}[`)];
  for (const [at, piece] of joined.entries()) {
    parts.push(encoder.encode(at === 0 ? piece() : `,${piece()}`));
    await yieldToEventLoop();
  }
  parts.push(encoder.encode(`]${after}`));
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
