/** The table of columns agrees with the table of the file. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { COLUMNS } from "./columns.ts";
import { MIGRATIONS } from "./migrations.ts";

/** Columns that are no part of a task. */
const BESIDE = ["log_count", "progress_at"];

type Described = { readonly name: string; readonly type: string };

const byName = (a: Described, b: Described): number => (a.name < b.name ? -1 : 1);

test("the table of a new file has the columns of the table of fields, with their types", () => {
  using db = new Database(":memory:");
  for (const { text } of MIGRATIONS) db.run(text);
  const found = db.query<Described, []>("SELECT name, type FROM pragma_table_info('task')").all();
  expect(found.filter(({ name }) => !BESIDE.includes(name)).toSorted(byName)).toEqual(
    COLUMNS.all.map(({ name, type }) => ({ name, type })).toSorted(byName),
  );
});
