import { expect, test } from "bun:test";
import { type Parameter, type Session, statement } from "./statement.ts";

/** A session that collects the statements that it gets. */
function createRecorder(): { session: Session; asked: [string, readonly Parameter[] | undefined][] } {
  const asked: [string, readonly Parameter[] | undefined][] = [];
  return {
    asked,
    session: {
      rows: async (text, parameters) => {
        asked.push([text, parameters]);
        return [];
      },
    },
  };
}

test("a parameter that occurs several times has one number, and a call gives the values in that order", async () => {
  const { session, asked } = createRecorder();
  const select = statement("SELECT $ids::bigint[], $now, $ids WHERE $idle AND $$ IS NOT NULL");
  await select(session, { now: 7, idle: false, ids: "{1}" });
  expect(asked).toEqual([["SELECT $1::bigint[], $2, $1 WHERE $3 AND $$ IS NOT NULL", ["{1}", 7, false]]]);
});

test("null is a value; a missing value is an error of the program", async () => {
  const { session, asked } = createRecorder();
  const select = statement("SELECT $a, $b");
  await select(session, { a: null, b: 0 });
  expect(asked.at(-1)?.[1]).toEqual([null, 0]);
  expect(() => select(session, { a: 1 })).toThrow("a statement has no value for $b");
});
