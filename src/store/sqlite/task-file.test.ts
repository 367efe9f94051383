import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type TaskSpec, TYPE_DEFAULTS } from "../../core/lifecycle.ts";
import type { Draft, RunningTask } from "../../core/task.ts";
import type { InsertRequest } from "../store.ts";
import { HOUR_MS, idsOf, only } from "../suite/examinee.ts";
import type { FileCall } from "./calls.ts";
import { runRound, takeRound } from "./rounds.ts";
import { openTaskFile, type TaskFile } from "./task-file.ts";

const T = Date.UTC(2026, 0, 1);
const KEPT_CHANGES = 100_000;

let home = "";
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "tasktrack-file-"));
});
afterAll(() => rm(home, { recursive: true }));

let files = 0;

function open(): { readonly file: TaskFile; readonly path: string } {
  const path = join(home, `${++files}.db`);
  return { path, file: openTaskFile({ path, epoch: "one epoch", holder: "w", now: T }) };
}

const draft = (spec: Partial<TaskSpec> = {}): Draft => create({ name: "a task", ...spec }, TYPE_DEFAULTS, T);
const request = (spec: Partial<TaskSpec> = {}): InsertRequest => ({
  drafts: [draft(spec)],
  idempotency: null,
});
const drafts = (count: number): InsertRequest => ({
  drafts: Array.from({ length: count }, () => draft()),
  idempotency: null,
});

/** A request that no rule would make; the schema refuses it in the middle of a transaction. */
const impossible = (): InsertRequest => ({
  drafts: [draft(), { ...draft(), name: null } as unknown as Draft], // invalid on purpose
  idempotency: null,
});

/** The verbs of a file need a transaction around them. */
function written<T>(file: TaskFile, write: () => T): T {
  file.begin();
  const answer = write();
  file.commit();
  return answer;
}

const countIn = (path: string, table: string): number => {
  using db = new Database(path);
  return db.query<{ n: number }, []>(`SELECT count(*) AS n FROM ${table}`).get()?.n ?? -1;
};

describe("cleaning up deletes", () => {
  test("the log lines of deleted tasks in pieces, and no others", () => {
    const { file, path } = open();
    const { verbs } = file;
    const log = Array.from({ length: 700 }, () => ({ level: "info", message: "a line" }) as const);
    const running: RunningTask[] = written(file, () => {
      verbs.insert([drafts(5)], T);
      return only(
        verbs.claim([{ worker: "w", types: ["*"], max: 5, leaseMs: 1_000 }], { now: T, nonce: "n" }),
      );
    });
    const beats = running.map(({ id, token }) => ({ id, token, progress: null, log }));
    written(file, () => verbs.extend(beats, T));
    const refs = idsOf(running.slice(1)).map((id) => ({ id }));
    expect(written(file, () => verbs.remove(refs, T))).toEqual([true, true, true, true]);
    expect(running.map(({ id }) => verbs.readLog(id, 0).length)).toEqual([700, 0, 0, 0, 0]);
    const more = [1, 2, 3].map(() => written(file, () => verbs.cleanUp(T)));
    expect(more).toEqual([true, false, false]);
    expect(verbs.readLog(1, 0).length).toBe(700);
    file.close();
    expect([countIn(path, "log_line"), countIn(path, "orphaned_log")]).toEqual([700, 0]);
  });

  test("expired idempotency keys, and no others", () => {
    const { file, path } = open();
    const requests = Array.from({ length: 3_000 }, (_, n) => ({
      drafts: [],
      idempotency: { scope: "", key: `k${n}`, fingerprint: "f", until: T + (n % 6 === 0 ? HOUR_MS : 1_000) },
    }));
    written(file, () => file.verbs.insert(requests, T));
    expect(written(file, () => file.verbs.cleanUp(T + 999))).toBe(false);
    expect([1, 2, 3].map(() => written(file, () => file.verbs.cleanUp(T + 1_000)))).toEqual([
      true,
      true,
      false,
    ]);
    file.close();
    expect(countIn(path, "idempotency")).toBe(500);
  });

  test("expired documents, and no others", () => {
    const { file, path } = open();
    const writes = Array.from({ length: 3_000 }, (_, n) => ({
      name: `n${n}`,
      value: "",
      until: T + (n % 6 === 0 ? HOUR_MS : 1_000),
    }));
    written(file, () => file.verbs.writeDocuments(writes, T));
    expect(written(file, () => file.verbs.cleanUp(T + 999))).toBe(false);
    expect([1, 2, 3].map(() => written(file, () => file.verbs.cleanUp(T + 1_000)))).toEqual([
      true,
      true,
      false,
    ]);
    file.close();
    expect(countIn(path, "note")).toBe(500);
  });

  test("changes that are an hour old and have a hundred thousand changes after them", () => {
    const { file } = open();
    const fill = (count: number, now: number) => written(file, () => file.verbs.insert([drafts(count)], now));
    const kindAt = (rev: number) => file.verbs.changes({ epoch: "one epoch", rev }, 1).kind;
    const cleanUp = (now: number) => written(file, () => file.verbs.cleanUp(now));

    for (let made = 0; made < KEPT_CHANGES; made += 5_000) fill(5_000, T);
    expect([cleanUp(T + HOUR_MS), kindAt(0)]).toEqual([false, "changes"]);
    fill(6_000, T + 1);
    expect([cleanUp(T + HOUR_MS - 1), kindAt(0)]).toEqual([false, "changes"]);
    expect([cleanUp(T + HOUR_MS), kindAt(4_999), kindAt(5_000)]).toEqual([true, "gone", "changes"]);
    expect([cleanUp(T + HOUR_MS), kindAt(5_999), kindAt(6_000)]).toEqual([false, "gone", "changes"]);
    fill(10, T + 1);
    expect([cleanUp(T + HOUR_MS + 1), kindAt(6_009), kindAt(6_010)]).toEqual([false, "gone", "changes"]);
    file.close();
  });
});

