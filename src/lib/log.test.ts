import { expect, test } from "bun:test";
import { errorText } from "./log.ts";

test("an error's text is its stack and, once each, the messages at the ends of its causes", () => {
  const refused = new Error("refused");
  const away = new Error("cannot connect", { cause: refused });
  const all = new AggregateError([away, away, new Error("late", { cause: "timeout" })], "failed 3 times");
  const text = errorText(all);
  expect(text).toStartWith("AggregateError: failed 3 times\n");
  expect(text).toEndWith("\ncaused by: refused\ncaused by: timeout");
  expect(errorText(refused)).toBe(refused.stack ?? "");
  expect(errorText("text")).toBe("text");
});
