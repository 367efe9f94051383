/**
 * The tasks page with a large store while tasks change. `npm test` runs a small version as a functional test. `npm run ui:load` runs
 * a realistic size and prints the time from each interaction to the next paint, and the memory of the page.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { CDPSession, Page } from "playwright-core";
import { type Client, createClient } from "../../src/client/client.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { killLeftovers, tasktrack } from "../support/server-process.ts";

const IS_FULL = process.env.UI_LOAD === "full";
const TASKS = IS_FULL ? 100_000 : 3_000;
const CHANGES_A_SECOND = 200;
const SECONDS = IS_FULL ? 300 : 1; // one round, whatever its duration
/** Only the newest tasks are edited, because these are visible. */
const CHANGING = 2_000;

let url: string;
let client: Client;
let browser: TestBrowser;

beforeAll(async () => {
  const env = { HTTP_HOST: "127.0.0.1", HTTP_PORT: "0", ROLE: "api" };
  url = await tasktrack(["serve"], { env }).url();
  client = createClient(url);
  const names = ["Encode the lecture", "Monthly report", "Newsletter", "Nightly backup"];
  for (let at = 0; at < TASKS; at += 1_000) {
    await client.createMany(
      Array.from({ length: 1_000 }, (_, n) => ({
        ...{ name: `${names[n % names.length]} ${at + n}`, type: `type.${n % 7}`, tags: [`tag-${n % 5}`] },
        payload: { n: at + n },
      })),
    );
  }
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  killLeftovers();
});

/** Edits this number of tasks a second until it is stopped; resolves with the total number of edits. */
function startChanges() {
  let isOn = true;
  let changes = 0;
  const run = async (): Promise<number> => {
    for (let tick = 0; isOn; tick++) {
      const each = Array.from({ length: CHANGES_A_SECOND / 10 }, (_, n) => {
        const id = TASKS - ((tick * 37 + n * 101) % CHANGING);
        return client.edit(id, { name: `Changed ${tick}.${id}` });
      });
      await Promise.all([...each, Bun.sleep(100)]);
      changes += each.length;
    }
    return changes;
  };
  const done = run();
  return {
    stop: (): Promise<number> => {
      isOn = false;
      return done;
    },
  };
}

declare global {
  interface Window {
    /** The longest event of each interaction, by the browser's interaction id. */
    interactions: Record<number, number>;
  }
}

/**
 * Records the time from each interaction to the next paint. The browser reports only events of 16 ms and more, in steps of 8 ms.
 */
const watchInteractions = (page: Page): Promise<void> =>
  page.evaluate(() => {
    window.interactions = {};
    const observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as PerformanceEventTiming[]) {
        const { interactionId: id, duration } = entry;
        if (id > 0) window.interactions[id] = Math.max(window.interactions[id] ?? 0, duration);
      }
    });
    observer.observe({ type: "event", durationThreshold: 16 } as PerformanceObserverInit);
  });

/** The actions of a user on the page; one round takes a few seconds. */
async function walkThrough(page: Page): Promise<void> {
  await page.mouse.move(640, 500);
  await page.mouse.wheel(0, 1_500);
  for (const key of ["j", "j", "x", "k", "Escape"]) await page.keyboard.press(key);
  await page.mouse.wheel(0, -1_500);
  await page.getByRole("button", { name: /^Pending/ }).click();
  const search = page
    .getByRole("searchbox")
    .or(page.getByPlaceholder("Search names, descriptions, payloads"));
  await search.first().click();
  await page.keyboard.type("report 12", { delay: 60 });
  await page.keyboard.press("Control+a");
  await page.keyboard.press("Delete");
  await page.getByRole("button", { name: /^All/ }).click();
  await page.getByRole("row").nth(3).getByRole("link").first().click();
  await page.getByRole("heading", { name: "Timeline" }).waitFor();
  await page.goBack();
  await page.getByRole("row").nth(3).waitFor();
}

async function heapBytes(session: CDPSession): Promise<number> {
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  return usedSize;
}

const at = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;

test(
  "the tasks page stays usable while tasks change",
  async () => {
    const shown = await browser.open(`${url}/tasks`);
    const { page } = shown;
    await page.getByRole("row").nth(3).waitFor();
    await watchInteractions(page);
    const session = await page.context().newCDPSession(page);
    const changes = startChanges();
    const heaps = [await heapBytes(session)];
    const endsAt = performance.now() + SECONDS * 1_000;
    let rounds = 0;
    while (performance.now() < endsAt) {
      await walkThrough(page);
      rounds++;
      if (heaps.length < (performance.now() - endsAt + SECONDS * 1_000) / 10_000)
        heaps.push(await heapBytes(session));
    }
    heaps.push(await heapBytes(session));
    await page
      .getByRole("link", { name: /^Changed / })
      .first()
      .waitFor(); // the visible rows change
    const changed = await changes.stop();
    const interactions = (await page.evaluate(() => Object.values(window.interactions))).sort(
      (a, b) => a - b,
    );
    if (IS_FULL) {
      const inMib = heaps.map((bytes) => Math.round(bytes / 104_857.6) / 10);
      console.log(
        `  ${changed} changes, ${Math.round(changed / SECONDS)} a second, ${rounds} rounds, ${interactions.length} interactions over 16 ms`,
      );
      console.log(
        `  to the next paint, ms: p50 ${at(interactions, 0.5)}, p75 ${at(interactions, 0.75)}, p98 ${at(interactions, 0.98)}, most ${at(interactions, 1)}`,
      );
      console.log(`  heap after collection, MiB: ${inMib.join(" ")}`);
    }
    expect(changed).toBeGreaterThan(0);
    expect(rounds).toBeGreaterThan(0);
    expect(shown.complaints()).toEqual([]);
    await shown.close();
  },
  (SECONDS + 120) * 1_000,
);
