import { expect } from "bun:test";
import { scale } from "../../../test/chaos/scale.ts";
import { cancel, edit, expire, extend, retry, settle } from "../../core/lifecycle.ts";
import { isLive, type RunningTask, type Task, type TaskId } from "../../core/task.ts";
import type { Position, TaskStore } from "../store.ts";
import {
  ascending,
  asRunning,
  beatOf,
  DONE,
  type Exam,
  type Examinee,
  HOUR_MS,
  idsOf,
  LEASE_MS,
  nth,
  only,
  RELEASED,
  soon,
  walk,
} from "./examinee.ts";

/** The number of tasks in each race. */
const CONTESTED = 60;

/** By default each of the 64 claimers gets at least two answers with tasks. */
const CLAIMED = scale(5_000, 10_000);

const settleAt = (task: RunningTask, at: number): Task =>
  settle(task, { token: task.token, outcome: DONE }, at, 0);

async function runMany(x: Examinee, count = CONTESTED): Promise<RunningTask[]> {
  await x.addAll(Array.from({ length: count }, () => ({})));
  const running = await x.take(["*"]);
  expect(running.length).toBe(count);
  return running;
}

/** For odd numbers the peer is first and for even numbers the store, so that neither process has an advantage. */
const connectionsOf = ({ store, peer }: Examinee, n: number): readonly [TaskStore, TaskStore] =>
  n % 2 === 0 ? [store, peer] : [peer, store];

/** Two steps from the same version of each task, written at the same moment: one is ok, the other is stale. */
async function expectOneWinner(
  x: Examinee,
  tasks: readonly Task[],
  contest: (task: Task, n: number) => readonly [Task, Task],
): Promise<void> {
  await Promise.all(
    tasks.map(async (from, n) => {
      const rivals = contest(from, n);
      const [first, second] = connectionsOf(x, n);
      const answers = await Promise.all([
        first.replace([{ from, to: rivals[0] }]),
        second.replace([{ from, to: rivals[1] }]),
      ]);
      expect(answers.flat().toSorted()).toEqual(["ok", "stale"]);
      expect(await x.see(from.id)).toStrictEqual(only(answers[0]) === "ok" ? rivals[0] : rivals[1]);
    }),
  );
}

/** Swaps the two sides for every other task. */
const shuffled = <T>(n: number, pair: readonly [T, T]): readonly [T, T] =>
  n % 4 < 2 ? pair : [pair[1], pair[0]];

