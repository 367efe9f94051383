import { expect, test } from "bun:test";
import { formatPosition, parsePosition } from "./event-position.ts";

test("the id of an event preserves a position of any size", () => {
  for (const rev of [0, 1, 999_999_999_999_999, 1_000_000_000_000_000, Number.MAX_SAFE_INTEGER]) {
    const position = { epoch: "an epoch: with a colon", rev };
    expect(parsePosition(formatPosition(position))).toEqual(position);
  }
});

test("an invalid id gives a position of no log", () => {
  const ids = [
    "",
    "x",
    ...["1", ":a", "-1:a", "1.5:a", "9007199254740992:a", "12345678901234567:a"].map(btoa),
  ];
  for (const id of ids) expect(parsePosition(id)).toEqual({ epoch: "none", rev: 0 });
});
