/** `tasktrack copy`: tasks are copied between all kinds of stores, without changes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, TYPE_DEFAULTS } from "../src/core/lifecycle.ts";
import { STATUSES, type TaskId } from "../src/core/task.ts";
import type { TaskRecord, TaskStore } from "../src/store/store.ts";
import { corner, type Place } from "./chaos/places.ts";
import { eventually } from "./support/eventually.ts";
import { populate, readAll } from "./support/populate.ts";
import { type Ended, killLeftovers, type ServerProcess, tasktrack } from "./support/server-process.ts";
import { openTestStore } from "./support/stores.ts";

const TASKS = 300;
/** So many that a copy can be killed before its end. */
const MANY = 4_000;

let home = "";
const places: Place[] = [];
let files = 0;

const newFile = (): string => `sqlite:${join(home, `${++files}.db`)}`;

function newPlace(name: "PostgreSQL" | "Redis"): string {
  const place = corner(name);
  places.push(place);
  return place.storeUrl;
}

/** Opens the store, calls the function and closes the store. */
async function within<T>(url: string, use: (store: TaskStore) => Promise<T>): Promise<T> {
  const store = await openTestStore(url);
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

type All = ReadonlyMap<TaskId, TaskRecord>;

/** A new SQLite file with this number of tasks, and its content. */
async function newSource(count: number): Promise<{ readonly url: string; readonly all: All }> {
  const url = newFile();
  const all = await within(url, async (store) => {
    await populate(store, count);
    return readAll(store);
  });
  return { url, all };
}

const started = (from: string, to: string): ServerProcess =>
  tasktrack(["copy", "--from", from, "--to", to], { cwd: home });

const copied = (from: string, to: string): Promise<Ended> => started(from, to).ended;

const allIn = (url: string): Promise<All> => within(url, readAll);

const addTo = (store: TaskStore, name = "one more") =>
  store.insert([{ drafts: [create({ name }, TYPE_DEFAULTS, 1_000)], idempotency: null }], 1_000);

let source: Awaited<ReturnType<typeof newSource>>;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "tasktrack-copy-"));
  source = await newSource(TASKS);
});

afterAll(async () => {
  killLeftovers();
  for (const place of places) await place.remove();
  await rm(home, { recursive: true });
});

