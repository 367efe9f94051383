/** Claims tasks until none are left, with several claimers at the same time, and settles or releases them. */
import { settle } from "../../src/core/lifecycle.ts";
import type { RunningTask } from "../../src/core/task.ts";
import type { TaskStore } from "../../src/store/store.ts";
import { createRandom } from "../support/random.ts";
import { DONE, RELEASED } from "../support/verbs.ts";
import type { Claim } from "./checkers.ts";
import { main, type Orders } from "./program.ts";

export type ClaimerOrders = Orders & {
  readonly claimers: number;
  /** The share of claimed tasks that is released, from 0 to 1. */
  readonly releases: number;
};

const LEASE_MS = 60_000;
const AT_ONCE = 4;

async function claimAll(
  store: TaskStore,
  draw: () => number,
  { releases }: ClaimerOrders,
  say: (claim: Claim) => void,
): Promise<void> {
  for (;;) {
    const max = 1 + Math.floor(draw() * AT_ONCE);
    const terms = { now: await store.now(), nonce: String(draw()) };
    const [tasks = []] = await store.claim([{ worker: "w", types: ["*"], max, leaseMs: LEASE_MS }], terms);
    if (tasks.length === 0) return; // a claimer that releases a task claims again after it
    const ends = tasks.map((task) => ({ task, released: draw() < releases }));
    // Reported before the release, so that the next claim is certainly later.
    for (const { task, released } of ends) say({ id: task.id, claims: task.claims, released });
    await writeEnds(store, ends);
  }
}

type End = { readonly task: RunningTask; readonly released: boolean };

async function writeEnds(store: TaskStore, ends: readonly End[]): Promise<void> {
  const now = await store.now();
  const steps = ends.map(({ task, released }) => ({
    from: task,
    to: settle(task, { token: task.token, outcome: released ? RELEASED : DONE }, now, 0),
  }));
  const answers = await store.replace(steps);
  if (answers.some((answer) => answer !== "ok"))
    throw new Error(`own leases were answered ${answers.join()}`);
}

await main<ClaimerOrders>(async (store, orders, say) => {
  const draw = createRandom(orders.seed);
  await Promise.all(Array.from({ length: orders.claimers }, () => claimAll(store, draw, orders, say)));
});
