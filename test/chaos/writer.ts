/** Creates, claims, settles and deletes tasks at random, while other processes do the same, and reports each of its changes. */
import { create, settle, TYPE_DEFAULTS } from "../../src/core/lifecycle.ts";
import type { TaskId } from "../../src/core/task.ts";
import type { TaskStore } from "../../src/store/store.ts";
import { createRandom } from "../support/random.ts";
import { DONE, RELEASED } from "../support/verbs.ts";
import type { Seen } from "./checkers.ts";
import { main, type Orders } from "./program.ts";

export type WriterOrders = Orders & { readonly calls: number };

const LEASE_MS = 60_000;
/** The number of calls at the same time in one process. */
const AT_ONCE = 4;

function createWriter(store: TaskStore, draw: () => number, say: (seen: Seen) => void) {
  const mine: TaskId[] = [];
  const several = (): number => 1 + Math.floor(draw() * 3);

  async function insert(): Promise<void> {
    const now = await store.now();
    const draft = () => create({ name: "written" }, TYPE_DEFAULTS, now);
    const requests = Array.from({ length: several() }, () => ({ drafts: [draft()], idempotency: null }));
    for (const { id } of (await store.insert(requests, now)).flatMap(tasksOf)) {
      mine.push(id);
      say({ id, version: 1, kind: "created" });
    }
  }

  async function claimAndSettle(): Promise<void> {
    const now = await store.now();
    const ask = { worker: "w", types: ["*"], max: several(), leaseMs: LEASE_MS };
    const [tasks = []] = await store.claim([ask], { now, nonce: String(draw()) });
    for (const { id, version } of tasks) say({ id, version, kind: "changed" });
    const steps = tasks.map((from) => ({
      from,
      to: settle(from, { token: from.token, outcome: draw() < 0.5 ? DONE : RELEASED }, now, 0),
    }));
    const answers = await store.replace(steps);
    for (const [at, { to }] of steps.entries()) {
      if (answers[at] === "ok") say({ id: to.id, version: to.version, kind: "changed" });
    }
  }

  async function remove(): Promise<void> {
    const [id] = mine.splice(Math.floor(draw() * mine.length), 1);
    if (id === undefined) return;
    const [isRemoved] = await store.remove([{ id }]);
    if (isRemoved === true) say({ id, version: 0, kind: "deleted" });
  }

  const callAtRandom = (): Promise<void> => {
    const drawn = draw();
    if (drawn < 0.45) return insert();
    return drawn < 0.85 ? claimAndSettle() : remove();
  };
  return { callAtRandom };
}

const tasksOf = (answer: Awaited<ReturnType<TaskStore["insert"]>>[number]) =>
  answer.kind === "created" ? answer.tasks : [];

await main<WriterOrders>(async (store, { seed, calls }, say) => {
  const writer = createWriter(store, createRandom(seed), say);
  const callInTurn = async (): Promise<void> => {
    for (let done = 0; done < calls / AT_ONCE; done++) await writer.callAtRandom();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, callInTurn));
});
