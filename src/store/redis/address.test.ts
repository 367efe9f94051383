import { describe, expect, test } from "bun:test";
import { isTaskError } from "../../core/error.ts";
import { parseAddress } from "./address.ts";

describe("a Redis URL", () => {
  test.each([
    ["redis://localhost", "redis://localhost:6379", "localhost:6379", "{tasktrack}:"],
    ["valkey://h:1/3", "redis://h:1/3", "h:1", "{tasktrack}:"],
    ["rediss://user:p%40ss@h", "rediss://user:p%40ss@h:6379", "h:6379", "{tasktrack}:"],
    ["valkeys://:secret@h:7/0?prefix=team-a", "rediss://:secret@h:7/0", "h:7", "{team-a}:"],
    ["redis://[::1]:7000/", "redis://[::1]:7000/", "[::1]:7000", "{tasktrack}:"],
  ])("%s is understood", (text, url, host, prefix) => {
    expect(parseAddress(text)).toEqual({ url, host, prefix });
  });

  test.each([
    ["redis://h/tasks", "the number of the database"],
    ["redis://h?prefix=", "prefix must be"],
    ["redis://h?prefix={a}", "prefix must be"],
    ["redis://h?db=3", "no parameter db"],
    ["redis://", "must be redis://"],
    ["redis://h:notaport", "must be redis://"],
  ])("%s is refused with the reason", (text, words) => {
    try {
      parseAddress(text);
      expect.unreachable();
    } catch (error) {
      expect(isTaskError(error, "invalid") && error.message).toContain(words);
    }
  });
});
