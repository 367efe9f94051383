/** The web UI's frame in a real browser. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type RunningApp, startApp } from "../support/app.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/servers/runner.ts";

let app: RunningApp;
let browser: TestBrowser;

beforeAll(async () => {
  app = await startApp({ DISPATCH_INTERVAL: "1h" });
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  await app?.stop();
});

const create = (name: string): Promise<Response> =>
  fetch(`${app.url}/api/task`, { method: "POST", body: JSON.stringify({ name }) });

test("the root address opens the tasks page, which shows a task without console errors", async () => {
  await create("thumbnails");
  const shown = await browser.open(`${app.url}/`);
  await shown.page.getByRole("link", { name: "thumbnails" }).waitFor();
  expect(new URL(shown.page.url()).pathname).toBe("/tasks");
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

test("the first visit to the tasks page loads less than 250 KiB", async () => {
  await create("first visit");
  const shown = await browser.open(app.url);
  await shown.page.getByRole("link", { name: "first visit" }).waitFor();
  const loaded = await shown.page.evaluate(() =>
    performance
      .getEntries()
      .filter((entry) => entry instanceof PerformanceResourceTiming && !entry.name.includes("/api/"))
      .map((entry) => [entry.name, (entry as PerformanceResourceTiming).encodedBodySize] as const),
  );
  expect(loaded.length).toBeGreaterThan(3);
  const bytes = loaded.reduce((sum, [, size]) => sum + size, 0);
  expect(bytes).toBeLessThan(250 * 1_024);
  await shown.close();
});

test("the content security policy rejects an inline style, and the test sees the console error", async () => {
  const shown = await browser.open(app.url);
  await shown.page.evaluate(() =>
    document.body.insertAdjacentHTML("beforeend", "<style>a { color: red }</style>"),
  );
  await eventually(shown.complaints, (complaints) =>
    complaints.some((text) => text.includes("style-src 'self'")),
  );
  await shown.close();
});

test("a row updates automatically when its task changes", async () => {
  const { task_id: id } = (await (await create("a live one")).json()) as { readonly task_id: number };
  const shown = await browser.open(app.url);
  const row = shown.page.getByRole("row").filter({ hasText: "a live one" });
  await row.getByText("Pending").waitFor();
  await fetch(`${app.url}/api/task/${id}/cancel`, { method: "POST" });
  await row.getByText("Cancelled").waitFor();
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

test("two tabs of a browser share one event stream, which continues after the reading tab closes", async () => {
  const { task_id: id } = (await (await create("shared")).json()) as { readonly task_id: number };
  const first = await browser.open(app.url);
  const second = await first.page.context().newPage();
  const streams = { opened: 0 };
  second.on("request", (request) => {
    if (request.url().includes("/api/events")) streams.opened += 1;
  });
  await second.goto(app.url);
  const row = second.getByRole("row").filter({ hasText: "shared" });
  await row.getByText("Pending").waitFor();
  await fetch(`${app.url}/api/task/${id}/cancel`, { method: "POST" });
  await row.getByText("Cancelled").waitFor();
  expect(streams.opened).toBe(0);

  await first.page.close();
  await eventually(
    () => streams.opened,
    (opened) => opened === 1,
  );
  await fetch(`${app.url}/api/task/${id}`, { method: "DELETE" });
  await row.waitFor({ state: "detached" });
  await first.close();
});

test("a tab without a received event misses no event when it takes over the stream", async () => {
  const { task_id: id } = (await (await create("handed over")).json()) as { readonly task_id: number };
  const first = await browser.open(app.url);
  const second = await first.page.context().newPage();
  const { promise: isChanged, resolve: goOn } = Promise.withResolvers<void>();
  const { promise: isAsking, resolve: asks } = Promise.withResolvers<void>();
  await second.route("**/api/events", async (route) => {
    asks();
    await isChanged;
    await route.continue();
  });
  await second.goto(app.url);
  const row = second.getByRole("row").filter({ hasText: "handed over" });
  await row.getByText("Pending").waitFor();

  await first.page.close();
  await isAsking;
  await fetch(`${app.url}/api/task/${id}/cancel`, { method: "POST" });
  goOn();
  await row.getByText("Cancelled").waitFor();
  await first.close();
});

test("the language is the browser's until the user chooses another, which is kept", async () => {
  const shown = await browser.open(app.url, { locale: "ru-RU" });
  await shown.page.getByRole("heading", { name: "Задачи" }).waitFor();
  await shown.page.getByRole("combobox", { name: "Язык" }).selectOption("en");
  await shown.page.getByRole("heading", { name: "Tasks", exact: true }).waitFor();
  await shown.page.reload();
  await shown.page.getByRole("heading", { name: "Tasks", exact: true }).waitFor();
  expect(await shown.page.evaluate(() => document.documentElement.lang)).toBe("en");
  await shown.close();
});

test("shortcuts open the pages, and a question mark lists the shortcuts", async () => {
  const shown = await browser.open(app.url);
  await shown.page.getByRole("heading", { name: "Tasks", exact: true }).waitFor();
  await shown.page.keyboard.press("n");
  await shown.page.getByRole("heading", { name: "New task" }).waitFor();
  await shown.page.keyboard.press("g");
  await shown.page.keyboard.press("o");
  await shown.page.getByRole("heading", { name: "Overview" }).waitFor();
  await shown.page.keyboard.press("?");
  const sheet = shown.page.getByRole("dialog", { name: "Keyboard shortcuts" });
  await sheet.getByText("Go to the tasks").waitFor();
  expect(await shown.faults()).toEqual([]);
  await shown.page.keyboard.press("Escape");
  await sheet.waitFor({ state: "hidden" });
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

test("a banner appears while the server does not answer and disappears afterwards", async () => {
  const port = String(await freePort());
  const lone = await startApp({ HTTP_PORT: port });
  const shown = await browser.open(lone.url);
  await shown.page.getByRole("heading", { name: "Tasks", exact: true }).waitFor();
  await lone.stop();
  const banner = shown.page.getByText("The server does not answer.");
  await banner.waitFor();
  const again = await startApp({ HTTP_PORT: port });
  await banner.waitFor({ state: "detached" });
  await again.stop();
  await shown.close();
});
