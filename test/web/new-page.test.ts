/** The form for a new task, tested only through the page. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Client, createClient } from "../../src/client/client.ts";
import { addSamples } from "../../web/pages/new/samples.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";

let app: RunningApp;
let browser: TestBrowser;
let client: Client;

beforeAll(async () => {
  app = await startApp({ SIMULATE_MIN: "3s", SIMULATE_MAX: "3s" });
  browser = await launchBrowser();
  client = createClient(app.url);
});
afterAll(async () => {
  await browser?.close();
  await app?.stop();
});

const idOf = (url: string): number => Number(new URL(url).pathname.split("/").at(-1));

test("a task is created in the form, and its page shows progress and result", async () => {
  const shown = await browser.open(`${app.url}/new`);
  await shown.page.getByRole("textbox", { name: "Name" }).fill("watch me run");
  await shown.page.getByRole("textbox", { name: "Payload" }).fill('{"a": 1}');
  await shown.page.keyboard.press("Control+Enter");
  await shown.page.getByRole("heading", { name: "watch me run" }).waitFor();
  await shown.page.waitForFunction(() => {
    const { value = 0 } = document.querySelector<HTMLProgressElement>(".task-progress progress") ?? {};
    return value > 0 && value < 100;
  });
  await shown.page.getByText("The task is done.").waitFor();
  await shown.page.getByText("simulated", { exact: false }).first().waitFor();
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

test("every field of the form reaches the task", async () => {
  const shown = await browser.open(`${app.url}/new`, { timezoneId: "Europe/Berlin" });
  const field = (name: string) => shown.page.getByRole("textbox", { name });
  await field("Name").fill("everything");
  await field("Description").fill("described");
  await shown.page.getByRole("combobox", { name: "Type" }).fill("without.workers");
  await shown.page.getByText("No active worker takes tasks of type “without.workers”").waitFor();
  await field("Payload").fill("[1,2]");
  await shown.page.getByRole("button", { name: "Format" }).click();
  expect(await field("Payload").inputValue()).toBe("[\n  1,\n  2\n]");
  await shown.page.getByText("More options").click();
  await shown.page.getByRole("combobox", { name: "Start" }).selectOption("at");
  await shown.page.getByLabel("Scheduled start").fill("2099-01-31T12:00:00");
  await field("Priority").fill("-5");
  await field("Timeout").fill("90s");
  await field("Maximum attempts").fill("4");
  await field("Pause before the first retry").fill("2s");
  await field("Key").fill("the-key");
  await shown.page.getByRole("combobox", { name: "Tags" }).fill("one");
  await shown.page.keyboard.press("Enter");
  await shown.page.getByRole("button", { name: "Create" }).click();
  await shown.page.getByRole("heading", { name: "everything" }).waitFor();
  expect(await client.get(idOf(shown.page.url()))).toMatchObject({
    ...{
      name: "everything",
      description: "described",
      type: "without.workers",
      payload: [1, 2],
      priority: -5,
    },
    ...{
      run_at: "2099-01-31T11:00:00.000Z",
      timeout: "1m30s",
      max_attempts: 4,
      key: "the-key",
      tags: ["one"],
    },
  });

  // A second task with the same key opens the existing task.
  const first = shown.page.url();
  await shown.page.goto(`${app.url}/new`);
  await field("Name").fill("a second one");
  await shown.page.getByText("More options").click();
  await field("Key").fill("the-key");
  await shown.page.getByRole("button", { name: "Create" }).click();
  await shown.page.waitForURL(first);
  await shown.page.getByText("An unfinished task with this key already exists").waitFor();
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

test("invalid JSON shows the position of the error and cannot be sent", async () => {
  const shown = await browser.open(`${app.url}/new`);
  const payload = shown.page.getByRole("textbox", { name: "Payload" });
  await payload.fill('{\n  "a": 1,\n  b: 2\n}');
  await shown.page
    .getByText("This is not JSON: expected a name in double quotes at line 3, column 3")
    .waitFor();
  expect(await shown.page.getByRole("button", { name: "Create" }).isDisabled()).toBe(true);
  expect(await shown.page.getByRole("button", { name: "Format" }).isDisabled()).toBe(true);
  await shown.page.getByRole("button", { name: "Go to the error" }).click();
  const selected = await payload.evaluate((area) => {
    const { value, selectionStart, selectionEnd } = area as HTMLTextAreaElement; // the element with the role textbox
    return value.slice(selectionStart, selectionEnd);
  });
  expect(selected).toBe("b");
  expect(await shown.faults()).toEqual([]);
  await payload.fill('{"a": 1}');
  await shown.page.getByRole("button", { name: "Create", exact: true }).isEnabled();
  await shown.close();
});

test.each([
  [
    "en-US",
    "Name",
    "must not be empty",
    "must be a whole number from -1000 to 1000",
    "must be a duration such as",
  ],
  [
    "ru-RU",
    "Название",
    "не должно быть пустым",
    "целым числом от -1000 до 1000",
    "должно быть длительностью",
  ],
] as const)(
  "validation errors of the server appear at their fields, in the language of %s",
  async (locale, name, empty, number, span) => {
    const shown = await browser.open(`${app.url}/new`, { locale });
    await shown.page.getByRole("textbox", { name, exact: true }).fill("   ");
    await shown.page.locator(".new-more summary").click();
    await shown.page.locator(".new-more select").selectOption("delay");
    await shown.page.locator(".new-more input").nth(0).fill("soon");
    await shown.page.locator(".new-more input").nth(1).fill("5000");
    await shown.page.locator("button[type=submit]").click();
    for (const text of [empty, number, span])
      await shown.page.locator(".field-note.error", { hasText: text }).waitFor();
    const focused = shown.page.getByRole("textbox", { name, exact: true });
    expect(await focused.evaluate((one) => one === document.activeElement)).toBe(true);
    expect(await shown.faults()).toEqual([]);
    expect(shown.page.url()).toEndWith("/new");
    await shown.close();
  },
);

test("a draft survives a reload and is deleted after it is sent", async () => {
  const shown = await browser.open(`${app.url}/new`);
  const name = shown.page.getByRole("textbox", { name: "Name" });
  await name.fill("a draft");
  await shown.page.getByRole("textbox", { name: "Payload" }).fill("{ half");
  await shown.page.reload();
  await name.waitFor();
  expect(await name.inputValue()).toBe("a draft");
  expect(await shown.page.getByRole("textbox", { name: "Payload" }).inputValue()).toBe("{ half");
  await shown.page.getByRole("textbox", { name: "Payload" }).fill("");
  await shown.page.keyboard.press("Control+Enter");
  await shown.page.getByRole("heading", { name: "a draft" }).waitFor();
  await shown.page.goto(`${app.url}/new`);
  expect(await name.inputValue()).toBe("");
  await shown.close();
});

test("a comma ends a tag, and is a part of a label", async () => {
  const shown = await browser.open(`${app.url}/new`);
  await shown.page.getByRole("textbox", { name: "Name" }).fill("with commas");
  await shown.page.getByRole("combobox", { name: "Tags" }).pressSequentially("a,b,");
  await shown.page.getByRole("combobox", { name: "Labels" }).pressSequentially("note:a, b");
  await shown.page.keyboard.press("Enter");
  await shown.page.getByRole("button", { name: "Create", exact: true }).click();
  await shown.page.getByRole("heading", { name: "with commas" }).waitFor();
  const made = await client.get(idOf(shown.page.url()));
  expect(made).toMatchObject({ tags: ["a", "b"], labels: { note: "a, b" } });
  await shown.close();
});

test("a duplicate starts with the fields of the original task", async () => {
  const { id } = await client.create({
    ...{ name: "the model", description: "as it was", type: "modelled", payload: { deep: [1] }, tags: ["a"] },
    labels: { region: "eu", empty: "" },
    ...{ priority: 4, timeout: "1m", max_attempts: 6, key: "its-own" },
  });
  const shown = await browser.open(`${app.url}/tasks/${id}`);
  await shown.page.getByRole("button", { name: "Actions" }).click();
  await shown.page.getByRole("menuitem", { name: "Duplicate" }).click();
  await shown.page.waitForURL(`${app.url}/new?from=${id}`);
  await shown.page.getByText(`Copied from task ${id}`).waitFor();
  await shown.page.getByRole("button", { name: "Create", exact: true }).click();
  await shown.page.getByRole("heading", { name: "the model" }).waitFor();
  const made = await client.get(idOf(shown.page.url()));
  expect(made.id).toBeGreaterThan(id);
  expect(made).toMatchObject({
    ...{ name: "the model", description: "as it was", type: "modelled", payload: { deep: [1] }, tags: ["a"] },
    labels: { region: "eu", empty: "" },
    ...{ priority: 4, timeout: "1m0s", max_attempts: 6, key: null },
  });
  await client.remove(id);
  await shown.page.goto(`${app.url}/new?from=${id}`);
  await shown.page.getByText(`Task ${id} does not exist`).waitFor();
  await shown.close();
});

test("a duplicate and its curl command keep the digits of the original payload", async () => {
  const payloadText = '{"id":3889108265204450030,"x":1e999,"b":0.10,"10":-0,"2":{}}';
  const { id } = await client.create({ name: "the exact model", type: "exact-model", payloadText });
  const shown = await browser.open(`${app.url}/new?from=${id}`);
  await shown.page.getByText(`Copied from task ${id}`).waitFor();
  await shown.page.getByText("The same with curl").click();
  const command = await shown.page.locator(".curl code").textContent();
  const child = Bun.spawn(["sh", "-c", `${command} -sSf`]);
  const { task_id: byCurl } = JSON.parse(await new Response(child.stdout).text());
  await shown.page.getByRole("button", { name: "Create", exact: true }).click();
  await shown.page.getByRole("heading", { name: "the exact model" }).waitFor();
  for (const made of [byCurl, idOf(shown.page.url())]) {
    const answer = await fetch(`${app.url}/api/task/${made}`);
    expect(await answer.text()).toContain(`"payload":${payloadText},`);
  }
  await shown.page.goto(`${app.url}/tasks/${id}`);
  await shown.page.getByText("The same with curl").click();
  await shown.page.locator(".task-curl code").getByText(payloadText).waitFor();
  await shown.close();
});

test("the curl command follows the form, and a shell that runs it creates the same task", async () => {
  const shown = await browser.open(`${app.url}/new`);
  await shown.page.getByRole("textbox", { name: "Name" }).fill('it\'s `curl` "$HOME" \\');
  await shown.page.getByRole("combobox", { name: "Type" }).fill("curled");
  await shown.page.getByRole("textbox", { name: "Payload" }).fill('{"path": "C:\\\\x", "it\'s": null}');
  await shown.page.getByText("The same with curl").click();
  const command = await shown.page.locator(".curl code").textContent();
  const child = Bun.spawn(["sh", "-c", `${command} -sSf`]);
  const answer: unknown = JSON.parse(await new Response(child.stdout).text());
  expect(answer).toMatchObject({ message: "Task created successfully" });
  const [made] = (await client.page({ type: "curled" })).tasks;
  expect(made).toMatchObject({ name: 'it\'s `curl` "$HOME" \\', payload: { path: "C:\\x", "it's": null } });
  await shown.close();
});

test("a server without handlers runs the sample tasks", async () => {
  const ids = await addSamples(client);
  const tasks = await Promise.all(ids.map((id) => client.get(id)));
  expect(ids.length).toBeGreaterThanOrEqual(5);
  expect(new Set(tasks.map(({ type }) => type))).toEqual(new Set(["simulate"]));
  expect(new Set(tasks.map(({ priority }) => priority)).size).toBeGreaterThan(2);
  await addSamples(client, "ru");
});
