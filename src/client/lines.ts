/** Parses server-sent events. */
import { onAbort } from "../lib/waiting.ts";

/**
 * The lines between two empty lines. `id` is null if there was none; `data` is null if the block was no
 * event.
 */
export type Block = { readonly event: string; readonly id: string | null; readonly data: string | null };

/**
 * Splits a stream of bytes into blocks. Ends with the stream; an incomplete last block is dropped.
 * @param reading.onBytes is called whenever bytes are received
 * @param reading.signal ends the stream when it aborts. Deno's `fetch` ignores its own signal while it reads a
 *   body, so the reader is cancelled as well.
 */
export async function* readBlocks(
  body: ReadableStream<Uint8Array>,
  { onBytes, signal }: { readonly onBytes: () => void; readonly signal: AbortSignal },
): AsyncGenerator<Block, void, void> {
  const reader = body.getReader();
  const cancel = (): void => void reader.cancel().catch(() => undefined); // a broken stream is already over
  const unlisten = onAbort(signal, cancel);
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      onBytes();
      text += decoder.decode(chunk.value, { stream: true }).replaceAll("\r", "");
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      yield* blocks.map(parseBlock);
    }
  } finally {
    unlisten();
    cancel();
  }
}

/** Unknown fields and comments are ignored, as the standard requires. */
export function parseBlock(text: string): Block {
  let event = "message";
  let id: string | null = null;
  const data: string[] = [];
  for (const line of text.split("\n")) {
    const [, name, value = ""] = /^([^:]*)(?:: ?(.*))?$/.exec(line) ?? [];
    if (name === "event") event = value;
    else if (name === "id") id = value;
    else if (name === "data") data.push(value);
  }
  return { event, id, data: data.length === 0 ? null : data.join("\n") };
}
