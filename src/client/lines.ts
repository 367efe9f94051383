/** Server-sent events as they come over the wire. */

/** What stood between two empty lines. `id` is null where it brought none; `data` is null where it was no event. */
export type Block = { readonly event: string; readonly id: string | null; readonly data: string | null };

/**
 * Parts a stream of bytes into blocks. Ends when the stream does; what it broke off in is dropped.
 * @param reading.onBytes is called with every sign of life
 * @param reading.signal ends the stream when it aborts. Deno's `fetch` forgets its own signal while a body goes on, so the reader
 *   is cancelled as well.
 */
export async function* readBlocks(
  body: ReadableStream<Uint8Array>,
  { onBytes, signal }: { readonly onBytes: () => void; readonly signal: AbortSignal },
): AsyncGenerator<Block, void, void> {
  const reader = body.getReader();
  const cancel = (): void => void reader.cancel().catch(() => undefined); // one that has broken off is over already
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel, { once: true });
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
    signal.removeEventListener("abort", cancel);
    cancel();
  }
}

/** Unknown fields and comments are passed over, as the standard says. */
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
