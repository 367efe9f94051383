import { describe, expect, test } from "bun:test";
import type { CommitNotice } from "../store/store.ts";
import { lookAfterMs, type WaitingProcess } from "./selection.ts";

const processes = (count: number, free = 10, types: readonly string[] = ["*"]): WaitingProcess[] =>
  Array.from({ length: count }, (_, n) => ({ name: `process-${n}`, types, free }));

const notice = (seed: string | null, ...counts: readonly number[]): CommitNotice => ({
  seed,
  counts,
  mayRevoke: false,
});

/** When each of the processes looks. */
const looks = (known: readonly WaitingProcess[], count: number, seed = "1", type = "mail") =>
  known.map(({ name, types }) =>
    lookAfterMs(types, [type], notice(seed, count), { own: name, processes: known }),
  );

const atOnce = (found: readonly (number | null)[]): number => found.filter((afterMs) => afterMs === 0).length;
const atAll = (found: readonly (number | null)[]): number =>
  found.filter((afterMs) => afterMs !== null).length;

describe("after a commit of another process", () => {
  test.each([
    [1, 1],
    [5, 1],
    [6, 2],
    [50, 10],
    [1_000, 48],
  ])("with %d due tasks, %d of 48 processes with ten free slots each look at once", (count, expected) => {
    expect(atOnce(looks(processes(48), count))).toBe(expected);
  });

  test("one further process looks soon, and two look later, because the first one may be dead", () => {
    const found = looks(processes(48), 1);
    expect(atAll(found)).toBe(4);
    expect(new Set(found).size).toBe(4);
  });

  test("the processes look in another order after each commit", () => {
    const known = processes(48);
    const first = new Set(Array.from({ length: 200 }, (_, seed) => looks(known, 1, String(seed)).indexOf(0)));
    expect(first.size).toBeGreaterThan(40);
  });

  test("processes without free slots look only if there are not enough others", () => {
    const known = [...processes(10, 0), { name: "free-1", types: ["*"], free: 2 }];
    for (let seed = 0; seed < 20; seed++) expect(looks(known, 1, String(seed)).at(-1)).toBe(0);
    expect(atOnce(looks(known, 1))).toBe(1);
    expect(atOnce(looks(processes(3, 0), 2))).toBe(2);
  });

  test("only processes that take the type count", () => {
    const known = [...processes(10, 1, ["video.*"]), { name: "mail-1", types: ["a", "mail"], free: 1 }];
    expect(looks(known, 1)).toEqual([...Array(10).fill(null), 0]);
  });

  test("a process that the others do not know looks at once", () => {
    const peers = { own: "new", processes: processes(48) };
    expect(lookAfterMs(["mail"], ["mail"], notice("1", 1), peers)).toBe(0);
    const others = { own: "process-1", processes: processes(48, 10, ["video"]) };
    expect(lookAfterMs(["mail"], ["mail"], notice("1", 1), others)).toBe(0);
  });

  test("every process looks at once if the commit, its types or its number of tasks is not known", () => {
    const peers = { own: "process-1", processes: processes(48) };
    expect(lookAfterMs(["mail"], null, undefined, peers)).toBe(0);
    expect(lookAfterMs(["mail"], ["mail"], undefined, peers)).toBe(0);
  });
});

test("a commit of this process makes it look at once", () => {
  const peers = { own: "process-1", processes: processes(48) };
  expect(lookAfterMs(["mail"], ["mail"], notice(null, 1), peers)).toBe(0);
  expect(lookAfterMs(["mail"], ["video"], notice(null, 1), peers)).toBeNull();
});