describe("a round", () => {
  const insert = (id: number, requests: readonly InsertRequest[] = [request()]): FileCall => [
    id,
    "insert",
    [requests, T],
  ];
  const get = (id: number): FileCall => [id, "get", [[1]]];
  const idsIn = (calls: readonly FileCall[]): number[] => calls.map(([id]) => id);

  const list = (id: number): FileCall => [
    id,
    "list",
    [{ filter: {}, sort: "id", after: null, limit: 1_000 }],
  ];

  /** The ids of the calls of each round. */
  function roundsOf(waiting: FileCall[]): number[][] {
    const rounds: number[][] = [];
    for (let round = takeRound(waiting); round.length > 0; round = takeRound(waiting))
      rounds.push(idsIn(round));
    return rounds;
  }

  test("takes reads together, and writes together with the quick reads among them", () => {
    expect(roundsOf([get(1), get(2), insert(3), get(4), insert(5)])).toEqual([
      [1, 2],
      [3, 4, 5],
    ]);
    expect(roundsOf([insert(1), list(2), insert(3)])).toEqual([[1], [2], [3]]);
  });

  test("takes at most the rows of one transaction or answer; a larger call is a round of its own", () => {
    const big = (id: number, rows: number): FileCall => insert(id, [drafts(rows)]);
    expect(roundsOf([big(1, 3_000), big(2, 2_000), big(3, 1), big(4, 7_000), big(5, 1)])).toEqual([
      [1, 2],
      [3],
      [4],
      [5],
    ]);
    expect(roundsOf([get(1), list(2), list(3), get(4), get(5)])).toEqual([[1], [2], [3], [4, 5]]);
  });

  test("answers each call in its place, and returns the types that have become due", () => {
    const { file } = open();
    const round = runRound(file, [
      insert(7, [request({ type: "a" }), request({ type: "b", delayMs: 1 })]),
      [8, "get", [[2, 9]]],
      insert(9, [request({ type: "c" })]),
    ]);
    expect(round).toMatchObject({
      answers: [{ id: 7 }, { id: 8, value: [{ id: 2, type: "b" }, null] }, { id: 9 }],
      due: ["a", "c"],
    });
    expect(runRound(file, [get(1)]).due).toBeNull();
    expect(runRound(file, [[2, "remove", [[{ id: 99 }], T]]]).due).toBeNull();
    file.close();
  });

  test("a call that fails writes nothing, and the other calls are carried out", () => {
    const { file } = open();
    const { answers, due } = runRound(file, [
      insert(1, [request({ type: "a" })]),
      insert(2, [request({ type: "never" }), impossible()]),
      [3, "count", [{}, 0]],
      insert(4, [request({ type: "b" })]),
    ]);
    expect(answers).toMatchObject([
      { id: 1, value: [{ tasks: [{ id: 1 }] }] },
      { id: 2, fault: { code: "store_rejected" } },
      { id: 3, value: { count: 1 } },
      { id: 4, value: [{ tasks: [{ id: 2 }] }] },
    ]);
    expect(due).toEqual(["a", "b"]);
    expect(file.verbs.changes({ epoch: "one epoch", rev: 0 }, 10)).toMatchObject({
      changes: [
        { rev: 1, id: 1 },
        { rev: 2, id: 2 },
      ],
    });
    file.close();
  });

  test("a read that fails is answered with an error, and the other reads with their values", () => {
    const { file } = open();
    const broken = [2, "get", [[{}]]] as unknown as FileCall; // an object in place of an id
    expect(runRound(file, [get(1), broken, get(3)]).answers).toMatchObject([
      { id: 1, value: [null] },
      { id: 2, fault: { code: "defect" } },
      { id: 3, value: [null] },
    ]);
    file.close();
  });
});

test("writes that were rolled back are not counted, and the type counts stay correct when the file is opened again", () => {
  const { file, path } = open();
  written(file, () => file.verbs.insert([drafts(3)], T));
  file.begin();
  file.verbs.insert([drafts(2)], T);
  file.rollback();
  written(file, () =>
    file.verbs.claim([{ worker: "w", types: ["*"], max: 1, leaseMs: 9 }], { now: T, nonce: "n" }),
  );
  const counts = { pending: 2, running: 1, done: 0, failed: 0, cancelled: 0 };
  const expected = [{ type: "simulate", counts, oldestRunAt: T }];
  expect(file.verbs.typeCounts()).toEqual(expected);
  file.close();
  const again = openTaskFile({ path, epoch: "one epoch", holder: "w", now: T });
  expect(again.verbs.typeCounts()).toEqual(expected);
  again.close();
});