describe("a copy", () => {
  test("from store to store keeps every field of every task and every log line", async () => {
    expect(new Set([...source.all.values()].map(({ task }) => task.status))).toEqual(new Set(STATUSES));
    let from = source.url;
    for (const to of [newPlace("PostgreSQL"), newPlace("Redis"), newFile()]) {
      const { code, stderr } = await copied(from, to);
      expect({ code, stderr: stderr.split("\n").at(-2) }).toMatchObject({
        code: 0,
        stderr: expect.stringMatching(/^100 % 300 of 300 tasks, [\d,]+\/s$/),
      });
      expect(await allIn(to)).toStrictEqual(source.all);
      from = to;
    }
    const highest = Math.max(...source.all.keys());
    expect(await within(from, (store) => addTo(store))).toMatchObject([{ tasks: [{ id: highest + 1 }] }]);
  });

  test("prints the counts of both stores, and no control characters", async () => {
    const { code, stdout, stderr } = await copied(source.url, newFile());
    const count = (status: string): number =>
      [...source.all.values()].filter(({ task }) => task.status === status).length;
    const row = (status: string, n: number): string =>
      `${status.padEnd(10)} ${String(n).padStart(12)} ${String(n).padStart(12)}\n`;
    expect(stdout).toBe(
      [
        `${" ".repeat(19)}from           to\n`,
        ...STATUSES.map((status) => row(status, count(status))),
        row("all", TASKS),
      ].join(""),
    );
    expect(`${stdout}${stderr}`.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
    expect(code).toBe(0);
  });

  test.each(["PostgreSQL", "Redis", "SQLite"] as const)(
    "into %s that is complete has nothing left to do",
    async (name) => {
      const to = name === "SQLite" ? newFile() : newPlace(name);
      const look = (store: TaskStore) =>
        Promise.all([readAll(store), store.changes(null, 1).then((page) => page.position)]);
      expect((await copied(source.url, to)).code).toBe(0);
      const before = await within(to, look);
      const again = await copied(source.url, to);
      expect(again.code).toBe(0);
      expect(again.stdout).toContain(String(TASKS));
      expect(await within(to, look)).toStrictEqual(before);
    },
  );

  test("of an empty store ends at once", async () => {
    const empty = newFile();
    await within(empty, async () => undefined);
    const { code, stderr } = await copied(empty, newFile());
    expect({ code, stderr }).toEqual({ code: 0, stderr: "100 % 0 of 0 tasks, 0/s\n" });
  });
});

describe("a copy that is killed in the middle", () => {
  let many: Awaited<ReturnType<typeof newSource>>;
  beforeAll(async () => {
    many = await newSource(MANY);
  });

  /** Resolves with whether the copy was killed. On a busy machine it may have ended before the test sees its beginning. */
  const kill = async (copy: ServerProcess): Promise<boolean> => {
    copy.kill("SIGKILL");
    return (await copy.ended).signal === "SIGKILL";
  };

  async function expectCompletion(to: string, before: All): Promise<void> {
    expect(before.size).toBeGreaterThan(0);
    expect(before.size).toBeLessThan(MANY);
    for (const [id, record] of before) expect(record).toStrictEqual(many.all.get(id) as TaskRecord); // the source has this id
    const { code, stdout } = await copied(many.url, to);
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining(String(MANY)) });
    expect(await allIn(to)).toStrictEqual(many.all);
  }

  test.each(["PostgreSQL", "Redis"] as const)("continues where it stopped, into %s", async (name) => {
    for (;;) {
      const to = newPlace(name);
      const before = await within(to, async (store) => {
        const copy = started(many.url, to);
        await eventually(
          () => store.count({}),
          (count) => count > 0,
        );
        return (await kill(copy)) && (await store.count({})) < MANY ? readAll(store) : null;
      });
      if (before !== null) return expectCompletion(to, before);
    }
  });

  test("continues where it stopped, into SQLite", async () => {
    for (;;) {
      const to = newFile();
      const log = `${to.slice("sqlite:".length)}-wal`;
      const copy = started(many.url, to);
      let isOver = false;
      void copy.ended.then(() => (isOver = true));
      // No other process may open the file. Its log reaches this size after the first calls of the copy.
      await eventually(
        () => isOver || (existsSync(log) && Bun.file(log).size > 600_000),
        (isInTheMiddle) => isInTheMiddle,
      );
      const before = (await kill(copy)) ? await allIn(to) : null;
      if (before !== null && before.size < MANY) return expectCompletion(to, before);
    }
  });
});

