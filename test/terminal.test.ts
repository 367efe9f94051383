/** The program in a real terminal; the tests read the screen. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, createWorker } from "../src/client/client.ts";
import { eventually } from "./support/eventually.ts";
import { killLeftovers, tasktrack } from "./support/server-process.ts";
import { freePort } from "./support/servers/runner.ts";
import { openTmux, type Tmux } from "./support/tmux.ts";

const SERVER = { HTTP_HOST: "127.0.0.1", HTTP_PORT: "0", SHUTDOWN_GRACE: "0s", DISPATCH_INTERVAL: "0s" };
const HOSTILE = "\u001b[2J\u001b[31m\u202e 日本語 👨‍👩‍👧 é \u0007";

/** `slow`: a server whose tasks never end. `quick`: a server whose tasks are run by a worker of the test. */
let [slow, quick, home] = ["", "", ""];
let worker: ReturnType<typeof createWorker>;
/** The tasks with these names end when the promise resolves. Other tasks end at once. */
const ends = { bar: Promise.withResolvers<void>(), plain: Promise.withResolvers<void>() };
beforeAll(async () => {
  const forEver = { SIMULATE_MIN: "1h", SIMULATE_MAX: "1h", WORKER_CONCURRENCY: "3" };
  slow = await tasktrack(["serve"], { env: { ...SERVER, ...forEver } }).url();
  quick = await tasktrack(["serve"], { env: { ...SERVER, ROLE: "api" } }).url();
  worker = createWorker({
    ...{ url: quick, name: "terminal", concurrency: 10 },
    handlers: {
      simulate: async ({ name }, { progress }) => {
        progress(40, "simulating");
        if (name === "bar" || name === "plain") await ends[name].promise;
      },
    },
  });
  worker.start();
  home = await mkdtemp(join(tmpdir(), "tasktrack-terminal-"));
  const client = createClient(slow);
  await client.createMany(
    Array.from({ length: 100 }, (_, n) => ({ name: `${n} ${HOSTILE}`.repeat(n % 5) || "x" })),
  );
  for (let id = 90; id <= 100; id++) await client.cancel(id);
  await eventually(
    () => client.stats(),
    ({ counts }) => counts.running === 3,
  );
});
afterAll(async () => {
  await worker.stop(0);
  killLeftovers();
  await rm(home, { recursive: true });
});

const open: Tmux[] = [];
afterEach(() => {
  for (const tmux of open.splice(0)) tmux.close();
});

async function terminal(url: string, { columns = 80, rows = 24, env = {} } = {}): Promise<Tmux> {
  const tmux = await openTmux({ columns, rows, env: { TASKTRACK_URL: url, ...env } });
  open.push(tmux);
  return tmux;
}

const shows = (text: string) => (screen: readonly string[]) => screen.some((line) => line.includes(text));

/** Waits for the exit code of the previous program. */
async function exitCode(tmux: Tmux): Promise<number> {
  tmux.run("echo CODE=$?");
  const screen = await tmux.until((lines) => lines.some((line) => /^CODE=\d+$/.test(line)));
  return Number(screen.findLast((line) => line.startsWith("CODE="))?.slice(5));
}

const SIZES = [
  [80, 24],
  [200, 50],
] as const;
const COLOURS = [
  ["with colour", {}],
  ["without", { NO_COLOR: "1" }],
] as const;
const CASES = SIZES.flatMap(([columns, rows]) =>
  COLOURS.map(([how, env]) => [`${columns}x${rows} ${how}`, { columns, rows, env }] as const),
);

/** The rows of the table, below its titles. */
const rowsOf = (screen: readonly string[]): string[] =>
  screen.slice(screen.findIndex((line) => /^ *ID {2}STATUS /.test(line)) + 1);

