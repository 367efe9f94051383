/** The whole web UI: accessibility and width of every page, a server restart, and the language. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "../../src/client/client.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { killLeftovers, tasktrack } from "../support/server-process.ts";
import { freePort } from "../support/servers/runner.ts";

let app: RunningApp;
let browser: TestBrowser;
const home = mkdtempSync(join(tmpdir(), "tasktrack-whole-"));

beforeAll(async () => {
  app = await startApp({ ROLE: "api" });
  browser = await launchBrowser();
  const client = createClient(app.url);
  await client.create({ name: "a task with a payload", tags: ["one"], payload: { a: [1, { b: "c" }] } });
  await client.cancel(1);
  await client.create({ name: "one that waits" });
});
afterEach(killLeftovers);
afterAll(async () => {
  await browser?.close();
  await app?.stop();
  rmSync(home, { recursive: true, force: true });
});

/** Each page with a text that appears when the page has its data. */
const PAGES = {
  "/tasks": { "en-US": "one that waits", "ru-RU": "one that waits" },
  "/tasks/1": { "en-US": "a task with a payload", "ru-RU": "a task with a payload" },
  "/new": { "en-US": "New task", "ru-RU": "Новая задача" },
  "/overview": { "en-US": "Overview", "ru-RU": "Обзор" },
} as const;

test.each([
  ["en-US", 1280],
  ["ru-RU", 360],
] as const)(
  "every page is accessible and fits, in %s at %p pixels, in both colour schemes",
  async (locale, width) => {
    const shown = await browser.open("about:blank", { locale, viewport: { width, height: 800 } });
    const { page } = shown;
    for (const [path, texts] of Object.entries(PAGES)) {
      await page.goto(app.url + path);
      await page.getByRole("heading", { level: 1 }).waitFor();
      await page.locator("main").getByText(texts[locale]).first().waitFor();
      await page
        .getByRole("status", { name: /Loading|Загрузка/ })
        .first()
        .waitFor({ state: "detached" });
      const wants = await page.evaluate(() => Math.max(document.documentElement.scrollWidth, innerWidth));
      expect(`${path}: ${wants}`).toBe(`${path}: ${width}`);
      expect(await shown.faultsInBothSchemes()).toEqual([]);
    }
    expect(shown.complaints()).toEqual([]);
    await shown.close();
  },
);

test.each(["en-US", "ru-RU"])(
  "no header and no status is cut in the list of tasks, in %s",
  async (locale) => {
    const type = `cut.${locale}`;
    const client = createClient(app.url);
    const ids = await client.createMany(["pending", "cancelled", "running"].map((name) => ({ name, type })));
    await client.cancel(Number(ids[1]));
    const claim = { worker: "w", types: [type], max: 2 };
    await fetch(`${app.url}/api/worker/claim`, { method: "POST", body: JSON.stringify(claim) });
    await client.cancel(Number(ids[2])); // its badge says that it is being cancelled
    await client.create({ name: "also running", type });
    await fetch(`${app.url}/api/worker/claim`, { method: "POST", body: JSON.stringify(claim) });

    const viewport = { width: 2_000, height: 800 };
    const shown = await browser.open(`${app.url}/new`, { locale, viewport });
    const { page } = shown;
    const all = "id name status type tags progress priority attempt duration created started finished";
    await page.evaluate((columns) => localStorage.setItem("tasktrack.tasks.columns", columns), all);
    await page.goto(`${app.url}/tasks?type=${type}`);
    await page.getByRole("link", { name: "also running" }).waitFor();
    const cut = await page.evaluate(() =>
      [...document.querySelectorAll(".tasks th, .tasks td:has(.status)")]
        .filter(({ clientWidth, scrollWidth }) => scrollWidth > clientWidth)
        .map(({ textContent }) => textContent),
    );
    expect(cut).toEqual([]);
    await client.bulk({ filter: { type }, action: "delete" });
    await shown.close();
  },
);

test("an open page reports a server restart and then shows the changes since", async () => {
  const port = await freePort();
  const env = { HTTP_HOST: "127.0.0.1", HTTP_PORT: String(port), ROLE: "api" };
  const start = () =>
    tasktrack(["serve"], { env: { ...env, STORE_URL: `sqlite:${join(home, "tasks.db")}` }, cwd: home });
  const first = start();
  const url = await first.url();
  const client = createClient(url);
  const { id } = await client.create({ name: "it outlives the server" });
  const shown = await browser.open(`${url}/tasks`);
  const row = shown.page.getByRole("row").filter({ hasText: "it outlives the server" });
  await row.getByText("Pending").waitFor();

  first.kill("SIGKILL");
  await first.ended;
  const away = shown.page.getByText("The server does not answer").first();
  await away.waitFor();
  await start().url();
  await client.cancel(id);
  await row.getByText("Cancelled").waitFor();
  await away.waitFor({ state: "hidden" });
  await shown.close();
});

test("the chosen language is kept, and the document declares it", async () => {
  const shown = await browser.open(`${app.url}/tasks`);
  await shown.page.getByRole("combobox", { name: /Language|Язык/ }).selectOption("ru");
  await shown.page.getByRole("heading", { name: "Задачи" }).waitFor();
  await shown.page.reload();
  await shown.page.getByRole("heading", { name: "Задачи" }).waitFor();
  expect(await shown.page.evaluate(() => document.documentElement.lang)).toBe("ru");
  await shown.page.getByText("2 задачи").first().waitFor();
  await shown.close();
});

test("an error of the server is a sentence with the request id", async () => {
  const shown = await browser.open(`${app.url}/tasks/2`);
  const { page } = shown;
  await page.getByRole("button", { name: "Cancel" }).waitFor();
  // The page does not get the event, as with a slow network.
  await page.route("**/api/task/2/cancel", async (route) => {
    await createClient(app.url).cancel(2);
    await route.continue();
  });
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("Task 2 is already cancelled").first().waitFor();
  await page
    .getByText(/Request ID: [\w-]+/)
    .first()
    .waitFor();
  await shown.close();
});
