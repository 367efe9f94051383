import { describe, expect, test } from "bun:test";
import { createManualClock, settled } from "../../test/support/clock.ts";
import { create, type TaskSpec, TYPE_DEFAULTS } from "../core/lifecycle.ts";
import type { Draft, TaskId } from "../core/task.ts";
import { systemClock } from "../lib/system-clock.ts";
import { createMemoryStore } from "./memory/store.ts";
import { examineStore } from "./store.suite.ts";
import type { ChangePage, TaskPage, TaskStore } from "./store.ts";
import { createExaminee } from "./suite/examinee.ts";
import { oldDocumentsAfterSteps } from "./suite/once.ts";

/** The capacity of the change log. */
const KEPT_CHANGES = 131_072;
const PIECE = 5_000;

const EPOCH = "one life";

const draft = (now: number, spec: Partial<TaskSpec> = {}): Draft =>
  create({ name: "a task", ...spec }, TYPE_DEFAULTS, now);

async function fill(store: TaskStore, count: number, now: number): Promise<void> {
  for (let made = 0; made < count; made += 1_000) {
    const drafts = Array.from({ length: Math.min(1_000, count - made) }, () => draft(now));
    await store.insert([{ drafts, idempotency: null }], now);
  }
}

examineStore("memory", async () => {
  const clock = createManualClock();
  // The clock stands still; only the pauses of a long count are real.
  const store = createMemoryStore({ clock: { ...clock, after: systemClock.after }, epoch: EPOCH });
  return {
    store,
    peer: store,
    now: clock.now,
    forgetChanges: () => fill(store, KEPT_CHANGES + 1, clock.now()),
    close: store.close,
  };
});

