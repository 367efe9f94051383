/** The tasks page while tasks change: row updates, announcements of new tasks, and the pause. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { type Client, createClient } from "../../src/client/client.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { eventually } from "../support/eventually.ts";
import { untilLive } from "../support/live.ts";

let app: RunningApp;
let browser: TestBrowser;
let client: Client;

beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser?.close());
beforeEach(async () => {
  app = await startApp({ ROLE: "api" });
  client = createClient(app.url);
});
afterEach(() => app.stop());

/** Creates this number of tasks of a type, named after the type. */
const add = (type: string, count: number): Promise<readonly number[]> =>
  client.createMany(Array.from({ length: count }, (_, n) => ({ name: `${type} ${n + 1}`, type })));

const open = async (path: string, options = {}) => {
  const shown = await browser.open(`${app.url}${path}`, options);
  await shown.page.getByRole("row").nth(1).waitFor();
  const [id = 0] = await ids(shown.page);
  await untilLive(shown.page, client, id);
  return shown;
};

/** The ids in the order of the rows. */
const ids = async (page: Page): Promise<number[]> => {
  const boxes = await page.getByRole("checkbox", { name: /^Select task/ }).all();
  const labels = await Promise.all(boxes.map((box) => box.getAttribute("aria-label")));
  return labels.map((label) => Number(/\d+/.exec(label ?? "")?.[0]));
};

const row = (page: Page, name: string) => page.getByRole("row").filter({ hasText: name });

test("a row updates without a change of its position", async () => {
  await add("mail", 5);
  const { page, complaints, close } = await open("/tasks");
  const before = await ids(page);
  await client.edit(3, { name: "mail three" });
  await client.cancel(3);
  await row(page, "mail three").getByText("Cancelled").waitFor();
  expect(await ids(page)).toEqual(before);
  expect(complaints()).toEqual([]);
  await close();
});

test("the page announces the number of new tasks that match the filter, and shows them after a click", async () => {
  await add("mail", 2);
  const { page, close } = await open("/tasks?type=mail");
  await add("film", 3);
  await add("mail", 1);
  const news = page.getByRole("button", { name: "1 new task", exact: true });
  await news.waitFor();
  expect(await ids(page)).toEqual([2, 1]);
  await news.click();
  await row(page, "mail 1").nth(1).waitFor();
  expect(await ids(page)).toEqual([6, 2, 1]);
  await close();
});

test("a row that no longer matches stays until the list is reloaded", async () => {
  await add("mail", 3);
  const { page, close } = await open("/tasks?status=pending");
  await client.cancel(2);
  await row(page, "mail 2").getByText("Cancelled").waitFor();
  const left = page.getByRole("button", { name: "1 no longer matches" });
  await left.click();
  await row(page, "mail 2").waitFor({ state: "detached" });
  expect(await ids(page)).toEqual([3, 1]);
  await close();
});

test("a paused list does not change, and updates after it is resumed", async () => {
  await add("mail", 3);
  const { page, close } = await open("/tasks");
  await page.getByRole("switch", { name: "Live" }).click();
  await client.cancel(1);
  await client.cancel(2);
  await add("mail", 1);
  await page.getByRole("button", { name: "1 new task", exact: true }).waitFor(); // the events have arrived
  expect(await row(page, "mail 2").getByText("Cancelled").count()).toBe(0);
  await page.getByRole("switch", { name: "Paused" }).click();
  await row(page, "mail 2").getByText("Cancelled").waitFor();
  await close();
});

test("scrolling loads more than the first page", async () => {
  await add("mail", 250);
  const { page, close } = await open("/tasks");
  const last = page.getByRole("checkbox", { name: "Select task 1", exact: true });
  while ((await last.count()) === 0) {
    await page.evaluate(() => window.scrollTo({ top: document.body.scrollHeight }));
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)));
  }
  await close();
});

test("a column header sorts and shows the order", async () => {
  await add("mail", 3);
  const { page, close } = await open("/tasks");
  await page.getByRole("columnheader", { name: "Id" }).getByRole("button").click();
  await page.getByRole("columnheader", { name: "Id", exact: true }).waitFor();
  await page.waitForURL(/sort=id/);
  expect(await page.getByRole("columnheader", { name: "Id" }).getAttribute("aria-sort")).toBe("ascending");
  // The rows in the previous order stay until the new ones are loaded.
  await eventually(
    () => ids(page),
    (shown) => shown.join() === "1,2,3",
  );
  await close();
});

test("a click with Shift selects all rows up to it", async () => {
  await add("mail", 6);
  const { page, close } = await open("/tasks");
  await page.getByRole("checkbox", { name: "Select task 5" }).click();
  await page.getByRole("checkbox", { name: "Select task 2" }).click({ modifiers: ["Shift"] });
  await page.getByText("4 selected").waitFor();
  await close();
});

test("an empty list offers sample tasks and shows them, in Russian", async () => {
  const shown = await browser.open(`${app.url}/tasks`, { locale: "ru-RU" });
  await shown.page.getByRole("button", { name: "Добавить примеры" }).click();
  await shown.page.getByRole("row").nth(5).waitFor();
  expect((await client.page({})).tasks.length).toBeGreaterThan(4);
  expect(await shown.faults()).toEqual([]);
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});
