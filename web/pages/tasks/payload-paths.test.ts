import { expect, test } from "bun:test";
import { parseExactly } from "../../../src/core/exact-json.ts";
import { pathsOf, suggestionsFor } from "./payload-paths.ts";

test("a number is suggested in its original text, because a search compares that text", () => {
  const paths = pathsOf([parseExactly('{"user":{"id":3889108265204450030},"rate":0.10,"width":640}')]);
  expect(suggestionsFor("payload.user.id:", paths)).toEqual(["payload.user.id:3889108265204450030"]);
  expect(suggestionsFor("payload.rate:", paths)).toEqual(["payload.rate:0.10"]);
  expect(suggestionsFor("payload.width:", paths)).toEqual(["payload.width:640"]);
});
