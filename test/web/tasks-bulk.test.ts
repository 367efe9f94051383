/** Bulk actions through the page: the confirmation and the effect. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { type Client, createClient } from "../../src/client/client.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { launchBrowser, type TestBrowser, type TestPage } from "../support/browser.ts";

let app: RunningApp;
let browser: TestBrowser;
let client: Client;

beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  await app?.stop();
});
beforeEach(async () => {
  await app?.stop();
  app = await startApp({ ROLE: "api" });
  client = createClient(app.url);
});

/** Creates this number of tasks of a type, named after the type. */
const add = (type: string, count: number): Promise<readonly number[]> =>
  client.createMany(Array.from({ length: count }, (_, n) => ({ name: `${type} ${n + 1}`, type })));

const counts = async () => ({
  pending: await client.count({ status: "pending" }),
  cancelled: await client.count({ status: "cancelled" }),
});

const open = async (path: string): Promise<TestPage> => {
  const shown = await browser.open(`${app.url}${path}`);
  await shown.page.getByRole("row").nth(1).waitFor();
  return shown;
};

const bar = (page: Page) => page.getByRole("region", { name: "Actions for the selected tasks" });
const question = (page: Page) => page.getByRole("alertdialog");

async function selectAll(page: Page): Promise<void> {
  await page.getByRole("checkbox", { name: "Select all loaded tasks" }).check();
  await bar(page).getByRole("button", { name: "Select all matching tasks" }).click();
  await bar(page).getByText("All matching tasks are selected").waitFor();
}

describe("on rows that are selected", () => {
  test("names the action and the number of tasks, changes only these tasks and reports the result", async () => {
    await add("mail", 5);
    const { page, complaints, close } = await open("/tasks");
    for (const id of [2, 4]) await page.getByRole("checkbox", { name: `Select task ${id}` }).check();
    await bar(page).getByText("2 selected").waitFor();
    await bar(page).getByRole("button", { name: "Cancel" }).click();
    await question(page).getByText("Cancel 2 tasks?").waitFor();
    await question(page).getByRole("button", { name: "Cancel 2 tasks" }).click();
    await page.getByText("2 tasks cancelled").first().waitFor();
    const cancelled = await client.page({ status: "cancelled" });
    expect(cancelled.tasks.map(({ id }) => id)).toEqual([2, 4]);
    expect(await bar(page).count()).toBe(0);
    expect(complaints()).toEqual([]);
    await close();
  });

  test("does nothing when the user declines the confirmation", async () => {
    await add("mail", 2);
    const { page, close } = await open("/tasks");
    await page.getByRole("checkbox", { name: "Select task 1" }).check();
    await bar(page).getByRole("button", { name: "Delete" }).click();
    await question(page).getByText("This cannot be undone.").waitFor();
    await question(page).getByRole("button", { name: "Back" }).click();
    await question(page).waitFor({ state: "hidden" });
    expect(await counts()).toMatchObject({ pending: 2 });
    await close();
  });

  test("shows the number of tasks that cannot change before the action, and the number of unchanged tasks after it", async () => {
    await add("mail", 3);
    await client.cancel(1);
    await client.cancel(3);
    const { page, close } = await open("/tasks");
    await page.getByRole("checkbox", { name: "Select all loaded tasks" }).check();
    await bar(page).getByRole("button", { name: "Retry" }).click();
    await question(page)
      .getByText("1 of them will not change: its status does not allow this action")
      .waitFor();
    await question(page).getByRole("button", { name: "Retry 3 tasks" }).click();
    await page.getByText("2 tasks retried").first().waitFor();
    await page.getByText("1 task unchanged").first().waitFor();
    expect(await counts()).toMatchObject({ pending: 3, cancelled: 0 });
    await close();
  });
});

describe("on rows, when the server fails midway,", () => {
  test("starts no further request, shows the error, and the confirmation can be closed", async () => {
    await add("mail", 40);
    const { page, close } = await open("/tasks");
    let asked = 0;
    await page.route("**/api/task/*", async (route) => {
      if (route.request().method() !== "DELETE") return route.continue();
      asked++;
      if (asked !== 5) return route.continue();
      const problem = { error: "It broke", title: "Internal Server Error", status: 500, code: "internal" };
      await route.fulfill({ status: 500, contentType: "application/problem+json", json: problem });
    });
    await page.getByRole("checkbox", { name: "Select all loaded tasks" }).check();
    await bar(page).getByRole("button", { name: "Delete" }).click();
    await question(page).getByRole("button", { name: "Delete 40 tasks" }).click();
    await question(page).getByRole("alert").waitFor();
    await page.getByText("Stopped before the end").first().waitFor(); // together with the number of deleted tasks
    expect(asked).toBeLessThan(12); // only the requests that were in flight
    await question(page).getByRole("button", { name: "Back" }).click();
    await question(page).waitFor({ state: "hidden" });
    expect((await counts()).pending).toBeGreaterThan(28);
    await close();
  });
});

