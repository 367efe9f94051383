/** The processor time that compression of answers costs, and the bytes that it saves: the same answers with and without gzip, in turns. */
import { cpuSeconds } from "./machine.ts";
import { figure, median, printTable, type Verdict } from "./report.ts";
import { type Server, startTasktrack, stop } from "./servers.ts";

type Size = { readonly rounds: number; readonly requests: number };
type Coding = "identity" | "gzip";
type Sample = { readonly bytes: number; readonly serverMs: number };

const FULL: Size = { rounds: 5, requests: 4_000 };
const QUICK: Size = { rounds: 1, requests: 100 };
const TASKS = 5_000;
const AT_ONCE = 16;
/** A task with a payload of some lines, of a usual size. */
const WORDS =
  "encode the lecture for phones with subtitles and three sizes then upload and tell the editors".split(" ");

/** The answers, and the share of FULL requests for each: long answers take long. */
const ANSWERS = [
  ["a task", "/api/task/1", 1],
  ["a page of 50 tasks", "/api/task?limit=50", 0.5],
  ["a page of 50 whole tasks", "/api/task?limit=50&view=full", 0.25],
  ["a page of 1,000 tasks", "/api/task?limit=1000", 0.05],
  ["a list of 5,000 tasks", "/api/task", 0.02],
] as const;

async function fill({ port }: Server): Promise<void> {
  for (let made = 0; made < TASKS; made += 500) {
    const tasks = Array.from({ length: 500 }, (_, n) => ({
      name: `Encode lecture ${made + n}`,
      type: "video.encode",
      tags: ["nightly", `course-${n % 17}`],
      payload: Array.from({ length: 40 }, (_, at) => ({
        word: WORDS[(n + at * 7) % WORDS.length],
        id: n * at,
      })),
    }));
    await fetch(`http://127.0.0.1:${port}/api/task`, { method: "POST", body: JSON.stringify(tasks) });
  }
}

/** Requests the path this number of times, several at once; returns the server's processor time per answer. */
async function sample(
  { port, pid }: Server,
  path: string,
  coding: Coding,
  requests: number,
): Promise<Sample> {
  const init = { headers: { "accept-encoding": coding }, decompress: false } as RequestInit;
  const before = cpuSeconds(pid);
  let [asked, bytes] = [0, 0];
  const ask = async (): Promise<void> => {
    while (asked < requests) {
      asked += 1;
      const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
      const isZipped = response.headers.get("content-encoding") === "gzip";
      if (response.status !== 200 || isZipped !== (coding === "gzip"))
        throw new Error(`${path} was answered otherwise`);
      bytes = (await response.arrayBuffer()).byteLength;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, ask));
  return { bytes, serverMs: ((cpuSeconds(pid) - before) * 1_000) / requests };
}

export const compression = async (quick: boolean): Promise<Verdict[]> => {
  const { rounds, requests } = quick ? QUICK : FULL;
  const server = await startTasktrack({ ROLE: "api" });
  await fill(server);
  const rows: string[][] = [["", "KB", "by gzip", "server ms", "by gzip", "more ms"]];
  for (const [name, path, share] of ANSWERS) {
    const samples: Record<Coding, Sample[]> = { identity: [], gzip: [] };
    const each = Math.ceil(requests * share);
    for (const coding of ["identity", "gzip"] as const) await sample(server, path, coding, each); // warm-up
    for (let round = 0; round < rounds; round += 1)
      for (const coding of ["identity", "gzip"] as const)
        samples[coding].push(await sample(server, path, coding, each));
    const bytes = (coding: Coding): number => (samples[coding][0]?.bytes ?? Number.NaN) / 1e3;
    const ms = (coding: Coding): number => median(samples[coding].map(({ serverMs }) => serverMs));
    rows.push([
      name,
      ...[bytes("identity"), bytes("gzip"), ms("identity"), ms("gzip"), ms("gzip") - ms("identity")].map(
        figure,
      ),
    ]);
  }
  await stop(server);
  printTable(rows);
  return [];
};