describe("only in memory", () => {
  const open = () => {
    const clock = createManualClock();
    return { clock, store: createMemoryStore({ clock, epoch: EPOCH }), t: clock.now() };
  };

  test("steps that write new documents delete expired ones", async () => {
    const { store, t } = open();
    const examinee = createExaminee({
      ...{ store, peer: store, now: () => t, forgetChanges: store.close, close: store.close },
    });
    expect(await oldDocumentsAfterSteps(examinee)).toEqual([]);
  });

  test("the change log keeps exactly as many changes as its capacity", async () => {
    const { store, t } = open();
    await fill(store, KEPT_CHANGES, t);
    const at = (rev: number): Promise<ChangePage> => store.changes({ epoch: EPOCH, rev }, 2);
    const change = (rev: number) => ({ rev, id: rev, version: 1, status: "pending", kind: "created" });
    expect(await at(0)).toMatchObject({ kind: "changes", changes: [change(1), change(2)] });
    await fill(store, 1, t);
    expect(await at(0)).toEqual({
      ...{
        kind: "gone",
        position: { epoch: EPOCH, rev: KEPT_CHANGES + 1 },
        oldest: { epoch: EPOCH, rev: 1 },
      },
    });
    expect(await at(1)).toMatchObject({ kind: "changes", changes: [change(2), change(3)] });
    expect(await at(KEPT_CHANGES)).toMatchObject({ kind: "changes", changes: [change(KEPT_CHANGES + 1)] });
  });

  test("a position ahead of the log is gone, so that a reader does not wait for changes that were lost", async () => {
    const { store, t } = open();
    await fill(store, 3, t);
    expect((await store.changes({ epoch: EPOCH, rev: 3 }, 10)).kind).toBe("changes");
    expect((await store.changes({ epoch: EPOCH, rev: 4 }, 10)).kind).toBe("gone");
  });

  test("of fifty thousand tasks the remaining ones are found, listed, claimed and counted correctly after random deletions", async () => {
    const { clock, store, t } = open();
    await fill(store, 50_000, t);
    const remaining = new Set<TaskId>(Array.from({ length: 50_000 }, (_, n) => n + 1));
    let seed = 42;
    const draw = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * below);
    };
    for (let round = 0; round < 45; round++) {
      const refs = Array.from({ length: 1_000 }, () => ({ id: 1 + draw(50_000) }));
      const expected = refs.map(({ id }) => remaining.delete(id));
      expect(await store.remove(refs)).toEqual(expected);
    }
    const ids = Array.from({ length: 50_000 }, (_, n) => n + 1);
    const found: boolean[] = [];
    while (found.length < ids.length) {
      const from = found.length;
      const tasks = await store.get(ids.slice(from));
      found.push(...tasks.map((task, n) => task?.id === from + n + 1));
    }
    expect(found).toEqual(ids.map((id) => remaining.has(id)));
    const listed: TaskId[] = [];
    let page: TaskPage = { tasks: [], next: { id: 0, finishedAt: null } };
    while (page.next !== null) {
      page = await store.list({ filter: {}, sort: "id", after: page.next, limit: 999 });
      listed.push(...page.tasks.map(({ id }) => id));
    }
    expect(listed).toEqual([...remaining]);
    const claimed: TaskId[] = [];
    for (let latest = [0]; latest.length > 0; claimed.push(...latest)) {
      const asks = [{ worker: "w", types: ["*"], max: 50_000, leaseMs: 1 }];
      latest = (await store.claim(asks, { now: t, nonce: "n" })).flat().map(({ id }) => id);
    }
    expect(claimed).toEqual([...remaining]);
    const counting = store.count({});
    await clock.advance(100);
    expect(await counting).toBe(remaining.size);
  });

  test("other calls run between the pieces of a long count", async () => {
    const { clock, store, t } = open();
    await fill(store, PIECE + 1, t);
    let counted: number | null = null;
    void store.count({ tags: [] }).then((count) => {
      counted = count;
    });
    await store.remove([{ id: PIECE + 1 }]);
    expect(counted).toBeNull();
    await clock.advance(0);
    expect(counted as number | null).toBe(PIECE);
  });

  test("thousands of idempotency keys are deleted after their time, and no others", async () => {
    const { store, t } = open();
    const requests = Array.from({ length: 4_000 }, (_, n) => ({
      drafts: [draft(t)],
      idempotency: {
        scope: "",
        key: `k${n}`,
        fingerprint: "f",
        until: t + 1 + Math.floor(n / 2_000) * 1_000,
      },
    }));
    const kinds = async (now: number) => {
      const answers = await store.insert(requests, now);
      return [0, 1_999, 2_000, 3_999].map((n) => answers[n]?.kind);
    };
    expect(await kinds(t)).toEqual(["created", "created", "created", "created"]);
    expect(await kinds(t)).toEqual(["repeated", "repeated", "repeated", "repeated"]);
    expect(await kinds(t + 500)).toEqual(["created", "created", "repeated", "repeated"]);
    expect(await kinds(t + 5_000)).toEqual(["created", "created", "created", "created"]);
  });

  test("the memory of a remembered request is freed after its time", async () => {
    const { store, t } = open();
    const remember = async (): Promise<WeakRef<object>[]> => {
      const requests = Array.from({ length: 1_000 }, (_, n) => ({
        drafts: [draft(t)],
        idempotency: { scope: "", key: `k${n}`, fingerprint: "f", until: t + 1_000 },
      }));
      const answers = await store.insert(requests, t);
      return answers.flatMap((answer) => (answer.kind === "created" ? [new WeakRef(answer.tasks)] : []));
    };
    const remembered = await remember();
    const kept = async (): Promise<number> => {
      await settled(); // a reference that was just made or read is kept until the end of its turn
      Bun.gc(true);
      return remembered.filter((ref) => ref.deref() !== undefined).length;
    };
    expect(await kept()).toBe(1_000);
    await fill(store, 1, t + 1_001);
    expect(await kept()).toBeLessThan(100); // the collector may mistake a number on the stack for a reference
  });

  test("a commit notifies watchers before it answers", async () => {
    const { store, t } = open();
    const events: string[] = [];
    store.watch((due) => events.push(`notified ${due}`));
    await store
      .insert([{ drafts: [draft(t, { type: "job" })], idempotency: null }], t)
      .then(() => events.push("answer"));
    expect(events).toEqual(["notified job", "answer"]);
  });

  test("a closed store notifies no watcher", async () => {
    const { store, t } = open();
    let notified = 0;
    store.watch(() => notified++);
    await store.close();
    await fill(store, 1, t);
    expect(notified).toBe(0);
  });
});