describe("a copy is refused in one line,", () => {
  async function expectRefusal(args: readonly string[], code: number, line: string | RegExp): Promise<void> {
    const ended = await tasktrack(["copy", ...args], { cwd: home }).ended;
    expect({ code: ended.code, stdout: ended.stdout }).toEqual({ code, stdout: "" });
    expect(ended.stderr).toMatch(/^tasktrack: [^\n]+\n$/);
    if (typeof line === "string") expect(ended.stderr).toBe(`tasktrack: ${line}\n`);
    else expect(ended.stderr).toMatch(line);
  }

  const FORMS = "sqlite:PATH, postgres://… or redis://…";
  const A = ["--from", "sqlite:a.db"];
  const B = ["--to", "sqlite:b.db"];

  test.each([
    ["without --from", B, "copy needs --from URL; see tasktrack copy --help"],
    ["without --to", A, "copy needs --to URL; see tasktrack copy --help"],
    ["without both", [], "copy needs --from URL; see tasktrack copy --help"],
    ["from a store to itself", [...A, "--to", "sqlite:a.db"], "--from and --to are the same store"],
    ["from memory", ["--from", "memory:", ...B], `--from: expected ${FORMS}, got "memory:"`],
    ["to memory", [...A, "--to", "memory:"], `--to: expected ${FORMS}, got "memory:"`],
    [
      "with a scheme that is not known, and without its password",
      ["--from", "mysql://u:secret@host/db", ...B],
      `--from: expected ${FORMS}, got "mysql://u:***@host/db"`,
    ],
    ["with a path that is missing", [...A, "--to", "sqlite:"], `--to: expected ${FORMS}, got "sqlite:"`],
    ["with a flag that is not known", [...A, ...B, "--force"], /--force/],
    ["with an argument too many", [...A, ...B, "now"], /now/],
  ])("%s", async (_case, args, line) => {
    await expectRefusal(args, 2, line);
    expect([existsSync(join(home, "a.db")), existsSync(join(home, "b.db"))]).toEqual([false, false]);
  });

  test.each(["PostgreSQL", "Redis", "SQLite"] as const)(
    "into %s with other tasks, which stay as they are",
    async (name) => {
      const to = name === "SQLite" ? newFile() : newPlace(name);
      await within(to, (store) => addTo(store, "mine"));
      const before = await allIn(to);
      const message = "--to: the store has tasks that are not in --from (task 1); copy into an empty store";
      await expectRefusal(["--from", source.url, "--to", to], 1, message);
      expect(await allIn(to)).toStrictEqual(before);
    },
  );

  test("into a copy that was changed since", async () => {
    const to = newFile();
    await copied(source.url, to);
    await within(to, (store) => addTo(store));
    const message = `--to: the store has tasks that are not in --from (task ${TASKS + 1}); copy into an empty store`;
    await expectRefusal(["--from", source.url, "--to", to], 1, message);
  });

  test.each(["PostgreSQL", "Redis", "SQLite"] as const)(
    "from %s without a store, and no store is created there",
    async (name) => {
      const from = name === "SQLite" ? newFile() : newPlace(name);
      const args = ["--from", from, "--to", newFile()];
      for (const _ of ["once", "and again"]) {
        await expectRefusal(args, 1, /--from: there is no store of tasks at /);
      }
      if (name === "SQLite") expect(existsSync(from.slice("sqlite:".length))).toBe(false);
    },
  );

  test("while another process uses the source or the target", async () => {
    const to = newFile();
    await within(source.url, () =>
      expectRefusal(
        ["--from", source.url, "--to", to],
        1,
        `--from: ${source.url.slice("sqlite:".length)} is held by another process`,
      ),
    );
    await within(to, () =>
      expectRefusal(
        ["--from", source.url, "--to", to],
        1,
        `--to: ${to.slice("sqlite:".length)} is held by another process`,
      ),
    );
  });

  test("where no server answers", async () => {
    await expectRefusal(
      ["--from", source.url, "--to", "redis://u:secret@127.0.0.1:1"],
      1,
      /^tasktrack: --to: /,
    );
    await expectRefusal(
      ["--from", "postgres://u:secret@127.0.0.1:1/db", "--to", newFile()],
      1,
      /^tasktrack: --from: /,
    );
  });
});

test("different counts at the end are reported, with the next step", async () => {
  const to = newFile();
  await copied(source.url, to);
  await within(to, (store) => store.remove([{ id: 1 }]));
  const { code, stdout, stderr } = await copied(source.url, to);
  expect(code).toBe(1);
  expect(stdout).toContain(`${String(TASKS).padStart(12)} ${String(TASKS - 1).padStart(12)}\n`);
  expect(stderr).toEndWith(
    "tasktrack: the counts differ: a store was written to meanwhile; stop both servers and copy into an empty store\n",
  );
});
