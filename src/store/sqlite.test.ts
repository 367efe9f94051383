import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmdirSync, statSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createManualClock } from "../../test/support/clock.ts";
import { createTestLog } from "../../test/support/engine.ts";
import { TaskError } from "../core/error.ts";
import { create, expire, type TaskSpec, TYPE_DEFAULTS } from "../core/lifecycle.ts";
import type { Draft, RunningTask } from "../core/task.ts";
import { systemClock } from "../lib/system-clock.ts";
import { migrateStore, openStore } from "./open.ts";
import type { StoreSetup } from "./setup.ts";
import { openSqliteStore } from "./sqlite/store.ts";
import { startThread, type Thread, type ThreadSetup } from "./sqlite/thread.ts";
import { examineStore } from "./store.suite.ts";
import type { TaskPage, TaskStore } from "./store.ts";
import { HOUR_MS, idsOf, LEASE_MS, nth, only, soon, walk } from "./suite/examinee.ts";

const KEPT_CHANGES = 100_000;

const clock = createManualClock();
const t = clock.now();

/** The folder of all files of these tests. */
let home = "";
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "tasktrack-sqlite-"));
});
afterAll(() => rm(home, { recursive: true }));

let files = 0;
const newPath = (): string => join(home, `${++files}.db`);

const setupOf = (path: string, more: Partial<StoreSetup> = {}): StoreSetup => ({
  url: `sqlite:${path}`,
  // The clock stands still, but expired rows are still deleted by real timers.
  clock: { ...clock, after: systemClock.after },
  log: createTestLog(),
  random: () => 0.5,
  nonce: () => crypto.randomUUID(),
  worker: "this-process",
  allowVolatileRedis: false,
  ...more,
});

const open = (path = newPath(), more: Partial<StoreSetup> = {}): Promise<TaskStore> =>
  openStore(setupOf(path, more));

const draft = (spec: Partial<TaskSpec> = {}, now = t): Draft =>
  create({ name: "a task", ...spec }, TYPE_DEFAULTS, now);

async function fill(store: TaskStore, count: number, spec: Partial<TaskSpec> = {}, now = t): Promise<void> {
  for (let made = 0; made < count; made += 1_000) {
    const drafts = Array.from({ length: Math.min(1_000, count - made) }, () => draft(spec, now));
    await store.insert([{ drafts, idempotency: null }], now);
  }
}

const take = async (store: TaskStore, worker: string, max = 1_000): Promise<RunningTask[]> =>
  only(await store.claim([{ worker, types: ["*"], max, leaseMs: LEASE_MS }], { now: t, nonce: "n" }));

/** The message with which a file is refused. */
const refusalOf = (path: string): Promise<string> =>
  open(path).then(
    () => "it was opened",
    ({ code, message }: { code: string; message: string }) => `${code}: ${message}`, // a TaskError, as the port says
  );

/** Reads a file that no store holds, as another program does. */
function inspect<T>(path: string, look: (db: Database) => T): T {
  using db = new Database(path);
  return look(db);
}

const countIn = (path: string, table: string): number =>
  inspect(path, (db) => db.query<{ n: number }, []>(`SELECT count(*) AS n FROM ${table}`).get()?.n ?? -1);

/**
 * Starts a thread once and gives it to one store after another; each opens a file of its own. A thread for each case of the exam took
 * half of the exam's processor time: each loads and compiles the whole code of the store.
 */
function createThreadForMany() {
  let user: ThreadSetup | null = null;
  let thread: Thread | null = null;

  return (setup: ThreadSetup): Thread => {
    user = setup;
    thread ??= startThread({
      clock: setup.clock,
      onCommit: (due) => user?.onCommit(due),
      onComplaint: (message) => user?.onComplaint(message),
      onDeath: (reason) => user?.onDeath(reason),
    });
    const { call, fault } = thread;
    const closed = (): TaskError | null =>
      user === setup ? null : new TaskError("store_unavailable", "The store is closed");
    return {
      call: (verb, ...args) => {
        const error = closed();
        return error === null ? call(verb, ...args) : Promise.reject(error);
      },
      fault: () => closed()?.message ?? fault(),
      stop: () => {
        if (user === setup) user = null;
      },
    };
  };
}

