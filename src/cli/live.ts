/** Lines on a terminal that are drawn again in place, no more often than an eye can follow. */
import { cutTo, widthOf } from "./show/text.ts";
import type { Terminal } from "./terminal.ts";

const DRAW_EVERY_MS = 100;
/** Times that pass are shown in seconds. */
const TICK_MS = 1_000;

const UP = (rows: number): string => (rows === 0 ? "" : `\u001b[${rows}A`);
const CLEAR_BELOW = "\u001b[J";
const CLEAR_REST = "\u001b[K";
const HOME = "\u001b[H";
const HIDE_CURSOR = "\u001b[?25l";
const SHOW_CURSOR = "\u001b[?25h";
const OTHER_SCREEN = "\u001b[?1049h";
const OWN_SCREEN = "\u001b[?1049l";

export interface Live {
  /** Something has changed: it is drawn soon. */
  changed(): void;
  /** A line that stays, above what is drawn again. */
  print(line: string): void;
  /** Ends the drawing and gives the terminal back as it was; safe twice. */
  stop(): void;
}

/** The lines as they are now, for so much room; more than fit are cut. */
export type Draw = (room: { readonly columns: number; readonly rows: number }) => readonly string[];

/** Draws below what stands there already, and leaves nothing behind but what was printed. */
export function startLines(terminal: Terminal, draw: Draw): Live {
  const { out } = terminal;
  let drawn: readonly string[] = [];
  let printed = "";

  function erase(): string {
    if (drawn.length === 0) return "";
    // A terminal that has become narrower since has broken the lines: they take more rows than were written.
    const { columns } = out.size();
    const rows = drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / columns)), 0);
    drawn = [];
    return `${UP(rows)}\r${CLEAR_BELOW}`;
  }

  const pace = startPace(terminal, () => {
    const { columns, rows } = out.size();
    const cleared = erase();
    // The last column is left free: some terminals go to the next line when it is written to.
    drawn = draw({ columns: columns - 1, rows: rows - 1 })
      .slice(0, Math.max(1, rows - 1))
      .map((line) => cutTo(line, columns - 1));
    out.write(cleared + printed + drawn.map((line) => `${line}\n`).join(""));
    printed = "";
  });
  out.write(HIDE_CURSOR);
  pace.changed();

  return {
    changed: pace.changed,
    print: (line) => {
      printed += `${line}\n`;
      pace.now(); // in one write with what is drawn below: nothing flickers
    },
    stop: () => {
      if (pace.stop()) out.write(erase() + SHOW_CURSOR);
    },
  };
}

/** Takes the whole screen, and gives it back. */
export function startScreen(terminal: Terminal, draw: Draw): Omit<Live, "print"> {
  const { out } = terminal;
  const pace = startPace(terminal, () => {
    const { columns, rows } = out.size();
    const lines = draw({ columns: columns - 1, rows })
      .slice(0, rows)
      .map((line) => cutTo(line, columns - 1) + CLEAR_REST);
    out.write(HOME + lines.join("\r\n") + CLEAR_BELOW);
  });
  out.write(OTHER_SCREEN + HIDE_CURSOR);
  pace.changed();
  return {
    changed: pace.changed,
    stop: () => {
      if (pace.stop()) out.write(SHOW_CURSOR + OWN_SCREEN);
    },
  };
}

/** Draws at once, then at most every tenth of a second while something changes, and every second all the same. */
function startPace({ clock, onResize }: Terminal, draw: () => void) {
  let isOver = false;
  let drawnAt = Number.NEGATIVE_INFINITY;
  let cancelTick = (): void => undefined;
  let cancelDraw: (() => void) | null = null;

  function drawNow(): void {
    cancelDraw?.();
    cancelDraw = null;
    cancelTick();
    drawnAt = clock.monotonic();
    draw();
    cancelTick = clock.after(TICK_MS, drawNow);
  }

  function changed(): void {
    if (isOver || cancelDraw !== null) return;
    const waitMs = drawnAt + DRAW_EVERY_MS - clock.monotonic();
    if (waitMs <= 0) drawNow();
    else cancelDraw = clock.after(waitMs, drawNow);
  }

  const stopResizing = onResize(changed);
  return {
    changed,
    now: (): void => {
      if (!isOver) drawNow();
    },
    /** Whether it was going on. */
    stop: (): boolean => {
      const wasGoing = !isOver;
      isOver = true;
      cancelDraw?.();
      cancelTick();
      stopResizing();
      return wasGoing;
    },
  };
}
