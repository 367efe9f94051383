/** Create and get over HTTP: TaskTrack, a bare Bun.serve, and Gin, each on one core. */
import { isBuilt } from "./go.ts";
import { figure, median, printTable, spread, type Verdict } from "./report.ts";
import { type Loaded, load, type Server, startBare, startGin, startTasktrack, stop } from "./servers.ts";

type Kind = "create" | "get" | "brief";
type Side = { readonly name: string; readonly start: () => Promise<Server>; readonly kinds: readonly Kind[] };
type Measured = { readonly side: string; readonly kind: Kind; readonly loads: Loaded[] };
type Size = {
  readonly rounds: number;
  readonly warmUp: number;
  readonly creates: number;
  readonly gets: number;
};

const FULL: Size = { rounds: 6, warmUp: 60_000, creates: 200_000, gets: 300_000 };
const QUICK: Size = { rounds: 3, warmUp: 10_000, creates: 40_000, gets: 40_000 };

const TASKTRACK = "TaskTrack";
const BARE = "bare Bun.serve";
const GIN = "Gin";

const fieldsOfATask = async (server: Server): Promise<string> => {
  const base = `http://127.0.0.1:${server.port}`;
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ name: "probe", description: "which fields are answered" });
  const created = await fetch(`${base}/api/task`, { method: "POST", headers, body });
  const { task_id } = (await created.json()) as { task_id: number };
  const task = await fetch(`${base}/api/task/${task_id}`);
  return Object.keys((await task.json()) as object).join(" ");
};

/** A server that answers with fewer fields has less to do, so such a comparison prints no number. */
const demandSameAnswers = async (sides: readonly Side[]): Promise<void> => {
  const shapes: string[] = [];
  for (const side of sides) {
    const server = await side.start();
    shapes.push(await fieldsOfATask(server));
    await stop(server);
  }
  const other = sides.findIndex((_, index) => shapes[index] !== shapes[0]);
  if (other >= 0) {
    throw new Error(
      `${sides[other]?.name} answers other fields than ${sides[0]?.name}:\n${shapes[other]}\n${shapes[0]}`,
    );
  }
};

/** A fixed number of requests, not of seconds, so that all sides store the same number of tasks. */
const measureOnce = async (side: Side, size: Size, measured: readonly Measured[]): Promise<void> => {
  const server = await side.start();
  await load(server, { kind: "create", requests: size.warmUp });
  await load(server, { kind: "get", requests: size.warmUp, ids: size.warmUp });
  for (const kind of side.kinds) {
    const requests = kind === "create" ? size.creates : size.gets;
    const loaded = await load(server, { kind, requests, ids: size.warmUp + size.creates });
    measured.find((entry) => entry.side === side.name && entry.kind === kind)?.loads.push(loaded);
  }
  await stop(server);
};

const rates = (measured: readonly Measured[], side: string, kind: Kind): number[] =>
  measured
    .find((entry) => entry.side === side && entry.kind === kind)
    ?.loads.map((loaded) => loaded.perSecond) ?? [];

const percent = (share: number): string => `${Math.round(share * 100)} %`;

const row = (entry: Measured, measured: readonly Measured[]): string[] => {
  const own = entry.loads.map((loaded) => loaded.perSecond);
  const tasktrack = median(rates(measured, TASKTRACK, entry.kind === "brief" ? "get" : entry.kind));
  return [
    `${entry.kind === "brief" ? "get, six fields" : entry.kind}, ${entry.side}`,
    figure(median(own)),
    spread(own),
    figure(tasktrack / median(own)),
    figure(median(entry.loads.map((loaded) => loaded.p50Ms))),
    figure(median(entry.loads.map((loaded) => loaded.p99Ms))),
    percent(median(entry.loads.map((loaded) => loaded.serverBusy))),
    percent(median(entry.loads.map((loaded) => loaded.loadBusy))),
  ];
};

const print = (measured: readonly Measured[]): void => {
  const head = [
    "",
    "requests/s",
    "lowest to highest",
    "TaskTrack / it",
    "p50 ms",
    "p99 ms",
    "server",
    "load",
  ];
  const kinds: readonly Kind[] = ["create", "get", "brief"];
  const rows = kinds.flatMap((kind) => measured.filter((entry) => entry.kind === kind));
  printTable([head, ...rows.map((entry) => row(entry, measured))]);
};

const verdict = (measured: readonly Measured[], other: string, kind: Kind, target: number): Verdict => ({
  what: `${kind}, TaskTrack / ${other}`,
  measured: median(rates(measured, TASKTRACK, kind)) / median(rates(measured, other, kind)),
  target,
  want: "at least",
  unit: "",
});

export const http = async (quick: boolean): Promise<Verdict[]> => {
  const size = quick ? QUICK : FULL;
  const withGin = isBuilt("gin", GIN);
  const sides: Side[] = [
    { name: TASKTRACK, start: () => startTasktrack(), kinds: ["create", "get"] },
    { name: BARE, start: startBare, kinds: ["create", "get"] },
  ];
  if (withGin) {
    sides.push({ name: GIN, start: startGin, kinds: ["create", "get", "brief"] });
  }
  await demandSameAnswers(sides);
  const measured = sides.flatMap(({ name, kinds }) =>
    kinds.map((kind): Measured => ({ side: name, kind, loads: [] })),
  );
  for (let round = 0; round < size.rounds; round += 1) {
    const first = round % sides.length;
    for (const side of [...sides.slice(first), ...sides.slice(0, first)]) {
      await measureOnce(side, size, measured);
    }
  }
  print(measured);
  const againstBare = [verdict(measured, BARE, "create", 0.75), verdict(measured, BARE, "get", 0.75)];
  const againstGin = [verdict(measured, GIN, "create", 1.1), verdict(measured, GIN, "get", 1.4)];
  return withGin ? [...againstBare, ...againstGin] : againstBare;
};
