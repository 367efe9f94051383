import { describe, expect, test } from "bun:test";
import { createTestTerminal } from "../../test/support/terminal.ts";
import { startLines, startScreen } from "./live.ts";

describe("lines that are drawn again", () => {
  test("are drawn at once, then at most ten times a second, and every second without changes", async () => {
    const terminal = createTestTerminal();
    let drawn = 0;
    const live = startLines(terminal, () => [`${++drawn}`]);
    expect(drawn).toBe(1);
    for (let ms = 0; ms < 1_000; ms += 10) {
      live.changed();
      await terminal.clock.advance(10);
    }
    expect(drawn).toBe(11);
    await terminal.clock.advance(3_000);
    expect(drawn).toBe(14);
    live.stop();
    await terminal.clock.advance(3_000);
    live.changed();
    expect(drawn).toBe(14);
  });

  test("replace the lines before, below the printed lines", async () => {
    const terminal = createTestTerminal();
    let lines = ["one", "two"];
    const live = startLines(terminal, () => lines);
    lines = ["three"];
    live.print("printed");
    live.stop();
    expect(terminal.written.out).toBe(
      "\u001b[?25lone\ntwo\n" + // drawn
        "\u001b[2A\r\u001b[Jprinted\nthree\n" + // two lines up, cleared
        "\u001b[1A\r\u001b[J\u001b[?25h",
    );
  });

  test("are cleared completely after the terminal has become narrower", async () => {
    const terminal = createTestTerminal();
    const live = startLines(terminal, () => ["x".repeat(60)]);
    terminal.resize(25, 24);
    await terminal.clock.advance(100);
    expect(terminal.written.out).toContain(`\u001b[3A\r\u001b[J${"x".repeat(23)}…\n`);
    live.stop();
  });

  test("leave a row for the cursor, however low the terminal is", () => {
    const terminal = createTestTerminal();
    terminal.resize(80, 3);
    startLines(terminal, () => ["1", "2", "3", "4"]).stop();
    expect(terminal.written.out).toStartWith("\u001b[?25l1\n2\n\u001b[2A");
  });

  test("restore the terminal once", () => {
    const terminal = createTestTerminal();
    const live = startLines(terminal, () => []);
    live.stop();
    const { out } = terminal.written;
    live.stop();
    expect(terminal.written.out).toBe(out);
    expect(out).toEndWith("\u001b[?25h");
  });
});

describe("a screen", () => {
  test("is drawn in full, drawn again when its size changes, and restored", async () => {
    const terminal = createTestTerminal();
    const screen = startScreen(terminal, ({ columns, rows }) => [`${columns}x${rows}`, "y".repeat(100)]);
    expect(terminal.written.out).toBe(
      `\u001b[?1049h\u001b[?25l\u001b[H79x24\u001b[K\r\n${"y".repeat(78)}…\u001b[K\u001b[J`,
    );
    terminal.resize(20, 1);
    await terminal.clock.advance(100);
    screen.stop();
    expect(terminal.written.out).toEndWith("\u001b[H19x1\u001b[K\u001b[J\u001b[?25h\u001b[?1049l");
  });
});
