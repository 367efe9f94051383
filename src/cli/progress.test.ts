import { describe, expect, test } from "bun:test";
import { createProgress } from "./progress.ts";

type Terminal = { readonly isTTY?: boolean; readonly columns?: number };

/** A command with 1,000 tasks, its output so far, and a function that moves its clock. */
function watched(terminal: Terminal, { total = 1_000, done = 0 } = {}) {
  let [text, time] = ["", 0];
  const stream = {
    ...terminal,
    write: (more: string) => {
      text += more;
    },
  };
  const progress = createProgress({ stream, now: () => time, total, done });
  return {
    ...progress,
    after: (ms: number, count: number) => {
      time += ms;
      progress.advance(count);
    },
    text: () => text,
    /** The content of the terminal's line after each write. */
    states: () =>
      text
        .replace(/\n$/, "")
        .split("\r\u001b[2K")
        .filter((state) => state !== ""),
  };
}

const onTerminal = (columns?: number) =>
  watched(columns === undefined ? { isTTY: true } : { isTTY: true, columns });

describe("on a terminal", () => {
  test("a bar of 80 columns grows with the progress", () => {
    const bar = onTerminal(80);
    bar.after(1_000, 250);
    bar.after(1_000, 750);
    bar.end();
    expect(bar.states()).toEqual([
      `[${"#".repeat(10)}${"-".repeat(30)}]  25 % 250 of 1,000 tasks, 250/s`,
      `[${"#".repeat(40)}] 100 % 1,000 of 1,000 tasks, 500/s`,
      `[${"#".repeat(40)}] 100 % 1,000 of 1,000 tasks, 500/s`,
    ]);
    expect(bar.text()).toEndWith("\n");
  });

  test.each([80, 50, 40, 36, 30, 5, 2, 1])("every state is shorter than a line of %p columns", (columns) => {
    const bar = onTerminal(columns);
    for (let n = 0; n < 10; n++) bar.after(500, 100);
    bar.end();
    expect(bar.states().length).toBe(columns === 1 ? 0 : 11);
    for (const state of bar.states()) expect(state.length).toBeLessThan(columns);
  });

  test("30 columns have room for the numbers only, 5 for the percentage", () => {
    for (const [columns, state] of [
      [30, " 50 % 500 of 1,000 tasks, 500"],
      [5, " 50 "],
    ] as const) {
      const bar = onTerminal(columns);
      bar.after(1_000, 500);
      expect(bar.states()).toEqual([state]);
    }
  });

  test.each([undefined, 0])("an unknown width (%p) counts as 80 columns", (columns) => {
    const bar = onTerminal(columns);
    bar.after(1_000, 500);
    expect(bar.states()).toEqual([`[${"#".repeat(20)}${"-".repeat(20)}]  50 % 500 of 1,000 tasks, 500/s`]);
  });

  test("it is drawn at most ten times a second", () => {
    const bar = onTerminal(80);
    for (let n = 0; n < 1_000; n++) bar.after(1, 1);
    expect(bar.states().length).toBe(10);
  });
});

describe("elsewhere", () => {
  test("a line comes at once, every five seconds and at the end", () => {
    const lines = watched({});
    for (let n = 0; n < 100; n++) lines.after(110, 10);
    lines.end();
    expect(lines.text()).toBe(
      [
        "  1 % 10 of 1,000 tasks, 91/s",
        " 47 % 470 of 1,000 tasks, 91/s",
        " 93 % 930 of 1,000 tasks, 91/s",
        "100 % 1,000 of 1,000 tasks, 91/s",
        "",
      ].join("\n"),
    );
  });

  test("earlier work counts for the progress and not for the speed", () => {
    const lines = watched({}, { done: 900 });
    lines.after(1_000, 50);
    expect(lines.text()).toBe(" 95 % 950 of 1,000 tasks, 50/s\n");
  });

  test("no work counts as all work done", () => {
    const lines = watched({}, { total: 0 });
    lines.end();
    expect(lines.text()).toBe("100 % 0 of 0 tasks, 0/s\n");
  });

  test("more work than expected is at most 100 %", () => {
    const lines = watched({ isTTY: false });
    lines.after(1_000, 1_100);
    expect(lines.text()).toBe("100 % 1,100 of 1,000 tasks, 1,100/s\n");
  });
});
