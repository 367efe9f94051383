/**
 * A client of one process's event stream misses no change while other processes write and run tasks, and while that process is
 * killed.
 */
import { afterAll, expect } from "bun:test";
import { type EventsClient, openEvents, type SeenEvent } from "../support/events.ts";
import { eventually } from "../support/eventually.ts";
import { createRandom } from "../support/random.ts";
import { killLeftovers } from "../support/server-process.ts";
import { faultsOfView, type View } from "./checkers.ts";
import { allEnded, type Member, startMember } from "./cluster.ts";
import { corner, SHARED } from "./places.ts";
import { report, scale, testStores } from "./scale.ts";

const KILLS = scale(2, 10);
const CALLS = scale(200, 4_000);

afterAll(killLeftovers);

type Shown = {
  readonly id: number;
  readonly status: string;
  readonly version: number;
  readonly name: string;
};
const stateOf = ({ status, version, name }: Shown): string => `${status}, version ${version}, "${name}"`;

/** Creates, edits and deletes tasks at random; resolves with the number of successful calls. */
async function callAtRandom(url: string, seed: number, onCall: () => void): Promise<number> {
  const draw = createRandom(seed);
  const ids: number[] = [];
  let done = 0;
  const some = (): number | undefined => ids[Math.floor(draw() * ids.length)];
  const call = async (method: string, path: string, body?: object): Promise<Response> => {
    const response = await fetch(`${url}/api/task${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: JSON_BODY }),
    });
    if (response.ok) done++;
    return response;
  };
  for (let at = 0; at < CALLS; at++) {
    const drawn = draw();
    const id = some();
    if (drawn < 0.5 || id === undefined) {
      const response = await call("POST", "", { name: `created by call ${at}` });
      ids.push(((await response.json()) as { task_id: number }).task_id); // api.test.ts checks the form
    } else if (drawn < 0.8) await call("PATCH", `/${id}`, { name: `edited by call ${at}` });
    else await call("DELETE", `/${id}`);
    onCall();
  }
  return done;
}

const JSON_BODY = { "content-type": "application/json" };

/** A client that reconnects with the id of its last event when its stream ends. */
async function followThroughout(server: Member) {
  const clients: EventsClient[] = [await openEvents(server.url)];
  const latest = (): EventsClient => clients.at(-1) as EventsClient; // there is at least one

  return {
    latest,
    comeBack: async () => {
      await eventually(
        () => latest().isOver,
        (isOver) => isOver,
      );
      clients.push(await openEvents(server.url, { lastEventId: latest().lastEventId }));
    },
    events: (): readonly SeenEvent[] => clients.flatMap(({ events }) => events),
    view: (): View => {
      const view = new Map<number, string>();
      for (const { event, data } of clients.flatMap(({ events }) => events)) {
        if (event === "deleted") view.delete(Number(data.id));
        else view.set(Number(data.id), stateOf(data as Shown)); // events.test.ts checks the form
      }
      return view;
    },
  };
}

async function storedView(url: string): Promise<View> {
  const tasks = (await (await fetch(`${url}/api/task?view=full`)).json()) as Shown[];
  return new Map(tasks.map((task) => [task.id, stateOf(task)]));
}

testStores(
  SHARED,
  "a client of one process receives the changes of the others to the last state, through kills of that process",
  async (name) => {
    const place = corner(name);
    const common = { STORE_URL: place.storeUrl, LEASE: "1s" };
    const work = { SIMULATE_MIN: "1ms", SIMULATE_MAX: "300ms", WORKER_CONCURRENCY: "20" };
    const [streaming, writing, working] = await Promise.all([
      startMember({ ...common, ROLE: "api" }),
      startMember({ ...common, ROLE: "api" }),
      startMember({ ...common, ...work, ROLE: "worker" }),
    ]);
    const client = await followThroughout(streaming);

    let answered = 0;
    const doing = callAtRandom(writing.url, 20_260_102, () => void answered++);
    for (let kill = 1; kill <= KILLS; kill++) {
      await eventually(
        () => answered,
        (count) => count >= (kill * CALLS) / (KILLS + 1),
      );
      await streaming.kill();
      await streaming.start();
      await client.comeBack();
    }
    const done = await doing;
    await allEnded(writing.url);

    const stored = await storedView(writing.url);
    expect(stored.size).toBeGreaterThan(0);
    await eventually(
      () => faultsOfView(client.view(), stored),
      (faults) => faults.length === 0,
    );
    expect(client.events().filter(({ event }) => event === "reset")).toEqual([]);
    client.latest().close();
    for (const member of [streaming, writing, working]) expect(await member.stop()).toBe(0);
    report(`events through kills, ${name}`, { kills: KILLS, calls: done, events: client.events().length });
    await place.remove();
  },
);
