/** The progress of a long command: on a terminal a bar that is redrawn, elsewhere a line every few seconds. */
export interface ProgressBar {
  advance(count: number): void;
  /** Shows the last state. */
  end(): void;
}

/** The output. */
export type Stream = {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
};

const TERMINAL_EVERY_MS = 100;
const LINE_EVERY_MS = 5_000;
const LONGEST_BAR = 40;
const USUAL_COLUMNS = 80;

export function createProgress(setup: {
  readonly stream: Stream;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  readonly total: number;
  /** The number of tasks that an earlier run has done. */
  readonly done: number;
}): ProgressBar {
  const { stream, now, total } = setup;
  const startedAt = now();
  let done = setup.done;
  let shownAt = Number.NEGATIVE_INFINITY;

  function show(): void {
    shownAt = now();
    const text = describe();
    stream.write(stream.isTTY === true ? `\r\u001b[2K${bar(text)}` : `${text}\n`);
  }

  function describe(): string {
    const percent = total === 0 ? 100 : Math.min(100, Math.floor((100 * done) / total));
    const perSecond = Math.round((1_000 * (done - setup.done)) / Math.max(1, now() - startedAt));
    const count = (value: number): string => value.toLocaleString("en");
    return `${String(percent).padStart(3)} % ${count(done)} of ${count(total)} tasks, ${count(perSecond)}/s`;
  }

  function bar(text: string): string {
    const width = stream.columns || USUAL_COLUMNS; // some terminals report 0
    const room = Math.min(LONGEST_BAR, width - text.length - 4);
    if (room < 5) return text.slice(0, width - 1);
    const filled = total === 0 ? room : Math.min(room, Math.floor((room * done) / total));
    return `[${"#".repeat(filled)}${"-".repeat(room - filled)}] ${text}`;
  }

  return {
    advance: (count) => {
      done += count;
      if (now() - shownAt >= (stream.isTTY === true ? TERMINAL_EVERY_MS : LINE_EVERY_MS)) show();
    },
    end: () => {
      show();
      if (stream.isTTY === true) stream.write("\n");
    },
  };
}
