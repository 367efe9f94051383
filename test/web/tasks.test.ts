/** The tasks page and the page of one task. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Client, createClient } from "../../src/client/client.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { untilLive } from "../support/live.ts";

let app: RunningApp;
let browser: TestBrowser;
let client: Client;

beforeAll(async () => {
  app = await startApp({ DISPATCH_INTERVAL: "1h" });
  client = createClient(app.url);
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  await app?.stop();
});

async function create(...names: readonly string[]): Promise<readonly number[]> {
  const body = JSON.stringify(names.map((name) => ({ name })));
  const answer = await (await fetch(`${app.url}/api/task`, { method: "POST", body })).json();
  return (answer as { readonly task_ids: readonly number[] }).task_ids; // as the API specifies
}

test("a new task is announced and appears in the list after a click", async () => {
  const [id = 0] = await create("an old one");
  const shown = await browser.open(`${app.url}/tasks`);
  await shown.page.getByRole("link", { name: "an old one" }).waitFor();
  await untilLive(shown.page, client, id);
  await create("a new one", "another new one");
  await shown.page.getByRole("button", { name: "2 new tasks" }).click();
  await shown.page.getByRole("link", { name: "another new one" }).waitFor();
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

test("a filter is part of the address", async () => {
  const [id = 0] = await create("one to cancel");
  await fetch(`${app.url}/api/task/${id}/cancel`, { method: "POST" });
  const shown = await browser.open(`${app.url}/tasks`);
  await shown.page.getByRole("button", { name: /^Cancelled/ }).click();
  await shown.page.waitForURL(`${app.url}/tasks?status=cancelled`);
  await shown.page.getByRole("link", { name: "an old one" }).waitFor({ state: "detached" });
  await shown.page.reload();
  await shown.page.getByRole("link", { name: "one to cancel" }).waitFor();
  expect(await shown.page.getByRole("link", { name: "an old one" }).count()).toBe(0);
  await shown.close();
});

test("only the visible rows of a long list are rendered", async () => {
  await create(...Array.from({ length: 100 }, (_, index) => `many ${index}`));
  const shown = await browser.open(`${app.url}/tasks?q=many`);
  await shown.page.getByRole("link", { name: "many 99" }).waitFor();
  expect(await shown.page.getByRole("row").count()).toBeLessThan(60);
  await shown.page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
  await shown.page.getByRole("link", { name: "many 0", exact: true }).waitFor();
  await shown.close();
});

test("a task is deleted only after a confirmation", async () => {
  const [id = 0] = await create("one to delete");
  const shown = await browser.open(`${app.url}/tasks/${id}`);
  await shown.page.getByRole("button", { name: "Actions" }).click();
  expect(await shown.faults()).toEqual([]);
  await shown.page.getByRole("menuitem", { name: "Delete" }).click();
  const question = shown.page.getByRole("alertdialog", { name: "Delete “one to delete”?" });
  await question.waitFor();
  expect(await shown.faults()).toEqual([]);
  await question.getByRole("button", { name: "Delete" }).click();
  await shown.page.waitForURL(`${app.url}/tasks`);
  expect((await fetch(`${app.url}/api/task/${id}`)).status).toBe(404);
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

test("the page of a task that another client deletes says so and stops its requests", async () => {
  const [id = 0] = await create("deleted elsewhere");
  const shown = await browser.open(`${app.url}/tasks/${id}`);
  await shown.page.getByRole("heading", { name: "deleted elsewhere" }).waitFor();
  await untilLive(shown.page, client, id);
  await client.remove(id);
  await shown.page.getByText("This task was deleted.").waitFor();
  expect(await shown.page.getByRole("button", { name: "Actions" }).count()).toBe(0);
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

test("the page of a task that was deleted while the stream was disconnected says so after the reconnect", async () => {
  const [id = 0] = await create("deleted unheard");
  const shown = await browser.open("about:blank");
  await shown.page.route("**/api/events*", (route) => route.abort());
  await shown.page.goto(`${app.url}/tasks/${id}`);
  await shown.page.getByRole("heading", { name: "deleted unheard" }).waitFor();
  await client.remove(id);
  await shown.page.unroute("**/api/events*");
  await shown.page.getByText("This task was deleted.").waitFor();
  await shown.page.getByRole("heading", { name: "deleted unheard" }).waitFor();
  await shown.close();
});

test("an unknown task shows a sentence with the request id", async () => {
  const shown = await browser.open(`${app.url}/tasks/999999`);
  const alert = shown.page.getByRole("alert");
  await alert.getByText("Task not found").waitFor();
  await alert.getByText(/^Request ID: \S+/).waitFor();
  await shown.close();
});

test("a task is created in the form and shown", async () => {
  const shown = await browser.open(`${app.url}/new`);
  await shown.page.getByRole("textbox", { name: "Name" }).fill("from the form");
  await shown.page.getByRole("combobox", { name: "Tags" }).fill("nightly");
  await shown.page.keyboard.press("Enter");
  await shown.page.getByRole("button", { name: "Create" }).click();
  await shown.page.getByRole("heading", { name: "from the form" }).waitFor();
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});
