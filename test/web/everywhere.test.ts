/** Rules of every page: keyboard access, reduced motion, colour schemes, and server errors. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Client, createClient } from "../../src/client/client.ts";
import { problemResponse } from "../../src/http/problem-response.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { eventually } from "../support/eventually.ts";

let app: RunningApp;
let browser: TestBrowser;
let client: Client;

beforeAll(async () => {
  app = await startApp({ SIMULATE_MIN: "1h", SIMULATE_MAX: "1h" });
  client = createClient(app.url);
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  await app?.stop();
});

test("the first Tab focuses the link that skips to the content", async () => {
  const { page, close } = await browser.open(`${app.url}/new`);
  await page.getByRole("heading", { name: "New task" }).waitFor();
  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to the content" });
  expect(await skip.evaluate((link) => link === document.activeElement)).toBe(true);
  expect((await skip.boundingBox())?.y).toBeGreaterThanOrEqual(0); // it is visible
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement?.closest("main") !== null)).toBe(true);
  expect(new URL(page.url()).pathname).toBe("/new");
  await close();
});

for (const [reducedMotion, count] of [
  ["no-preference", 1],
  ["reduce", 0],
] as const) {
  test(`with prefers-reduced-motion: ${reducedMotion} the icon of a running task makes ${count} animated turns`, async () => {
    const { id } = await client.create({ name: `turns ${reducedMotion}` });
    const { page, close } = await browser.open(`${app.url}/tasks`, { reducedMotion });
    const badge = page.getByRole("row").filter({ hasText: `turns ${reducedMotion}` });
    await badge.getByText("Running").waitFor();
    expect(await badge.evaluate((row) => row.getAnimations({ subtree: true }).length)).toBe(count);
    await client.cancel(id);
    await close();
  });
}

test("an open page follows the system's colour scheme", async () => {
  const { page, close } = await browser.open(`${app.url}/tasks`);
  await page.getByRole("heading", { name: "Tasks", exact: true }).waitFor();
  const background = (): Promise<string> =>
    page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();
  await page.emulateMedia({ colorScheme: "dark" });
  expect(await background()).not.toBe(light);
  await close();
});

test("an unknown address shows an accessible error page with a link to the tasks", async () => {
  const { page, close, faultsInBothSchemes } = await browser.open(`${app.url}/nothing/here`);
  await page.getByText("There is nothing at /nothing/here").waitFor();
  expect(await faultsInBothSchemes()).toEqual([]);
  await page.getByRole("link", { name: "Go to the tasks" }).click();
  await page.getByRole("heading", { name: "Tasks", exact: true }).waitFor();
  await close();
});

const NOW = Date.UTC(2026, 0, 1);
const HOUR_MS = 3_600_000;
const AWAY = { code: "store_unavailable", message: "The store does not answer" } as const;

/** Opens a page while the store does not answer, with a clock that only the test moves, and waits for the error. */
async function openWhileAway(path: string, asks: string) {
  const shown = await browser.open("about:blank");
  const { page } = shown;
  // The page retries before it shows an error, and the overview polls every two seconds.
  await page.clock.install({ time: NOW });
  await page.clock.pauseAt(NOW + HOUR_MS); // later than the current time, however long the previous call took
  await page.route(asks, async (route) => {
    const answer = problemResponse(AWAY, "ab12-7", {});
    const [status, headers] = [answer.status, Object.fromEntries(answer.headers)];
    await route.fulfill({ status, headers, body: await answer.text() });
  });
  await page.goto(app.url + path);
  const alert = page.getByRole("alert");
  /** The number of error sentences after the given time. */
  const alertsAfter = async (ms: number): Promise<number> => {
    await page.clock.runFor(ms);
    return alert.count();
  };
  await eventually(
    () => alertsAfter(500),
    (count) => count === 1,
  );
  return { ...shown, alert, alertsAfter, close: () => page.context().close() };
}

for (const [path, asks] of [
  ["/tasks", "**/api/task?*"],
  ["/tasks/1", "**/api/task/1"],
  ["/overview", "**/api/stats"],
] as const) {
  test.concurrent(`${path} shows that the store is away, and loads after "Try again"`, async () => {
    await client.create({ name: "kept" });
    const { page, close, faults, alert, alertsAfter } = await openWhileAway(path, asks);
    await alert.getByText("The store does not answer").waitFor();
    await alert.getByText("Request ID: ab12-7").waitFor();
    await page.clock.resume(); // axe uses timers
    expect(await faults()).toEqual([]);
    await page.clock.pauseAt(NOW + 2 * HOUR_MS);
    await page.unroute(asks);
    await alert.getByRole("button", { name: "Try again" }).click();
    // The click joins a request of the page that waits for its next retry, so the clock must also reach that retry.
    await eventually(
      () => alertsAfter(500),
      (count) => count === 0,
    );
    await close();
  });
}

for (const [path, asks] of [
  ["/tasks/1", "**/api/task/1"],
  ["/overview", "**/api/stats"],
] as const) {
  test(`${path} keeps the error sentence while it polls again`, async () => {
    await client.create({ name: "kept" });
    const { page, close, alert, alertsAfter } = await openWhileAway(path, asks);
    const { promise: isAsking, resolve: asksAgain } = Promise.withResolvers<void>();
    await page.route(asks, () => asksAgain()); // the request never gets an answer
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange", { bubbles: true })));
    await isAsking;
    expect(await alertsAfter(100)).toBe(1);
    await alert.getByRole("button", { name: "Try again" }).waitFor();
    await close();
  });
}