describe("the live table", () => {
  test.each(CASES)("fills a terminal of %s", async (_, size) => {
    const tmux = await terminal(slow, size);
    tmux.run("tasktrack watch");
    const screen = await tmux.until(
      (lines) => rowsOf(lines).length === size.rows - 4 && shows(" cancelled")(lines),
    );
    expect(screen).toHaveLength(size.rows);
    expect(screen[0]).toBe("3 running, 86 pending, 0 done, 0 failed, 11 cancelled");
    expect(screen[1]).toStartWith(`${slow}, 1 worker`);
    const statuses = rowsOf(screen).map((line) => /^ *\d+ {2}(\w+) /.exec(line)?.[1]);
    const inOrder = ["running", "pending", "cancelled"].flatMap((status) =>
      statuses.filter((one) => one === status),
    );
    expect(statuses).toEqual(inOrder);
    for (const line of screen) expect(Bun.stringWidth(line)).toBeLessThan(size.columns);
    const hasColour = tmux.coloured().includes("\u001b[3");
    expect(hasColour).toBe(Object.keys(size.env).length === 0);
    expect(tmux.state()).toEqual({ isOtherScreen: true, isCursorShown: false });

    tmux.press("C-c");
    await tmux.until(shows("$ tasktrack watch")); // the screen as it was before
    expect(await exitCode(tmux)).toBe(130);
    expect(tmux.state()).toEqual({ isOtherScreen: false, isCursorShown: true });
  });

  test("shows hostile texts without their control characters", async () => {
    const tmux = await terminal(slow, { columns: 200, rows: 50 });
    tmux.run("tasktrack watch");
    const screen = await tmux.until((lines) => shows("\\x1b[2J\\x1b[31m\\u202e 日本語")(lines));
    expect(screen[0]).toStartWith("3 running");
  });

  test("follows the size of the terminal", async () => {
    const tmux = await terminal(slow);
    tmux.run("tasktrack watch");
    await tmux.until((lines) => rowsOf(lines).length === 20);
    for (const [columns, rows] of [
      [50, 12],
      [160, 40],
      [30, 6],
      [80, 24],
    ] as const) {
      tmux.resize(columns, rows);
      const screen = await tmux.until(
        (lines) =>
          lines.length === rows && rowsOf(lines).length === rows - 4 && /^ *\d+ /.test(lines.at(-1) ?? ""),
      );
      for (const line of screen) expect(Bun.stringWidth(line)).toBeLessThan(columns);
      expect(screen[0]).toStartWith("3 running, 86 pending");
    }
  });

  test("fills a terminal that grew after the last read", async () => {
    const tmux = await terminal(slow);
    tmux.resize(100, 6);
    tmux.run("tasktrack watch");
    const ages = new Set<string>(); // the ages change every second; after two seconds the last read for so few rows is over
    await tmux.until((lines) => {
      if (rowsOf(lines).length === 2) ages.add(lines[1] ?? "");
      return ages.size === 5;
    });
    tmux.resize(80, 24);
    await tmux.until((lines) => lines.length === 24 && rowsOf(lines).length === 20);
  });

  test("shows changes as they come, filtered by --type and --status", async () => {
    const client = createClient(slow);
    const tmux = await terminal(slow);
    tmux.run("tasktrack watch --type 'live.*' --status pending");
    await tmux.until(shows("ID  STATUS"));
    const { id } = await client.create({ name: "it comes", type: "live.x" });
    const screen = await tmux.until(shows("it comes"));
    expect(rowsOf(screen)).toHaveLength(1);
    await client.edit(id, { name: "it is renamed" });
    await tmux.until(shows("it is renamed"));
    await client.remove(id);
    await tmux.until((lines) => !shows("it is renamed")(lines));
  });

  test("reports when the server does not answer, and continues when it does again", async () => {
    const port = String(await freePort());
    const env = { ...SERVER, HTTP_PORT: port, STORE_URL: `sqlite:${join(home, "away.db")}` };
    const first = tasktrack(["serve"], { env });
    const url = await first.url();
    await createClient(url).create({ name: "it stays", type: "absent" });
    const tmux = await terminal(url);
    tmux.run("tasktrack watch");
    await tmux.until(shows("it stays"));
    first.kill("SIGKILL");
    await tmux.until((lines) => shows("has not answered for")(lines) && shows("it stays")(lines));
    await tasktrack(["serve"], { env }).url();
    await createClient(url).create({ name: "it is new", type: "absent" });
    await tmux.until((lines) => shows("it is new")(lines) && !shows("has not answered")(lines));
  });
});