const startThreadForExam = createThreadForMany();

examineStore("sqlite", async () => {
  const path = newPath();
  const time = createManualClock();
  const setup = setupOf(path, { clock: { ...time, after: systemClock.after } });
  const store = await openSqliteStore(setup, startThreadForExam);
  return {
    store,
    peer: store,
    now: time.now,
    forgetChanges: async () => {
      await fill(store, KEPT_CHANGES + 1, {}, time.now());
      await time.advance(HOUR_MS + 1);
      const oldest = { ...(await store.changes(null, 1)).position, rev: 0 };
      await soon(
        "the oldest change to be gone",
        async () => (await store.changes(oldest, 1)).kind === "gone",
      );
    },
    close: store.close,
  };
});

describe("a SQLite file", () => {
  test("is held by one store of a process, and free after that store is closed", async () => {
    const path = newPath();
    const first = await open(path);
    expect(await refusalOf(path)).toBe(`invalid: STORE_URL: ${path} is held by another process`);
    await fill(first, 1);
    await first.close();
    const second = await open(path);
    expect(await second.count({})).toBe(1);
    await second.close();
  });

  test("is held by one process", async () => {
    const path = newPath();
    const store = await open(path);
    const script = `import { Database } from "bun:sqlite";
      try { new Database(${JSON.stringify(path)}).query("SELECT * FROM task").all(); } catch (error) { console.log(error.code); }`;
    const other = Bun.spawnSync([process.execPath, "-e", script]);
    expect(other.stdout.toString().trim()).toBe("SQLITE_BUSY");
    await store.close();
  });

  test("is not created by a dry run of the migrations", async () => {
    const path = newPath();
    const plan = await migrateStore(setupOf(path), false);
    expect({ ...plan, pending: plan.pending.map(({ name }) => name) }).toEqual({
      current: 0,
      pending: ["tasks", "labels"],
    });
    expect(existsSync(path)).toBe(false);
    await migrateStore(setupOf(path), true);
    expect(await migrateStore(setupOf(path), true)).toEqual({ current: 2, pending: [] });
    await (await open(path)).close();
  });

  test("has no other files beside it when it is closed, and no shared memory while it is open", async () => {
    const path = newPath();
    const store = await open(path);
    await fill(store, 10);
    expect([existsSync(`${path}-wal`), existsSync(`${path}-shm`)]).toEqual([true, false]);
    await store.close();
    expect([existsSync(`${path}-wal`), existsSync(`${path}-shm`)]).toEqual([false, false]);
  });

  // ---- refusals, each in one line

  test("that is a folder, or whose folder does not exist, is refused", async () => {
    expect(await refusalOf(home)).toBe(`invalid: STORE_URL: ${home} is a folder, not a file`);
    const lost = join(home, "nowhere", "tasks.db");
    expect(await refusalOf(lost)).toBe(
      `invalid: STORE_URL: ${lost} cannot be made: there is no folder ${join(home, "nowhere")}`,
    );
    const file = newPath();
    await writeFile(file, "");
    const below = join(file, "tasks.db");
    expect(await refusalOf(below)).toBe(`invalid: STORE_URL: ${below} cannot be made: ${file} is no folder`);
  });

  test("that is not a database is refused and not changed", async () => {
    const path = newPath();
    const text = "It was a dark and stormy night. ".repeat(200);
    await writeFile(path, text);
    expect(await refusalOf(path)).toBe(`invalid: STORE_URL: ${path} is not a SQLite database`);
    expect(await Bun.file(path).text()).toBe(text);
  });

  test("of another program is refused and not changed", async () => {
    const path = newPath();
    inspect(path, (db) => db.run("CREATE TABLE theirs (x)"));
    expect(await refusalOf(path)).toBe(`invalid: STORE_URL: ${path} is a SQLite database of another program`);
    expect(countIn(path, "sqlite_master")).toBe(1);
  });

  test("of a newer program is refused", async () => {
    const path = newPath();
    await (await open(path)).close();
    inspect(path, (db) => db.run("PRAGMA user_version = 99"));
    expect(await refusalOf(path)).toBe(
      "invalid: STORE_URL: the store's schema has number 99, this program knows numbers up to 2; use a newer TaskTrack",
    );
  });

  test("that is damaged is refused", async () => {
    const path = newPath();
    await (await open(path)).close();
    const bytes = await Bun.file(path).bytes();
    await writeFile(path, bytes.fill(0xff, 100, 4_096));
    expect(await refusalOf(path)).toBe(`invalid: STORE_URL: ${path} is damaged; restore it from a copy`);
  });

  test("may have a name that is special for SQLite", async () => {
    const folder = join(home, "odd");
    await mkdir(folder);
    for (const name of [":memory:", "file:x?mode=memory"]) {
      const path = join(folder, name);
      const script = `const { openStore } = await import(${JSON.stringify(join(import.meta.dir, "open.ts"))});
        const clock = { now: () => 0, monotonic: () => 0, after: () => () => undefined };
        const store = await openStore({ url: "sqlite:${name}", clock, nonce: () => "n", worker: "w" });
        await store.close();`;
      Bun.spawnSync([process.execPath, "-e", script], { cwd: folder });
      expect([name, existsSync(path)]).toEqual([name, true]);
    }
  });

  // ---- a disk that is full

  test.skipIf(!canMount())(
    "on a full disk refuses writes with the reason, and works again when there is space (skipped where a small disk cannot be mounted)",
    async () => {
      const disk = join(home, "disk");
      await mkdir(disk);
      mount(disk, "size=4m");
      try {
        const store = await open(join(disk, "tasks.db"));
        const payload = JSON.stringify("x".repeat(1_000));
        let whole = 0;
        const fillUp = async (): Promise<string> => {
          for (; whole < 10_000; whole += 100) await fill(store, 100, { payload });
          return "ten megabytes fit into four";
        };
        expect(await fillUp().catch(({ code }) => code)).toBe("store_rejected");
        expect(await store.count({})).toBe(whole);
        expect((await walk(store, { sort: "-id", limit: 1_000 })).length).toBe(whole);
        await store.close();
        mount(disk, "remount,size=16m");
        const again = await open(join(disk, "tasks.db"));
        await fill(again, 1);
        const newest = await again.list({ filter: {}, sort: "-id", after: null, limit: 1 });
        expect(idsOf(newest.tasks)).toEqual([whole + 1]);
        await again.close();
      } finally {
        Bun.spawnSync(["umount", disk]);
      }
    },
  );

  // ---- another process opens the file

  test("keeps ids, keys, positions and remembered requests when it is closed and opened again", async () => {
    const path = newPath();
    const idempotency = { scope: "", key: "k", fingerprint: "f", until: t + HOUR_MS };
    const request = { drafts: [draft({ key: "live" })], idempotency };
    const first = await open(path);
    await first.insert([request], t);
    await fill(first, 2);
    await first.remove([{ id: 3 }]);
    const { position } = await first.changes(null, 1);
    await first.close();
    const second = await open(path);
    expect(
      await second.insert([request, { drafts: [draft({ key: "live" })], idempotency: null }], t),
    ).toEqual([
      { kind: "repeated", tasks: [{ id: 1, existing: false }] },
      { kind: "created", tasks: [{ id: 1, existing: true }] },
    ]);
    await fill(second, 1);
    const page = await second.changes(position, 10);
    expect(page).toMatchObject({ kind: "changes", changes: [{ id: 4, kind: "created" }] });
    await second.close();
  });

  test("is opened with the leases of the process that held it before ended, and no others", async () => {
    const path = newPath();
    const first = await open(path, { worker: "first-process" });
    await fill(first, 3);
    const own = only(await take(first, "first-process", 1));
    const remote = only(await take(first, "gpu-1", 1));
    await first.close();
    const time = { ...clock, after: systemClock.after, now: () => t + 10_000 };
    const second = await open(path, { worker: "second-process", clock: time });
    const over = await second.list({ filter: { expiredAt: t + 10_000 }, sort: "id", after: null, limit: 10 });
    expect(idsOf(over.tasks)).toEqual([own.id]);
    const found = only(over.tasks);
    expect(found.lease).toMatchObject({ until: t + 10_000, leaseMs: 0 });
    expect(await second.replace([{ from: found, to: expire(found, t + 10_000) }])).toEqual(["ok"]);
    expect(await second.get([remote.id])).toEqual([remote]);
    await second.close();
    const third = await open(path, { worker: "third-process", clock: time });
    expect(await third.get([remote.id])).toEqual([remote]);
    await third.close();
  });

  test("a lease that was over before is not made longer", async () => {
    const path = newPath();
    const first = await open(path);
    await fill(first, 1);
    const running = only(await take(first, "this-process"));
    await first.close();
    const second = await open(path, {
      clock: { ...clock, after: systemClock.after, now: () => t + 10 * LEASE_MS },
    });
    expect(await second.get([running.id])).toEqual([{ ...running, lease: { ...running.lease, leaseMs: 0 } }]);
    await second.close();
  });

  // ---- size limits

  test("has short pages of large tasks, and all pages together have every task", async () => {
    const store = await open();
    await fill(store, 40, { payload: JSON.stringify("x".repeat(200_000)) });
    const page: TaskPage = await store.list({ filter: {}, sort: "id", after: null, limit: 1_000 });
    expect(page.tasks.length).toBeLessThan(20);
    expect(page.next).not.toBeNull();
    expect(idsOf(await walk(store, { sort: "id", limit: 1_000 }))).toEqual(
      Array.from({ length: 40 }, (_, n) => n + 1),
    );
    await store.close();
  });

  test("gives a short claim of large tasks, and the next claim continues", async () => {
    const store = await open();
    await fill(store, 30, { payload: JSON.stringify("x".repeat(200_000)) });
    const given: RunningTask[][] = [];
    do given.push(await take(store, "w"));
    while (nth(given, given.length - 1).length > 0);
    expect(nth(given, 0).length).toBeLessThan(15);
    expect(idsOf(given.flat())).toEqual(Array.from({ length: 30 }, (_, n) => n + 1));
    await store.close();
  });

  test("has no next cursor on the last page of a list", async () => {
    const store = await open();
    await fill(store, 10);
    for (const limit of [5, 10]) {
      let next: TaskPage["next"] = null;
      for (let left = 10; left > 0; left -= limit) {
        ({ next } = await store.list({ filter: {}, sort: "id", after: next, limit }));
        expect(next === null).toBe(left === limit);
      }
    }
    await store.close();
  });

  test("has a write-ahead log of bounded size", async () => {
    const path = newPath();
    const store = await open(path);
    await fill(store, 12_000, { description: "x".repeat(4_000) });
    const [file, log] = [statSync(path).size, statSync(`${path}-wal`).size];
    expect(file).toBeGreaterThan(48_000_000);
    expect(log).toBeLessThan(30_000_000);
    await store.close();
  });
});

function mount(folder: string, options: string): void {
  const { success, stderr } = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]);
  if (!success) throw new Error(`cannot mount a small disk: ${stderr}`);
}

/** Only root may, and not in every container. */
function canMount(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  const folder = mkdtempSync(join(tmpdir(), "tasktrack-mount-"));
  try {
    mount(folder, "size=1m");
    Bun.spawnSync(["umount", folder]);
    return true;
  } catch {
    return false; // the test is skipped, and its name says why
  } finally {
    rmdirSync(folder);
  }
}
