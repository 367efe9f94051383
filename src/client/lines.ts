/** Server-sent events as they come over the wire. */

/** What stood between two empty lines. `id` is null where it brought none; `data` is null where it was no event. */
export type Block = { readonly event: string; readonly id: string | null; readonly data: string | null };

/**
 * Parts a stream of bytes into blocks. Ends when the stream does; what it broke off in is dropped.
 * @param onBytes is called with every sign of life
 */
export async function* readBlocks(
  body: ReadableStream<Uint8Array>,
  onBytes: () => void,
): AsyncGenerator<Block, void, void> {
  const reader = body.getReader();
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
    reader.releaseLock();
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