describe("a progress bar", () => {
  test("is drawn in place until the end, whatever the size of the terminal, coloured or not", async () => {
    const begun = CASES.map(([_, size]) => showsItsBar(size));
    const follow = await Promise.all(begun);
    ends.bar.resolve();
    await Promise.all(follow.map((toTheEnd) => toTheEnd()));
  });

  /** Resolves when the bar is seen, with how to follow it to its end. */
  async function showsItsBar(size: (typeof CASES)[number][1]): Promise<() => Promise<void>> {
    const tmux = await terminal(quick, size);
    tmux.run("tasktrack add bar --wait");
    const BAR = /^Task \d+ \[#+-+\] {2}\d\d% \d\S*s simulating$/;
    const screen = await tmux.until((lines) => lines.some((line) => BAR.test(line)));
    expect(screen.filter((line) => line.includes("["))).toHaveLength(1);
    for (const line of screen) expect(Bun.stringWidth(line)).toBeLessThan(size.columns);
    expect(tmux.coloured().includes("\u001b[3")).toBe(Object.keys(size.env).length === 0);
    return () => hasEnded(tmux);
  }

  async function hasEnded(tmux: Tmux): Promise<void> {
    const end = await tmux.until(shows("done in"));
    const id = /^Task (\d+) created$/m.exec(end.join("\n"))?.[1];
    expect(end[1]).toBe(`Task ${id} created`);
    expect(end[2]).toMatch(new RegExp(`^Task ${id} done in \\S+s$`));
    expect(end.some((line) => line.includes("["))).toBe(false);
    expect(await exitCode(tmux)).toBe(0);
    expect(tmux.state().isCursorShown).toBe(true);
  }

  test("there is one for each of several tasks; ended tasks are above", async () => {
    const client = createClient(slow);
    const ids = await client.createMany([
      { name: "a", type: "absent" },
      { name: "b", type: "absent" },
      { name: "c", type: "absent" },
    ]);
    const tmux = await terminal(slow);
    tmux.run(`tasktrack watch ${ids.join(" ")}`);
    await tmux.until(shows(`Task ${ids[2]} pending`));
    await client.cancel(ids[1] ?? 0);
    const screen = await tmux.until((lines) => lines[1] === `Task ${ids[1]} cancelled`);
    expect(screen.slice(2, 4)).toEqual([`Task ${ids[0]} pending`, `Task ${ids[2]} pending`]);
    await client.remove(ids[0] ?? 0);
    await client.cancel(ids[2] ?? 0);
    expect(await exitCode(tmux)).toBe(4);
  });

  test("is redrawn in place when the terminal becomes narrower", async () => {
    const tmux = await terminal(slow, { columns: 100, rows: 24 });
    const running = (await createClient(slow).page({ status: "running" })).tasks[0]?.id;
    tmux.run(`tasktrack watch ${running}`);
    await tmux.until(shows(`Task ${running} [---`));
    tmux.resize(30, 24);
    const screen = await tmux.until((lines) =>
      lines.some((line) => /^Task \d+ \[-{5,15}\] +0% \S+$/.test(line)),
    );
    expect(screen.filter((line) => line.startsWith(`Task ${running} `))).toHaveLength(1);
  });

  test("stays visible after a Ctrl-C, with the command to watch again", async () => {
    const tmux = await terminal(slow);
    const running = (await createClient(slow).page({ status: "running" })).tasks[0]?.id;
    tmux.run(`tasktrack watch ${running}`);
    await tmux.until(shows(`Task ${running} [---`));
    tmux.press("C-c");
    const screen = await tmux.until(shows(`watch again with: tasktrack watch ${running}`));
    expect(screen.filter((line) => line.startsWith(`Task ${running} [---`))).toHaveLength(1);
    expect(await exitCode(tmux)).toBe(130);
    expect(tmux.state().isCursorShown).toBe(true);
  });

  test("is plain lines on a dumb terminal", async () => {
    const tmux = await terminal(quick, { env: { TERM: "dumb" } });
    tmux.run("tasktrack add plain --wait");
    await tmux.until((screen) => screen.some((line) => /^Task \d+ running \d+% simulating$/.test(line)));
    ends.plain.resolve();
    await tmux.until(shows("done in"));
    expect(tmux.coloured()).not.toInclude("\u001b[3");
  });
});

describe("other output", () => {
  test.each(SIZES)("a list fits into %p columns", async (columns) => {
    const tmux = await terminal(slow, { columns, rows: 60 });
    tmux.run("tasktrack list --sort id");
    const screen = await tmux.until((lines) => shows("there are more than these 50")(lines));
    const first = screen.findIndex((line) => line.includes("STATUS"));
    expect(screen.slice(first + 1, first + 51).map((line) => Number(/^ *(\d+) /.exec(line)?.[1]))).toEqual(
      Array.from({ length: 50 }, (_, at) => at + 1),
    );
    for (const line of screen) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns);
  });

  test("a file gets no control character, although there is a terminal", async () => {
    const tmux = await terminal(quick);
    tmux.run(
      `cd ${home}; tasktrack add piped --wait > add.txt; tasktrack watch > watch.txt & sleep 0; wait %1 2>/dev/null`,
    );
    await eventually(
      () => readFile(join(home, "add.txt"), "utf8").catch(() => ""),
      (text) => text.includes("done in"),
    );
    await eventually(
      async () => {
        await createClient(quick).create({ name: HOSTILE, type: "absent" });
        return readFile(join(home, "watch.txt"), "utf8").catch(() => "");
      },
      (text) => text.includes("pending"),
    );
    tmux.press("C-c");
    tmux.run("kill %1");
    for (const file of ["add.txt", "watch.txt"]) {
      expect((await readFile(join(home, file), "utf8")).replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
    }
  });

  test("a command that chooses tasks by flags asks, and only a yes continues", async () => {
    const client = createClient(slow);
    await client.createMany([
      { name: "x", type: "asked" },
      { name: "y", type: "asked" },
    ]);
    const tmux = await terminal(slow);
    for (const [answer, output, code] of [
      ["", "tasktrack: nothing was done", 1],
      ["no", "tasktrack: nothing was done", 1],
      ["y", "2 tasks deleted", 0],
    ] as const) {
      // Clears the previous question: otherwise the test would type the answer before the new question appears.
      tmux.run("clear");
      await tmux.until((screen) => !shows("(y/N)")(screen));
      tmux.run("tasktrack remove --type asked");
      await tmux.until(shows("remove 2 tasks? (y/N)"));
      tmux.run(answer);
      await tmux.until(shows(output));
      expect(await exitCode(tmux)).toBe(code);
    }
    expect((await client.page({ type: "asked" })).tasks).toEqual([]);
  });
});