export function examineRaces(exam: Exam): void {
  exam(`64 claimers of ${CLAIMED.toLocaleString("en")} tasks get each task exactly once`, async (x) => {
    for (let batch = 0; batch < CLAIMED / 1_000; batch++) {
      const drafts = Array.from({ length: 1_000 }, (_, n) =>
        x.draft({ priority: n % 3, type: `job.${n % 4}` }),
      );
      await x.store.insert([{ drafts, idempotency: null }], x.t);
    }
    const owners = new Map<TaskId, string>();
    let given = 0;
    const claimAll = async (connection: TaskStore, n: number): Promise<void> => {
      const ask = { worker: `w${n}`, types: n % 2 === 0 ? ["job.*"] : ["*"], max: 40, leaseMs: LEASE_MS };
      let tasks: readonly RunningTask[];
      do {
        tasks = only(await connection.claim([ask], { now: x.t, nonce: `n${n}` }));
        given += tasks.length;
        for (const task of tasks) owners.set(task.id, task.lease.worker);
      } while (tasks.length > 0);
    };
    await Promise.all(Array.from({ length: 64 }, (_, n) => claimAll(connectionsOf(x, n)[0], n)));
    await claimAll(x.store, 64); // claimers that found a lane locked have stopped; no task may be left
    expect(given).toBe(CLAIMED);
    expect(owners.size).toBe(CLAIMED);
    const stored = await walk(x.store, { sort: "id", limit: 1_000 });
    expect(stored.every((task) => task.lease?.worker === owners.get(task.id) && task.claims === 1)).toBe(
      true,
    );
  });

  exam("claimers that each have several asks get different tasks", async (x) => {
    await x.addAll(Array.from({ length: 200 }, (_, n) => ({ type: `t${n % 5}` })));
    const claims = Array.from({ length: 20 }, (_, n) => {
      const asks = [1, 2, 3, 4].map((max) => ({ worker: `w${n}`, types: ["*"], max, leaseMs: LEASE_MS }));
      return connectionsOf(x, n)[0].claim(asks, { now: x.t, nonce: `n${n}` });
    });
    const given = (await Promise.all(claims)).flat(2);
    expect(new Set(idsOf(given)).size).toBe(given.length);
    expect(await x.store.count({ statuses: ["running"] })).toBe(given.length);
  });

  exam("creates of all processes get different ids, which rise within each request", async (x) => {
    const inserts = Array.from({ length: 40 }, (_, n) => {
      const drafts = Array.from({ length: 25 }, () => x.draft());
      return connectionsOf(x, n)[0].insert([{ drafts, idempotency: null }], x.t);
    });
    const answers = (await Promise.all(inserts)).map(only);
    const requests = answers.map((answer) => (answer.kind === "created" ? idsOf(answer.tasks) : []));
    for (const ids of requests) expect(ids).toEqual(ascending(ids));
    expect(new Set(requests.flat()).size).toBe(1_000);
    expect(await x.store.count({})).toBe(1_000);
  });

  exam("of many creates with one key one creates and all get its id", async (x) => {
    const inserts = Array.from({ length: 30 }, (_, n) =>
      connectionsOf(x, n)[0].insert([{ drafts: [x.draft({ key: "k" })], idempotency: null }], x.t),
    );
    const answers = (await Promise.all(inserts)).map(only);
    const tasks = answers.flatMap((answer) => (answer.kind === "created" ? answer.tasks : []));
    expect(tasks.filter(({ existing }) => !existing).length).toBe(1);
    expect(new Set(idsOf(tasks)).size).toBe(1);
    expect(tasks.length).toBe(30);
    expect(await x.store.count({})).toBe(1);
  });

  exam("creates with the same keys in opposite order do not deadlock", async (x) => {
    const keys = Array.from({ length: 20 }, (_, n) => `k${n}`);
    const inserts = Array.from({ length: 20 }, (_, n) => {
      const drafts = (n % 2 === 0 ? keys : keys.toReversed()).map((key) => x.draft({ key }));
      return connectionsOf(x, n)[0].insert([{ drafts, idempotency: null }], x.t);
    });
    const answers = (await Promise.all(inserts)).map(only);
    const tasks = answers.flatMap((answer) => (answer.kind === "created" ? answer.tasks : []));
    expect(tasks.length).toBe(400);
    expect(tasks.filter(({ existing }) => !existing).length).toBe(20);
    expect(await x.store.count({})).toBe(20);
  });

  exam("of many requests with one idempotency key one creates and all get its ids", async (x) => {
    const idempotency = { scope: "", key: "k", fingerprint: "f", until: x.t + HOUR_MS };
    const inserts = Array.from({ length: 30 }, (_, n) =>
      connectionsOf(x, n)[0].insert([{ drafts: [x.draft(), x.draft()], idempotency }], x.t),
    );
    const answers = (await Promise.all(inserts)).map(only);
    expect(answers.filter(({ kind }) => kind === "created").length).toBe(1);
    expect(answers.filter(({ kind }) => kind === "repeated").length).toBe(29);
    const ids = answers.map((answer) => (answer.kind === "mismatch" ? "" : idsOf(answer.tasks).join()));
    expect(new Set(ids).size).toBe(1);
    expect(await x.store.count({})).toBe(2);
  });

  // ---- steps

  exam("of a sweep and a settle of one task one is written, the other is stale", async (x) => {
    const running = await runMany(x);
    await expectOneWinner(x, running, (task, n) =>
      shuffled(n, [expire(task, x.t + LEASE_MS), settleAt(asRunning(task), x.t + LEASE_MS - 1)]),
    );
  });

  exam("of two sweeps of one task one is written, the other is stale", async (x) => {
    const running = await runMany(x);
    await expectOneWinner(x, running, (task) => [
      expire(task, x.t + LEASE_MS),
      expire(task, x.t + LEASE_MS + 1),
    ]);
    expect((await walk(x.store, { sort: "id", limit: 100 })).every(({ losses }) => losses === 1)).toBe(true);
  });

  exam("of a cancel and a settle of one task one is written, the other is stale", async (x) => {
    const running = await runMany(x);
    await expectOneWinner(x, running, (task, n) =>
      shuffled(n, [cancel(task, x.t + 1), settleAt(asRunning(task), x.t + 1)]),
    );
  });

  exam("of two retries of one task one is written, the other is stale", async (x) => {
    const ended = await Promise.all(idsOf(await x.addAll(Array.from({ length: 20 }, () => ({})))).map(x.see));
    const cancelled = await Promise.all(ended.map((task) => x.step(task, cancel(task, x.t + 1))));
    await expectOneWinner(x, cancelled, (task) => [retry(task, x.t + 2), retry(task, x.t + 3)]);
  });

  exam("of two tasks with one key that are retried at the same moment one becomes live", async (x) => {
    const pairs = Array.from({ length: 15 }, async (_, n) => {
      const key = `k${n}`;
      const [a, b] = [await x.ended("cancelled", { key }), await x.ended("cancelled", { key })];
      const connections = connectionsOf(x, n);
      const answers = await Promise.all([
        connections[0].replace([{ from: a, to: retry(a, x.t + 2_000) }]),
        connections[1].replace([{ from: b, to: retry(b, x.t + 2_000) }]),
      ]);
      expect(answers.flat().toSorted()).toEqual(["key_taken", "ok"]);
      expect([await x.see(a.id), await x.see(b.id)].filter(isLive).length).toBe(1);
    });
    await Promise.all(pairs);
  });

  exam("after a retry and a create with the same key at the same time one task is live", async (x) => {
    const pairs = Array.from({ length: 15 }, async (_, n) => {
      const key = `k${n}`;
      const ended = await x.ended("cancelled", { key });
      const connections = connectionsOf(x, n);
      const [retried, created] = await Promise.all([
        connections[0].replace([{ from: ended, to: retry(ended, x.t + 2_000) }]),
        connections[1].insert([{ drafts: [x.draft({ key })], idempotency: null }], x.t + 2_000),
      ]);
      const answer = only(created);
      const { existing, id } = only(answer.kind === "created" ? answer.tasks : []);
      expect(only(retried)).toBe(existing ? "ok" : "key_taken");
      expect(id === ended.id).toBe(existing);
    });
    await Promise.all(pairs);
  });

  exam("calls with the same tasks in opposite order do not deadlock", async (x) => {
    const running = await runMany(x, 100);
    const steps = running.map((from) => ({ from, to: settleAt(from, x.t + 1) }));
    const [here, there] = await Promise.all([x.store.replace(steps), x.peer.replace(steps.toReversed())]);
    const answers = here.map((answer, n) => [answer, nth(there.toReversed(), n)].toSorted().join());
    expect(answers).toEqual(steps.map(() => "ok,stale"));
  });

  exam("deletions of the same tasks in opposite order delete each once", async (x) => {
    const refs = idsOf(await x.addAll(Array.from({ length: 100 }, () => ({})))).map((id) => ({ id }));
    const [here, there] = await Promise.all([x.store.remove(refs), x.peer.remove(refs.toReversed())]);
    const answers = here.map((answer, n) => answer !== nth(there.toReversed(), n));
    expect(answers).toEqual(refs.map(() => true));
  });

  // ---- claims and heartbeats against steps

  exam("of a cancel and a claim of one task one is written; a late cancel is stale", async (x) => {
    const tasks = await x.addAll(Array.from({ length: CONTESTED }, () => ({})));
    const claims = Array.from({ length: CONTESTED }, (_, n) =>
      connectionsOf(x, n)[0].claim([{ worker: "w1", types: ["*"], max: 1, leaseMs: LEASE_MS }], {
        now: x.t,
        nonce: "n1",
      }),
    );
    const cancels = tasks.toReversed().map(async (from, n) => {
      const [answer] = await connectionsOf(x, n)[1].replace([{ from, to: cancel(from, x.t) }]);
      return { id: from.id, answer };
    });
    const claimed = new Set(idsOf((await Promise.all(claims)).flat(2)));
    for (const { id, answer } of await Promise.all(cancels)) {
      expect(answer).toBe(claimed.has(id) ? "stale" : "ok");
      expect((await x.see(id)).status).toBe(claimed.has(id) ? "running" : "cancelled");
    }
  });

  exam("of an edit and a claim of one task the edit is in the claimed task, or it is stale", async (x) => {
    const tasks = await x.addAll(Array.from({ length: CONTESTED }, () => ({})));
    const edits = tasks.map((from, n) =>
      connectionsOf(x, n)[0].replace([{ from, to: edit(from, { name: "new" }, x.t) }]),
    );
    const claims = tasks.map((_, n) =>
      connectionsOf(x, n)[1].claim([{ worker: "w1", types: ["*"], max: 1, leaseMs: LEASE_MS }], {
        now: x.t,
        nonce: "n1",
      }),
    );
    const answers = (await Promise.all(edits)).flat();
    const claimed = (await Promise.all(claims)).flat(2);
    expect(new Set(idsOf(claimed)).size).toBe(claimed.length);
    for (const [n, task] of tasks.entries()) {
      const edited = answers[n] === "ok";
      const running = claimed.filter(({ id }) => id === task.id).length;
      const stored = await x.see(task.id);
      expect({ name: stored.name, version: stored.version }).toEqual({
        name: edited ? "new" : "a task",
        version: 1 + (edited ? 1 : 0) + running,
      });
    }
  });

  exam("claims at the same time as a retry claim the task once, and only after the retry", async (x) => {
    const ended = await x.ended("failed");
    const retries = [0, 1].map((n) =>
      connectionsOf(x, n)[0].replace([{ from: ended, to: retry(ended, x.t + 2_000) }]),
    );
    const ask = { worker: "w1", types: ["*"], max: 5, leaseMs: LEASE_MS };
    const claims = Array.from({ length: 10 }, (_, n) =>
      connectionsOf(x, n)[1].claim([ask], { now: x.t + 2_000, nonce: `n${n}` }),
    );
    expect((await Promise.all(retries)).flat().toSorted()).toEqual(["ok", "stale"]);
    const claimed = (await Promise.all(claims)).flat(2);
    claimed.push(...(await x.take(["*"], { at: x.t + 2_000, nonce: "last" })));
    expect(only(claimed)).toMatchObject({ id: ended.id, claims: 2, version: ended.version + 2, attempt: 1 });
  });

  exam(
    "of a heartbeat and a settle of one task one is written; a late settle is stale, a late heartbeat is lost",
    async (x) => {
      const running = await runMany(x);
      await Promise.all(
        running.map(async (from, n) => {
          const to = settleAt(from, x.t + 1);
          const connections = connectionsOf(x, n);
          const [beaten, settled] = await Promise.all([
            connections[0].extend([beatOf(from)], x.t + 1),
            connections[1].replace([{ from, to }]),
          ]);
          const extended = extend(from, { token: from.token, progress: null }, x.t + 1);
          const beatFirst = only(beaten) === "ok";
          expect([only(beaten), only(settled)]).toEqual(beatFirst ? ["ok", "stale"] : ["lost", "ok"]);
          expect(await x.see(from.id)).toStrictEqual(beatFirst ? extended : to);
        }),
      );
    },
  );

  exam("two heartbeats of one lease at the same time both count, and the end rises with each", async (x) => {
    const running = await runMany(x);
    await Promise.all(
      running.map(async (task, n) => {
        const beats = connectionsOf(x, n).map((connection) =>
          connection.extend([beatOf(task, { log: [{ level: "info", message: "line" }] })], x.t),
        );
        expect((await Promise.all(beats)).flat()).toEqual(["ok", "ok"]);
        expect((await x.see(task.id)).lease?.until).toBe(x.t + LEASE_MS + 2);
        expect((await x.store.readLog(task.id, 0)).map((line) => line.n)).toEqual([1, 2]);
      }),
    );
  });

  // ---- deletions

  exam(
    "after a deletion and a heartbeat of one task at the same time the task and its log are deleted",
    async (x) => {
      const running = await runMany(x);
      await Promise.all(
        running.map(async (task, n) => {
          const connections = connectionsOf(x, n);
          const beat = beatOf(task, {
            progress: { percent: 1, message: "" },
            log: [{ level: "info", message: "l" }],
          });
          const early = n % 4 < 2 ? connections[0].extend([beat], x.t + 1) : null;
          const removed = connections[1].remove([{ id: task.id }]);
          const answer = only(await (early ?? connections[0].extend([beat], x.t + 1)));
          expect(["ok", "lost"]).toContain(answer);
          expect(await removed).toEqual([true]);
          expect(await x.store.get([task.id])).toEqual([null]);
          expect(await x.store.readLog(task.id, 0)).toEqual([]);
          expect(await x.store.extend([beat], x.t + 2)).toEqual(["lost"]);
        }),
      );
    },
  );

  exam(
    "of a deletion of a version and a settle of one task one is written, the other is refused",
    async (x) => {
      const running = await runMany(x);
      await Promise.all(
        running.map(async (from, n) => {
          const to = settleAt(from, x.t + 1);
          const connections = connectionsOf(x, n);
          const [removed, settled] = await Promise.all([
            connections[0].remove([{ id: from.id, version: from.version }]),
            connections[1].replace([{ from, to }]),
          ]);
          expect(only(settled)).toBe(only(removed) ? "stale" : "ok");
          expect(await x.store.get([from.id])).toEqual([only(removed) ? null : to]);
        }),
      );
    },
  );

  exam("tasks that were deleted before a claim at the same time are not claimed", async (x) => {
    const refs = idsOf(await x.addAll(Array.from({ length: 200 }, () => ({})))).map((id) => ({
      id,
      version: 1,
    }));
    const removals = Array.from({ length: 10 }, (_, n) =>
      connectionsOf(x, n)[0].remove(refs.slice(n * 20, n * 20 + 20)),
    );
    const claims = Array.from({ length: 10 }, (_, n) =>
      connectionsOf(x, n)[1].claim([{ worker: "w", types: ["*"], max: 20, leaseMs: LEASE_MS }], {
        now: x.t,
        nonce: `n${n}`,
      }),
    );
    const removed = (await Promise.all(removals)).flat();
    const claimed = new Set(idsOf((await Promise.all(claims)).flat(2)));
    for (const [n, ref] of refs.entries()) expect(claimed.has(ref.id) && removed[n]).toBe(false);
    expect(await x.store.count({})).toBe(removed.filter((gone) => !gone).length);
  });

  // ---- reads

  exam("readers of the change log get each change once while others write", async (x) => {
    const from = await x.end();
    const seen = [new Map<string, number>(), new Map<string, number>()];
    let written = 0;
    const write = async (n: number): Promise<void> => {
      const [connection, other] = connectionsOf(x, n);
      const type = `writer.${n}`;
      for (let round = 0; round < 8; round++) {
        const drafts = [x.draft({ type }), x.draft({ type })];
        await connection.insert([{ drafts, idempotency: null }], x.t);
        const ask = { worker: type, types: [type], max: 2, leaseMs: LEASE_MS };
        const tasks = only(await other.claim([ask], { now: x.t, nonce: `${round}` }));
        const steps = tasks.map((task) => {
          const said = { token: task.token, outcome: round % 2 === 0 ? DONE : RELEASED };
          return { from: task, to: settle(task, said, x.t, 0) };
        });
        expect(await connection.replace(steps)).toEqual(steps.map(() => "ok"));
        written += 2 + tasks.length * 2;
      }
    };
    const writers = Promise.all(Array.from({ length: 12 }, (_, n) => write(n)));
    let writing = true;
    void writers.finally(() => {
      writing = false;
    });
    const read = async (connection: TaskStore, changes: Map<string, number>): Promise<void> => {
      let position: Position = from;
      await soon("all changes", async () => {
        const page = await connection.changes(position, 50);
        if (page.kind === "gone") throw new Error("expected changes, the position is gone");
        position = page.position;
        for (const { id, version } of page.changes) {
          const name = `${id} v${version}`;
          changes.set(name, (changes.get(name) ?? 0) + 1);
          if (version > 1) expect(changes.has(`${id} v${version - 1}`)).toBe(true);
        }
        return !writing && changes.size >= written;
      });
    };
    await Promise.all([writers, ...seen.map((changes, n) => read(connectionsOf(x, n)[0], changes))]);
    for (const changes of seen) {
      expect(changes.size).toBe(written);
      expect([...changes.values()].every((times) => times === 1)).toBe(true);
    }
  });

  exam("pages show each remaining task exactly once while others create and end tasks", async (x) => {
    const staying = idsOf(await x.addAll(Array.from({ length: 100 }, () => ({ type: "staying" }))));
    let walking = true;
    const disturb = async (): Promise<void> => {
      while (walking) {
        const [task] = await x.addAll([{ type: "passing" }]);
        if (task !== undefined) await x.peer.remove([{ id: task.id }]);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const disturbing = disturb();
    const found = await walk(x.store, { sort: "id", limit: 7 });
    walking = false;
    await disturbing;
    expect(idsOf(found.filter(({ type }) => type === "staying"))).toEqual(staying);
  });
}
