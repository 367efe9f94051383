import { expect, test } from "bun:test";
import { createPaint, wantsColour } from "./paint.ts";

const TERMINAL = { isRefused: false, isTerminal: true };
const PIPE = { isRefused: false, isTerminal: false };

test.each([
  ["on a terminal", TERMINAL, {}, true],
  ["not in a pipe", PIPE, {}, false],
  ["not on a dumb terminal", TERMINAL, { TERM: "dumb" }, false],
  ["not with --no-color", { ...TERMINAL, isRefused: true }, { FORCE_COLOR: "1" }, false],
  ["not with NO_COLOR, whatever its value", TERMINAL, { NO_COLOR: "0" }, false],
  ["with an empty NO_COLOR, which has no effect", TERMINAL, { NO_COLOR: "" }, true],
  ["in a pipe with FORCE_COLOR", PIPE, { FORCE_COLOR: "1" }, true],
  ["on a dumb terminal with FORCE_COLOR", TERMINAL, { TERM: "dumb", FORCE_COLOR: "" }, true],
  ["not with FORCE_COLOR=0", TERMINAL, { FORCE_COLOR: "0" }, false],
  ["not with FORCE_COLOR against NO_COLOR", TERMINAL, { FORCE_COLOR: "1", NO_COLOR: "1" }, false],
])("there is colour %s", (_, facts, env, expected) => {
  expect(wantsColour({ ...facts, env })).toBe(expected);
});

test("paint colours the text, or returns it unchanged", () => {
  expect(createPaint(true)("red", "x")).toBe("\u001b[31mx\u001b[39m");
  expect(createPaint(false)("red", "x")).toBe("x");
});