describe("on all that a filter takes", () => {
  test("gets the number of tasks from the server first, and changes no other task", async () => {
    await add("mail", 150);
    await add("film", 3);
    const { page, complaints, close } = await open("/tasks?type=mail");
    await selectAll(page);
    await bar(page).getByRole("button", { name: "Delete" }).click();
    await question(page).getByText("Delete 150 tasks?").waitFor();
    await question(page).getByRole("button", { name: "Delete 150 tasks" }).click();
    await page.getByText("150 tasks deleted").first().waitFor();
    expect((await client.page({})).tasks.map(({ type }) => type)).toEqual(["film", "film", "film"]);
    expect(complaints()).toEqual([]);
    await close();
  });

  test("does not change tasks that were created after the count", async () => {
    await add("mail", 2);
    const { page, close } = await open("/tasks?type=mail");
    await selectAll(page);
    await bar(page).getByRole("button", { name: "Cancel" }).click();
    await question(page).getByText("Cancel 2 tasks?").waitFor();
    await add("mail", 1);
    await question(page).getByRole("button", { name: "Cancel 2 tasks" }).click();
    await page.getByText("2 tasks cancelled").first().waitFor();
    expect(await counts()).toMatchObject({ pending: 1, cancelled: 2 });
    await close();
  });

  test("warns that all tasks are affected if there is no filter", async () => {
    await add("mail", 2);
    const { page, close } = await open("/tasks");
    await selectAll(page);
    await bar(page).getByRole("button", { name: "Delete" }).click();
    await question(page).getByText("These are all tasks on this server.").waitFor();
    await question(page).getByRole("button", { name: "Delete 2 tasks" }).click();
    await page.getByText("No tasks yet").waitFor();
    expect(await counts()).toMatchObject({ pending: 0 });
    await close();
  });

  test("continues over several requests if one request is not enough", async () => {
    for (let thousand = 0; thousand < 11; thousand++) await add("mail", 1_000);
    const { page, close } = await open("/tasks?status=pending");
    await selectAll(page);
    await bar(page).getByRole("button", { name: "Cancel" }).click();
    await question(page).getByRole("button", { name: "Cancel 11,000 tasks" }).click();
    await page.getByText("11,000 tasks cancelled").first().waitFor();
    expect(await counts()).toEqual({ pending: 0, cancelled: 11_000 });
    await close();
  });

  test("can be stopped between two requests, and reports the progress", async () => {
    for (let thousand = 0; thousand < 11; thousand++) await add("mail", 1_000);
    const { page, close } = await open("/tasks?status=pending");
    await selectAll(page);
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>();
    await page.route("**/api/task/bulk", async (route) => {
      if (!route.request().postData()?.includes("dry_run")) await mayAnswer;
      await route.continue();
    });
    await bar(page).getByRole("button", { name: "Cancel" }).click();
    await question(page).getByRole("button", { name: "Cancel 11,000 tasks" }).click();
    await question(page).getByRole("button", { name: "Stop" }).click();
    answer();
    await page.getByText("10,000 tasks cancelled").first().waitFor();
    await page.getByText("Stopped before the end").first().waitFor();
    expect(await counts()).toEqual({ pending: 1_000, cancelled: 10_000 });
    await close();
  });

  test("that fails between two requests shows the error and the progress", async () => {
    for (let thousand = 0; thousand < 11; thousand++) await add("mail", 1_000);
    const { page, close } = await open("/tasks?status=pending");
    await selectAll(page);
    await page.route("**/api/task/bulk", async (route) => {
      if (!route.request().postData()?.includes("after_id")) return route.continue();
      const problem = { error: "It broke", title: "Internal Server Error", status: 500, code: "internal" };
      await route.fulfill({ status: 500, contentType: "application/problem+json", json: problem });
    });
    await bar(page).getByRole("button", { name: "Cancel" }).click();
    await question(page).getByRole("button", { name: "Cancel 11,000 tasks" }).click();
    await question(page).getByRole("alert").getByText("It broke").waitFor();
    await page.getByText("10,000 tasks cancelled").first().waitFor();
    await question(page).getByRole("button", { name: "Back" }).click();
    expect(await counts()).toEqual({ pending: 1_000, cancelled: 10_000 });
    await close();
  });
});
