/** One stream of events a browser over plain http, where a page has no Web Locks: however its tabs end, one of them reads. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { type Client, createClient } from "../../src/client/client.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { launchBrowser, PLAIN_HOST, type TestBrowser } from "../support/browser.ts";
import { eventually } from "../support/eventually.ts";

let app: RunningApp;
let browser: TestBrowser;
let client: Client;
let address: string;
let id: number;

beforeAll(async () => {
  app = await startApp({ ROLE: "api", ALLOWED_HOSTS: PLAIN_HOST });
  client = createClient(app.url);
  address = app.url.replace("127.0.0.1", PLAIN_HOST);
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  await app?.stop();
});
beforeEach(async () => {
  id = (await client.create({ name: "shared" })).id;
});

type Tab = { readonly page: Page; readonly isReading: () => boolean };

/** Opens so many tabs of one browser on the page of the task, one after the other. */
async function openTabs(count: number) {
  const shown = await browser.open("about:blank");
  const tabs: Tab[] = [];
  for (let n = 0; n < count; n++)
    tabs.push(await openTab(n === 0 ? shown.page : await shown.page.context().newPage()));
  const oneReader = async (among: readonly Tab[]): Promise<Tab> => {
    const readers = () => among.filter(({ isReading }) => isReading());
    const [reader] = await eventually(readers, ({ length }) => length === 1);
    if (reader === undefined) throw new Error("no tab reads");
    return reader;
  };
  return { tabs, oneReader, close: () => shown.page.context().close() };
}

async function openTab(page: Page): Promise<Tab> {
  const streams = new Set<object>();
  const isStream = (request: { url(): string }): boolean => request.url().includes("/api/events");
  page.on("request", (request) => isStream(request) && streams.add(request));
  for (const end of ["requestfinished", "requestfailed"] as const)
    page.on(end as "requestfailed", (request) => streams.delete(request));
  page.on("crash", () => streams.clear());
  page.on("close", () => streams.clear());
  await page.goto(`${address}/tasks/${id}`);
  await page.getByRole("heading", { name: "shared" }).waitFor();
  return { page, isReading: () => streams.size > 0 };
}

/** What happens elsewhere is seen in all of them. */
async function expectLive(tabs: readonly Tab[], name: string): Promise<void> {
  await client.edit(id, { name });
  for (const { page } of tabs) await page.getByRole("heading", { name }).waitFor();
}

test("seven tabs, more than a browser has connections for, are all live, and one of them reads", async () => {
  const { tabs, oneReader, close } = await openTabs(7);
  expect(await tabs[0]?.page.evaluate(() => isSecureContext)).toBe(false);
  await oneReader(tabs);
  await expectLive(tabs, "seen by seven");
  await close();
});

test("when the tab that reads is closed another one reads, and misses nothing", async () => {
  const { tabs, oneReader, close } = await openTabs(2);
  const reader = await oneReader(tabs);
  const others = tabs.filter((tab) => tab !== reader);
  await reader.page.close();
  await expectLive(others, "after a close");
  await oneReader(others);
  await close();
});

test("when the tab that reads goes to another site another one reads, and it takes part again when it comes back", async () => {
  const { tabs, oneReader, close } = await openTabs(2);
  const reader = await oneReader(tabs);
  const others = tabs.filter((tab) => tab !== reader);
  await reader.page.goto("about:blank");
  await expectLive(others, "after it was left");
  await reader.page.goBack();
  await expectLive(tabs, "after it came back");
  await oneReader(tabs);
  await close();
});

test("when the tab that reads crashes another one reads, and misses nothing", async () => {
  const { tabs, oneReader, close } = await openTabs(2);
  const reader = await oneReader(tabs);
  const others = tabs.filter((tab) => tab !== reader);
  const crashed = reader.page.waitForEvent("crash");
  reader.page.goto("chrome://crash").catch(() => undefined); // it never arrives
  await crashed;
  await expectLive(others, "after a crash");
  await oneReader(others);
  await close();
});

/**
 * Stops the tab's scripts, timers and messages, as a browser does with a tab that nobody looks at. A driven browser takes all its
 * tabs for visible and freezes none itself, so the debugger stops the tab and the test sends the event. Resolves with how to go on.
 */
async function freeze({ page }: Tab, { isAnnounced }: { readonly isAnnounced: boolean }) {
  const session = await page.context().newCDPSession(page);
  await session.send("Debugger.enable");
  if (isAnnounced) await page.evaluate(() => document.dispatchEvent(new Event("freeze")));
  const isPaused = new Promise((resolve) => session.once("Debugger.paused", resolve));
  await session.send("Debugger.pause");
  page.evaluate(() => undefined).catch(() => undefined); // the next script is where it stops
  await isPaused;
  return async (): Promise<void> => {
    await session.send("Debugger.resume");
    await session.detach();
    if (isAnnounced) await page.evaluate(() => document.dispatchEvent(new Event("resume")));
  };
}

for (const isAnnounced of [true, false]) {
  test(`when the tab that reads is frozen${isAnnounced ? "" : " without notice"} another one reads, until it goes on and after`, async () => {
    const { tabs, oneReader, close } = await openTabs(2);
    const reader = await oneReader(tabs);
    const others = tabs.filter((tab) => tab !== reader);
    const goOn = await freeze(reader, { isAnnounced });
    await expectLive(others, "while it is frozen");
    const successor = await oneReader(others);
    await goOn();
    await expectLive(tabs, "after it went on");
    expect(await oneReader(tabs)).toBe(successor);
    await close();
  });
}
