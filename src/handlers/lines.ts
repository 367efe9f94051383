/**
 * Splits the output of a program into lines. A line is kept up to a limit, so that a program that writes
 * gigabytes without an end of line costs no memory. Lines are cut as bytes and then decoded, so that no
 * character is broken.
 */
export type Line = {
  readonly text: string;
  /** The line was longer than the limit. */
  readonly isCut: boolean;
};

export interface Lines {
  feed(chunk: Uint8Array): void;
  /** Call it at the end: the bytes after the last end of line are a line, too. */
  end(): void;
}

export type LinesSetup = {
  /** The limit in bytes for a line that begins with this byte. */
  readonly bytesKept: (first: number) => number;
  /** Called for each line that is not blank. */
  readonly onLine: (line: Line) => void;
};

const USUAL_BYTES = 4_096;
const LF = 10;
/** CR ends a line too: a progress bar writes it to return to the start of its line, and each state of the bar is a line. */
const CR = 13;

export function createLines({ bytesKept, onLine }: LinesSetup): Lines {
  const decoder = new TextDecoder();
  let line: Uint8Array = new Uint8Array(USUAL_BYTES);
  let kept = 0;
  let most = 0;
  let isCut = false;

  function add(bytes: Uint8Array): void {
    if (kept === 0 && bytes.length > 0) most = bytesKept(bytes[0] ?? LF);
    const part = bytes.subarray(0, most - kept);
    if (part.length < bytes.length) isCut = true;
    if (kept + part.length > line.length) line = grown(line, Math.min(most, 2 * (kept + part.length)));
    line.set(part, kept);
    kept += part.length;
  }

  function end(): void {
    const text = decoder.decode(line.subarray(0, kept)).trimEnd();
    if (line.length > USUAL_BYTES) line = new Uint8Array(USUAL_BYTES);
    const wasCut = isCut;
    kept = 0;
    isCut = false;
    if (text !== "") onLine({ text, isCut: wasCut });
  }

  return {
    feed: (chunk) => {
      let at = 0;
      const nextLf = finder(chunk, LF);
      const nextCr = finder(chunk, CR);
      for (;;) {
        const stop = Math.min(nextLf(at), nextCr(at));
        add(chunk.subarray(at, stop));
        if (stop === chunk.length) return;
        end();
        at = stop + 1;
      }
    },
    end,
  };
}

/** The next position of a byte. It is searched once and kept, because most programs never write a CR. */
function finder(chunk: Uint8Array, byte: number): (from: number) => number {
  let found = -1;
  return (from) => {
    if (found < from) {
      const at = chunk.indexOf(byte, from);
      found = at === -1 ? chunk.length : at;
    }
    return found;
  };
}

function grown(bytes: Uint8Array, length: number): Uint8Array {
  const larger = new Uint8Array(length);
  larger.set(bytes);
  return larger;
}
