/** One event stream per browser over plain http, where pages have no Web Locks: exactly one tab reads, however tabs end. */
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

/** Opens this number of tabs in one browser on the page of the task, one after the other. */
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

/** A change by the API appears in all tabs. */
async function expectLive(tabs: readonly Tab[], name: string): Promise<void> {
  await client.edit(id, { name });
  for (const { page } of tabs) await page.getByRole("heading", { name }).waitFor();
}

test("seven tabs, more than the browser's connection limit, are all live, and one of them reads", async () => {
  const { tabs, oneReader, close } = await openTabs(7);
  expect(await tabs[0]?.page.evaluate(() => isSecureContext)).toBe(false);
  await oneReader(tabs);
  await expectLive(tabs, "seen by seven");
  await close();
});

test("after the reading tab is closed, another tab reads and misses no event", async () => {
  const { tabs, oneReader, close } = await openTabs(2);
  const reader = await oneReader(tabs);
  const others = tabs.filter((tab) => tab !== reader);
  await reader.page.close();
  await expectLive(others, "after a close");
  await oneReader(others);
  await close();
});

test("after the reading tab opens another site, another tab reads, and the first one takes part again when it returns", async () => {
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

test("after the reading tab crashes, another tab reads and misses no event", async () => {
  const { tabs, oneReader, close } = await openTabs(2);
  const reader = await oneReader(tabs);
  const others = tabs.filter((tab) => tab !== reader);
  const crashed = reader.page.waitForEvent("crash");
  reader.page.goto("chrome://crash").catch(() => undefined); // the navigation never finishes
  await crashed;
  await expectLive(others, "after a crash");
  await oneReader(others);
  await close();
});

/**
 * Stops the tab's scripts, timers and messages, as a browser does with a background tab. An automated browser treats all its tabs as
 * visible and freezes none, so the debugger stops the tab and the test sends the event. Resolves with a function that resumes the tab.
 */
async function freeze({ page }: Tab, { isAnnounced }: { readonly isAnnounced: boolean }) {
  const session = await page.context().newCDPSession(page);
  await session.send("Debugger.enable");
  if (isAnnounced) await page.evaluate(() => document.dispatchEvent(new Event("freeze")));
  const isPaused = new Promise((resolve) => session.once("Debugger.paused", resolve));
  await session.send("Debugger.pause");
  page.evaluate(() => undefined).catch(() => undefined); // the debugger stops at the next script
  await isPaused;
  return async (): Promise<void> => {
    await session.send("Debugger.resume");
    await session.detach();
    if (isAnnounced) await page.evaluate(() => document.dispatchEvent(new Event("resume")));
  };
}

for (const isAnnounced of [true, false]) {
  test(`after the reading tab is frozen${isAnnounced ? "" : " without notice"}, another tab reads, also after the first one resumes`, async () => {
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
