/** What holds on every page: for who uses the keyboard, wants no motion, changes the colours, and when the server cannot answer. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Client, createClient } from "../../src/client/client.ts";
import { problemResponse } from "../../src/http/errors.ts";
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

test("the first Tab leads past the bar, into the page", async () => {
  const { page, close } = await browser.open(`${app.url}/new`);
  await page.getByRole("heading", { name: "New task" }).waitFor();
  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to the content" });
  expect(await skip.evaluate((link) => link === document.activeElement)).toBe(true);
  expect((await skip.boundingBox())?.y).toBeGreaterThanOrEqual(0); // who sees it, too
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
  test(`with prefers-reduced-motion: ${reducedMotion} a running task's badge turns ${count} times over`, async () => {
    const { id } = await client.create({ name: `turns ${reducedMotion}` });
    const { page, close } = await browser.open(`${app.url}/tasks`, { reducedMotion });
    const badge = page.getByRole("row").filter({ hasText: `turns ${reducedMotion}` });
    await badge.getByText("Running").waitFor();
    expect(await badge.evaluate((row) => row.getAnimations({ subtree: true }).length)).toBe(count);
    await client.cancel(id);
    await close();
  });
}

test("an open page follows the system's colours", async () => {
  const { page, close, faults } = await browser.open(`${app.url}/tasks`);
  await page.getByRole("heading", { name: "Tasks", exact: true }).waitFor();
  const background = (): Promise<string> =>
    page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();
  await page.emulateMedia({ colorScheme: "dark" });
  expect(await background()).not.toBe(light);
  expect(await faults()).toEqual([]);
  await close();
});

for (const [path, asks] of [
  ["/tasks", "**/api/task?*"],
  ["/tasks/1", "**/api/task/1"],
  ["/overview", "**/api/stats"],
] as const) {
  test.concurrent(`${path} says in a sentence that the store is away, and goes on when it is asked to`, async () => {
    await client.create({ name: "kept" });
    const { page, close, faults } = await browser.open("about:blank");
    const problem = { code: "store_unavailable", message: "The store does not answer" } as const;
    await page.route(asks, async (route) => {
      const answer = problemResponse(problem, "ab12-7", {});
      const [status, headers] = [answer.status, Object.fromEntries(answer.headers)];
      await route.fulfill({ status, headers, body: await answer.text() });
    });
    await page.goto(app.url + path);
    const alert = page.getByRole("alert");
    await alert.getByText("The store does not answer").waitFor({ timeout: 30_000 }); // it tries again before it says so
    await alert.getByText("Request ab12-7").waitFor();
    expect(await faults()).toEqual([]);
    await page.unroute(asks);
    await alert.getByRole("button", { name: "Try again" }).click();
    await eventually(
      () => alert.count(),
      (count) => count === 0,
    );
    await close();
  });
}
