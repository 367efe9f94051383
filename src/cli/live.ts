/** Lines on a terminal that are drawn again in place, at a limited rate. */
import { cutTo, widthOf } from "./show/text.ts";
import type { Terminal } from "./terminal.ts";

const DRAW_EVERY_MS = 100;
/** Running times are shown in seconds. */
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
  /** Call it when the content has changed: it is drawn soon. */
  changed(): void;
  /** Writes a line that stays above the drawn lines. */
  print(line: string): void;
  /** Ends the drawing and restores the terminal; may be called twice. */
  stop(): void;
}

/** The present lines for this size; lines beyond it are cut. */
export type Draw = (room: { readonly columns: number; readonly rows: number }) => readonly string[];

/** Draws below the present content of the terminal, and leaves only the printed lines behind. */
export function startLines(terminal: Terminal, draw: Draw): Live {
  const { out } = terminal;
  let drawn: readonly string[] = [];
  let printed = "";

  function erase(): string {
    if (drawn.length === 0) return "";
    // If the terminal has become narrower meanwhile, it has broken the lines, and they take more rows than were written.
    const { columns } = out.size();
    const rows = drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / columns)), 0);
    drawn = [];
    return `${UP(rows)}\r${CLEAR_BELOW}`;
  }

  const pace = startPace(terminal, () => {
    const { columns, rows } = out.size();
    const cleared = erase();
    // The last column is left free: some terminals begin a new line when it is written.
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
      pace.now(); // in one write with the drawn lines, so that nothing flickers
    },
    stop: () => {
      if (pace.stop()) out.write(erase() + SHOW_CURSOR);
    },
  };
}

/** Draws on the whole screen, and restores it at the end. */
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

/** Draws at once, then at most every tenth of a second after changes, and every second without changes. */
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
    /** Returns whether it was drawing. */
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
