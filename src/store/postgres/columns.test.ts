/** The table of columns agrees with the tables and functions of the database. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { SQL } from "bun";
import { openAdmin } from "../../../test/support/postgres.ts";
import { sharedPostgres } from "../../../test/support/servers/shared.ts";
import { openTestStore, uniqueName } from "../../../test/support/stores.ts";
import { runningTask } from "../../../test/support/tasks.ts";
import { create, settle, TYPE_DEFAULTS } from "../../core/lifecycle.ts";
import { FIELD_NAMES, STATUSES } from "../../core/task.ts";
import { STATUS_CODES } from "../changes-text.ts";
import type { TaskStore } from "../store.ts";
import { ALL_COLUMNS, COLUMNS, DRAFT_COLUMNS, sizeOf } from "./columns.ts";
import { ENDED_COLUMNS, isEndOfAttempt, SEEN } from "./replace.ts";

/** Columns that are no part of a task. */
const BESIDE = ["lines", "progress_is_change", "progress_logged_at"];

const schema = uniqueName("columns");
let admin: SQL;
let store: TaskStore;

beforeAll(async () => {
  admin = openAdmin();
  store = await openTestStore(`${sharedPostgres()}?schema=${schema}`);
});
afterAll(async () => {
  await store.close();
  await admin.unsafe(`DROP SCHEMA ${schema} CASCADE`);
  await admin.close();
});

type Described = { readonly name: string; readonly type: string; readonly has_default: boolean };

const describeTasks = async (): Promise<Described[]> => [
  ...(await admin.unsafe(
    `SELECT column_name::text AS name, data_type::text AS type, column_default IS NOT NULL OR is_nullable = 'YES' AS has_default
     FROM information_schema.columns WHERE table_schema = '${schema}' AND table_name = 'tasks'`,
  )),
];

const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);

describe("the table of tasks", () => {
  test("has the columns of the table of fields, with their types", async () => {
    const found = (await describeTasks()).filter(({ name }) => !BESIDE.includes(name));
    expect(found.map(({ name, type }) => ({ name, type })).toSorted(byName)).toEqual(
      ALL_COLUMNS.map(({ name, type }) => ({ name, type })).toSorted(byName),
    );
  });

  test("has a default for each column that a new task leaves out", async () => {
    const given = new Set(["id", ...DRAFT_COLUMNS.map(({ name }) => name)]);
    const left = (await describeTasks()).filter(({ name }) => !given.has(name));
    expect(left.length).toBeGreaterThan(BESIDE.length);
    expect(left.filter(({ has_default }) => !has_default)).toEqual([]);
  });
});

describe("the functions", () => {
  test("a status has the same code in the database and in the program", async () => {
    const rows = await admin.unsafe(
      `SELECT status, ${schema}.status_code(status) AS code FROM unnest('{${STATUSES.join()}}'::text[]) AS status`,
    );
    expect(Object.fromEntries([...rows].map(({ status, code }) => [status, code]))).toEqual(STATUS_CODES);
  });

  test("a claim counts the size of the same texts as other answers", async () => {
    const text = (name: string): string => `repeat('x', ${name.length * 100})`;
    const sized = new Set(COLUMNS.sized("whole").map(({ name }) => name));
    const values = ALL_COLUMNS.map(({ name, type }) => {
      if (sized.has(name)) return `${text(name)} AS ${name}`;
      return `${type === "text" ? text(name) : "7"}::${type} AS ${name}`;
    });
    const rest = "NULL::bigint AS progress_logged_at, false AS progress_is_change, 0 AS lines";
    const [row] = await admin.unsafe(
      `SELECT ${schema}.text_size(jsonb_populate_record(NULL::${schema}.tasks, to_jsonb(t)))::integer AS counted,
         (${sizeOf("t", "whole")})::integer AS expected FROM (SELECT ${values.join(", ")}, ${rest}) t`,
    );
    expect(row.expected).toBeGreaterThan(500 + 100 * sized.size);
    expect(row.counted).toBe(row.expected);
  });

  test("end_attempts takes the columns that an end of an attempt writes, in their order", async () => {
    const [row] = await admin.unsafe(
      `SELECT array_to_string(ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a(t, n) ORDER BY n), ', ') AS types,
         p.prosrc AS source
       FROM pg_proc p WHERE pronamespace = '${schema}'::regnamespace AND proname = 'end_attempts'`,
    );
    const taken = [...SEEN, ...ENDED_COLUMNS];
    expect(row.types).toBe(taken.map(({ type }) => `${type}[]`).join(", "));
    for (const { name } of ENDED_COLUMNS) expect(row.source).toMatch(new RegExp(`\\b${name} = s\\.`));
  });
});

test("a later version may add a column while processes of this version run", async () => {
  const own = uniqueName("later");
  const open = await openTestStore(`${sharedPostgres()}?schema=${own}&connections=1`);
  const draft = (key: string | null) => create({ name: "a task", payload: "1", key }, TYPE_DEFAULTS, 0);
  const runAll = async (key: string): Promise<readonly unknown[]> => {
    await open.insert([{ drafts: [draft(null), draft(key)], idempotency: null }], 0);
    await open.insert([{ drafts: [draft(null)], idempotency: null }], 0);
    const [claimed = []] = await open.claim([{ worker: "w", types: ["*"], max: 9, leaseMs: 60_000 }], {
      now: 1,
      nonce: "n",
    });
    const done = claimed.map((from) => ({
      from,
      to: settle(from, { token: from.token, outcome: { kind: "done", result: "2" } }, 2, 0),
    }));
    expect(await open.replace(done)).toEqual(["ok", "ok", "ok"]);
    const page = await open.list({ filter: {}, sort: "-id", after: null, limit: 3 });
    return page.tasks.map(({ payload, result, status }) => [payload, result, status]);
  };
  const expected = new Array(3).fill(["1", "2", "done"]);
  for (let round = 0; round < 7; round++) expect(await runAll(`k${round}`)).toEqual(expected); // until the plans are kept
  await admin.unsafe(`ALTER TABLE ${own}.tasks ADD COLUMN color text NOT NULL DEFAULT 'blue'`);
  for (let round = 7; round < 9; round++) expect(await runAll(`k${round}`)).toEqual(expected);
  await open.close();
  await admin.unsafe(`DROP SCHEMA ${own} CASCADE`);
});

describe("a step that ends an attempt", () => {
  const from = runningTask();
  const to = settle(from, { token: from.token, outcome: { kind: "done", result: "1" } }, from.updatedAt, 0);
  const ended = new Set<string>(["version", "lease", ...ENDED_COLUMNS.map(({ field }) => field)]);

  test("is written by end_attempts", () => {
    expect(isEndOfAttempt({ from, to })).toBe(true);
  });

  test.each(FIELD_NAMES.filter((name) => !ended.has(name)))(
    "is written column by column where it also changes %s",
    (name) => {
      const other = { ...to, [name]: "another value" };
      expect(isEndOfAttempt({ from, to: other })).toBe(false);
    },
  );
});
