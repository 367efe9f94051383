import { expect } from "bun:test";
import { cancel, edit, expire, retry, settle } from "../../core/lifecycle.ts";
import type { Task } from "../../core/task.ts";
import { type Change, type ChangeKind, PROGRESS_CHANGE_EVERY_MS } from "../store.ts";
import {
  ascending,
  beatOf,
  type Exam,
  FAILED,
  HOUR_MS,
  idsOf,
  LEASE_MS,
  only,
  RELEASED,
  readChanges,
} from "./examinee.ts";

const changeOf = (task: Task, kind: ChangeKind): Omit<Change, "rev"> => ({
  id: task.id,
  version: task.version,
  status: task.status,
  kind,
});

const withoutRev = (changes: readonly Change[]): Omit<Change, "rev">[] =>
  changes.map(({ rev: _, ...change }) => change);

export function examineChanges(exam: Exam): void {
  exam("the whole life of a task is in the change log, in order", async (x) => {
    const expected: Omit<Change, "rev">[] = [];
    const changes = await x.changesOf(async () => {
      let task: Task = await x.add();
      const expectChange = (kind: ChangeKind, now: Task): void => {
        task = now;
        expected.push(changeOf(now, kind));
      };
      expectChange("created", task);
      expectChange("changed", await x.step(task, edit(task, { priority: 3 }, x.t)));
      expectChange("changed", await x.start(task));
      expectChange("changed", await x.step(task, expire(task, x.t + LEASE_MS)));
      const running = await x.start(task, { at: x.t + LEASE_MS, nonce: "n2" });
      expectChange("changed", running);
      expectChange("changed", await x.settled(running, FAILED, x.t + LEASE_MS));
      expectChange("changed", await x.step(task, retry(task, x.t + HOUR_MS)));
      expectChange("changed", await x.step(task, cancel(task, x.t + HOUR_MS)));
      await x.removed(task.id);
      expectChange("deleted", task);
    });
    expect(withoutRev(changes)).toEqual(expected);
  });

  exam("revs rise strictly, and the end is the position of the last change", async (x) => {
    const from = await x.end();
    await x.addAll([{}, {}, {}]);
    const last = await x.add();
    const changes = await readChanges(x.store, { from, until: ({ id }) => id === last.id });
    const revs = [from.rev, ...changes.map(({ rev }) => rev)];
    expect(revs).toEqual(ascending([...new Set(revs)]));
    const page = await x.store.changes(await x.end(), 10);
    expect(page).toMatchObject({ kind: "changes", changes: [] });
  });

  exam("a reader from the present end gets no earlier changes", async (x) => {
    await x.add();
    const from = await x.end();
    const { id } = await x.add();
    const changes = await readChanges(x.store, { from, until: (change) => change.id === id });
    expect(idsOf(changes)).toEqual([id]);
  });

  exam("a reader without a position gets the end and no changes", async ({ addAll, store }) => {
    await addAll([{}, {}]);
    expect(await store.changes(null, 100)).toMatchObject({ kind: "changes", changes: [] });
  });

  exam("pages of any size show each change once and in the same order", async (x) => {
    const from = await x.end();
    await x.addAll(Array.from({ length: 17 }, () => ({})));
    await x.take(["*"], { max: 9 });
    const last = await x.add();
    const until = ({ id }: Change): boolean => id === last.id;
    const whole = await readChanges(x.store, { from, until, limit: 1_000 });
    expect(whole.length).toBe(27);
    for (const limit of [1, 2, 5, 27, 28]) {
      expect(await readChanges(x.store, { from, until, limit })).toEqual(whole);
    }
  });

  exam("a page has at most the requested number of changes", async (x) => {
    const from = await x.end();
    await x.addAll([{}, {}, {}, {}]);
    for (const limit of [1, 3]) {
      const page = await x.store.changes(from, limit);
      expect(page.kind === "changes" ? page.changes.length : page.kind).toBeLessThanOrEqual(limit);
    }
  });

  exam("a position can be used several times", async (x) => {
    const from = await x.end();
    const last = await x.add();
    const until = ({ id }: Change): boolean => id === last.id;
    const first = await readChanges(x.store, { from, until });
    expect(await readChanges(x.store, { from, until })).toEqual(first);
  });

  exam("a reader at the end gets the next change", async (x) => {
    let position = await x.end();
    for (let n = 0; n < 3; n++) {
      const empty = await x.store.changes(position, 10);
      position = empty.position;
      const { id } = await x.add();
      const changes = await readChanges(x.store, { from: position, until: (change) => change.id === id });
      expect(idsOf(changes)).toEqual([id]);
      position = { ...position, rev: only(changes).rev };
    }
  });

  exam("all changes of a call are in the log, in any order", async (x) => {
    const tasks = await x.addAll(Array.from({ length: 40 }, (_, n) => ({ key: n === 3 ? "k" : null })));
    const from = await x.end();
    const running = await x.take(["*"], { max: 30 });
    await x.store.replace(running.slice(0, 10).map((task) => ({ from: task, to: cancel(task, x.t) })));
    await x.store.remove(idsOf(tasks).map((id) => ({ id })));
    const { id } = await x.add();
    const changes = await readChanges(x.store, { from, until: (change) => change.id === id });
    const counted = (kind: ChangeKind) => changes.filter((change) => change.kind === kind).length;
    expect([counted("changed"), counted("deleted"), counted("created")]).toEqual([40, 40, 1]);
    for (const task of tasks) {
      const versions = changes.filter((change) => change.id === task.id).map(({ version }) => version);
      expect(versions).toEqual(ascending(versions));
    }
  });

  // ---- calls without a change

  exam("refused, stale and lost calls and calls for missing tasks are not changes", async (x) => {
    const ended = await x.ended("failed", { key: "other" });
    const task = await x.add({ key: "k" });
    await x.add({ key: "other" });
    const running = await x.run({ type: "t" });
    const idempotency = { scope: "", key: "i", fingerprint: "f", until: x.t + HOUR_MS };
    const request = { drafts: [x.draft({ type: "idempotent" })], idempotency };
    await x.store.insert([request], x.t);
    const changes = await x.changesOf(async () => {
      await x.store.insert([{ drafts: [x.draft({ key: "k" })], idempotency: null }], x.t);
      await x.store.insert([request, { ...request, idempotency: { ...idempotency, fingerprint: "g" } }], x.t);
      expect(await x.take(["none"])).toEqual([]);
      expect(await x.write({ ...task, version: 9 }, edit(task, { name: "n" }, x.t))).toBe("stale");
      expect(await x.write(ended, retry(ended, x.t))).toBe("key_taken");
      expect(await x.removed(999)).toBe(false);
      expect(await x.removed(task.id, 9)).toBe(false);
      const lost = beatOf(running, { token: "9.x", progress: { percent: 1, message: "" } });
      expect(await x.store.extend([lost], x.t)).toEqual(["lost"]);
    });
    expect(changes).toEqual([]);
  });

  exam("a heartbeat without progress is not a change", async (x) => {
    const running = await x.run();
    const changes = await x.changesOf(async () => {
      for (const later of [1, 5_000, 20_000]) expect(await x.beat(running, x.t + later)).toBe("ok");
    });
    expect(changes).toEqual([]);
  });

  // ---- progress

  const percent = (n: number) => ({ progress: { percent: n, message: "" } });

  exam("progress is a change, and the version stays the same", async (x) => {
    const running = await x.run();
    const changes = await x.changesOf(() => x.beat(running, x.t + 1, percent(10)));
    expect(withoutRev(changes)).toEqual([changeOf(running, "progress")]);
  });

  exam("progress is a change at most once a second a task", async (x) => {
    const running = await x.run();
    const at = [0, 1, 500, 999, 1_000, 1_500, 1_999, 2_100, 3_099, 3_100];
    const changes = await x.changesOf(async () => {
      for (const [n, later] of at.entries()) await x.beat(running, x.t + later, percent(n));
    });
    expect(changes.map(({ kind }) => kind)).toEqual(["progress", "progress", "progress", "progress"]);
    expect((await x.see(running.id)).progress).toEqual({ percent: 9, message: "" });
  });

  exam("the progress of one task does not suppress that of another", async (x) => {
    await x.addAll([{}, {}, {}]);
    const running = await x.take(["*"]);
    const changes = await x.changesOf(async () => {
      for (const later of [0, 10]) {
        const beats = running.map((task) => beatOf(task, percent(later)));
        await x.store.extend(beats, x.t + later);
      }
    });
    expect(ascending(idsOf(changes))).toEqual([1, 2, 3]);
  });

  exam("a heartbeat without progress does not delay the next progress", async (x) => {
    const running = await x.run();
    const changes = await x.changesOf(async () => {
      await x.beat(running, x.t + 1, percent(1));
      await x.beat(running, x.t + 900);
      await x.beat(running, x.t + 1 + PROGRESS_CHANGE_EVERY_MS, percent(2));
    });
    expect(changes.map(({ kind }) => kind)).toEqual(["progress", "progress"]);
  });

  exam("progress is a change at most once a second, also if another change comes between", async (x) => {
    const running = await x.run();
    const changes = await x.changesOf(async () => {
      await x.beat(running, x.t + 1, percent(1));
      const beaten = await x.see(running.id);
      await x.step(beaten, edit(beaten, { name: "renamed" }, x.t + 2));
      await x.beat(running, x.t + 3, percent(2));
    });
    expect(changes.map(({ kind }) => kind)).toEqual(["progress", "changed"]);
  });

  exam("progress is a change at most once a second, also if a new attempt begins between", async (x) => {
    const running = await x.run();
    const changes = await x.changesOf(async () => {
      await x.beat(running, x.t + 1, percent(1));
      const beaten = await x.see(running.id);
      const report = { token: running.token, outcome: RELEASED };
      const waiting = await x.step(beaten, settle(beaten, report, x.t + 2, 0));
      const again = await x.start(waiting, { at: x.t + 3, nonce: "n2" });
      await x.beat(again, x.t + 4, percent(2));
    });
    expect(changes.map(({ kind }) => kind)).toEqual(["progress", "changed", "changed"]);
  });

  // ---- gone

  exam("a position of another epoch is gone, and the answer has a new position", async (x) => {
    await x.add();
    const end = await x.end();
    const page = await x.store.changes({ epoch: `${end.epoch}-other`, rev: end.rev }, 10);
    expect(page.kind).toBe("gone");
    const { id } = await x.add();
    const changes = await readChanges(x.store, { from: page.position, until: (change) => change.id === id });
    expect(idsOf(changes)).toEqual([id]);
  });

  exam("the answer `gone` has the oldest position, from which all kept changes can be read", async (x) => {
    const from = await x.end();
    const { id } = await x.ended("done");
    const until = ({ status }: Change): boolean => status === "done";
    const before = await readChanges(x.store, { from, until });
    const page = await x.store.changes({ epoch: "other", rev: 0 }, 10);
    if (page.kind !== "gone") throw new Error("expected the position to be gone");
    expect(page.oldest.epoch).toBe(page.position.epoch);
    const all = await readChanges(x.store, { from: page.oldest, until });
    expect(all.filter((change) => change.id === id)).toEqual(before);
  });

  exam("a position of an epoch without a name is gone, as that of any other epoch", async (x) => {
    await x.add();
    const { rev } = await x.end();
    for (const at of [0, rev]) {
      expect((await x.store.changes({ epoch: "", rev: at }, 10)).kind).toBe("gone");
    }
  });

  exam("a position older than the kept changes is gone", async (x) => {
    const old = await x.end();
    await x.add();
    await x.forgetChanges();
    const page = await x.store.changes(old, 10);
    expect(page.kind).toBe("gone");
    const { id } = await x.add();
    const until = (change: Change): boolean => change.id === id;
    expect(idsOf(await readChanges(x.store, { from: page.position, until }))).toEqual([id]);
    const again = await x.store.changes(old, 10);
    if (again.kind !== "gone") throw new Error("expected the position to be gone");
    expect((await readChanges(x.store, { from: again.oldest, until, limit: 1_000 })).at(-1)?.id).toBe(id);
  });

  exam("a second process reads the same log from the same positions", async (x) => {
    const from = await x.end();
    const last = await x.add();
    const until = ({ id }: Change): boolean => id === last.id;
    const here = await readChanges(x.store, { from, until });
    expect(await readChanges(x.peer, { from, until })).toEqual(here);
  });
}
