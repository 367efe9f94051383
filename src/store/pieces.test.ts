import { describe, expect, test } from "bun:test";
import { type ErrorCode, isTaskError, TaskError } from "../core/error.ts";
import { pieces, writeInPieces } from "./pieces.ts";

describe("pieces", () => {
  const bounds = { count: 3, bytes: 10, bytesOf: (item: number) => item };

  test.each([
    ["nothing", [], []],
    ["what fits", [1, 2, 3], [[1, 2, 3]]],
    ["too many", [1, 1, 1, 1], [[1, 1, 1], [1]]],
    ["too many bytes", [5, 5, 1], [[5, 5], [1]]],
    ["an item that is larger than a piece", [1, 99, 1], [[1], [99], [1]]],
  ])("part %s, in order", (_what, items, parts) => {
    expect(pieces<number>(items, bounds)).toEqual(parts);
  });

  test("count an item with its own size", () => {
    expect(pieces([1, 2, 1, 3], { ...bounds, countOf: (item) => item })).toEqual([[1, 2], [1], [3]]);
  });
});

describe("a call in pieces", () => {
  /** Writes all pieces except the one at this index, which is refused. */
  async function codeWithout(refusedAt: number, code: ErrorCode): Promise<string> {
    let at = 0;
    try {
      await writeInPieces([["a"], ["b"], ["c"]], async (part) => {
        if (at++ === refusedAt) throw new TaskError(code, "no");
        return part;
      });
      return "ok";
    } catch (error) {
      return isTaskError(error) ? error.code : "another error";
    }
  }

  test("joins the answers in order", async () => {
    expect(await writeInPieces([["a", "b"], ["c"]], async (part) => part)).toEqual(["a", "b", "c"]);
  });

  test("is refused as a whole if nothing was written", async () => {
    expect(await codeWithout(0, "store_rejected")).toBe("store_rejected");
  });

  test("of which a part was written gets `store_unavailable`, because it must not be tried again", async () => {
    expect(await codeWithout(1, "store_rejected")).toBe("store_unavailable");
    expect(await codeWithout(2, "store_unavailable")).toBe("store_unavailable");
  });
});
