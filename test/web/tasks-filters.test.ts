/** The tasks page: filters in the address, views, columns, keyboard shortcuts, and hostile texts. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { type RunningApp, startApp } from "../support/app.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";

let app: RunningApp;
let browser: TestBrowser;

beforeAll(async () => {
  app = await startApp({ DISPATCH_INTERVAL: "1h" });
  browser = await launchBrowser();
  await create(
    {
      name: "thumbnails",
      type: "image.resize",
      tags: ["nightly"],
      labels: { region: "eu" },
      payload: { width: 640 },
    },
    { name: "poster", type: "image.print", tags: ["nightly"], payload: { width: 1200 } },
    { name: "trailer", type: "video.cut", tags: ["launch"], payload: { codec: "av1" } },
  );
  await fetch(`${app.url}/api/task/3/cancel`, { method: "POST" });
});
afterAll(async () => {
  await browser?.close();
  await app?.stop();
});

const create = (...specs: readonly object[]): Promise<Response> =>
  fetch(`${app.url}/api/task`, { method: "POST", body: JSON.stringify(specs) });

const link = (page: Page, name: string) => page.getByRole("link", { name, exact: true });
const gone = (page: Page, name: string) => link(page, name).waitFor({ state: "detached" });

test("filters by status, type, tag and text change the address, and the back button removes them", async () => {
  const shown = await browser.open(`${app.url}/tasks`);
  const { page } = shown;
  await link(page, "trailer").waitFor();
  await page.getByRole("button", { name: /^Pending/ }).click();
  await page.waitForURL(`${app.url}/tasks?status=pending`);
  await gone(page, "trailer");

  const types = page.getByRole("combobox", { name: "Filter by type" });
  await types.fill("image");
  await page.getByRole("option", { name: "image.print" }).waitFor();
  await types.fill("image.*");
  await types.press("Enter");
  await page.waitForURL(`${app.url}/tasks?status=pending&type=image.*`);

  await page.getByRole("combobox", { name: "Filter by tag" }).fill("night");
  await page.getByRole("option", { name: "nightly" }).click();
  await page.waitForURL(/&tag=nightly$/);

  await page.getByRole("combobox", { name: "Filter by label" }).fill("region:eu");
  await page.getByRole("combobox", { name: "Filter by label" }).press("Enter");
  await page.waitForURL(/label=region%3Aeu|label=region:eu/);
  await gone(page, "poster");
  await page.getByRole("button", { name: "Remove Labels region:eu" }).click();
  await link(page, "poster").waitFor();

  const search = page.getByRole("combobox", { name: "Search", exact: true });
  await search.fill("wid");
  await page.getByRole("option", { name: "payload.width:" }).click();
  await search.press("ArrowDown");
  expect(await search.inputValue()).toBe("payload.width:");
  await search.fill("payload.width:640");
  await search.press("Enter");
  await gone(page, "poster");
  await link(page, "thumbnails").waitFor();
  expect(new URL(page.url()).searchParams.get("q")).toBe("payload.width:640");

  await page.goBack();
  await link(page, "poster").waitFor();
  expect(await search.inputValue()).toBe("");
  await page.getByRole("button", { name: "Clear the filters" }).click();
  await link(page, "trailer").waitFor();
  expect(new URL(page.url()).search).toBe("");
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

test("an address opens with its filters, and an invalid filter shows an error with the request id", async () => {
  const shown = await browser.open(`${app.url}/tasks?status=cancelled&sort=-finished_at&q=trailer`);
  await link(shown.page, "trailer").waitFor();
  expect(await shown.page.getByRole("combobox", { name: "Search", exact: true }).inputValue()).toBe(
    "trailer",
  );
  await shown.page.goto(`${app.url}/tasks?type=a%20b`);
  await shown.page
    .getByRole("alert")
    .getByText(/^Request ID: \S+/)
    .waitFor();
  await shown.close();
});

test("a view is saved under a name, opened again after a reload, and deleted", async () => {
  const shown = await browser.open(`${app.url}/tasks?type=image.*`);
  const { page } = shown;
  await link(page, "poster").waitFor();
  await page.getByRole("button", { name: "Views" }).click();
  await page.getByRole("menuitem", { name: "Save this view…" }).click();
  await page.getByRole("textbox", { name: "Name of the view" }).fill("Pictures");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Pictures" }).waitFor();
  await page.goto(`${app.url}/tasks`);
  await link(page, "trailer").waitFor();
  await page.getByRole("button", { name: "Views" }).click();
  expect(await shown.faults()).toEqual([]);
  await page.getByRole("menuitem", { name: "Pictures" }).click();
  await page.waitForURL(`${app.url}/tasks?type=image.*`);
  await gone(page, "trailer");
  await page.getByRole("button", { name: "Pictures" }).click();
  await page.getByRole("menuitem", { name: "Delete view “Pictures”" }).click();
  await page.getByRole("button", { name: "Views" }).click();
  await page.getByRole("menuitem", { name: "Running" }).waitFor();
  expect(await page.getByRole("menuitem", { name: "Pictures" }).count()).toBe(0);
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

test("the choice of columns and exact times survives a reload", async () => {
  const shown = await browser.open(`${app.url}/tasks`);
  const { page } = shown;
  await link(page, "poster").waitFor();
  await page.getByRole("button", { name: "Display" }).click();
  await page.getByRole("menuitemcheckbox", { name: "Tags" }).click();
  await page.getByRole("menuitemcheckbox", { name: "Priority" }).click();
  await page.getByRole("menuitemcheckbox", { name: "Exact times" }).click();
  expect(await shown.faults()).toEqual([]);
  await page.reload();
  await link(page, "poster").waitFor();
  const heads = await page.getByRole("columnheader").allTextContents();
  expect(heads).toContain("Priority");
  expect(heads).not.toContain("Tags");
  expect(await page.getByRole("row").filter({ hasText: "poster" }).locator("time").textContent()).toMatch(
    /\d:\d\d/,
  );
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

test("shortcuts move between rows, select, select ranges, clear, search and open", async () => {
  const shown = await browser.open(`${app.url}/tasks?sort=id`);
  const { page } = shown;
  await link(page, "poster").waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("X");
  await page.getByText("3 selected").waitFor();
  await page.keyboard.press("Escape");
  await page.getByText("3 selected").waitFor({ state: "detached" });
  await page.keyboard.press("/");
  await page.keyboard.type("poster");
  await gone(page, "trailer");
  await page.keyboard.press("Escape");
  await link(page, "trailer").waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForURL(`${app.url}/tasks/2`);
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

const HOSTILE = [
  "<script>document.title='taken'</script>",
  "\u202Edrawkcab\u202C end",
  "a\u200B\u200Db",
  "W".repeat(255),
];

test("hostile names are shown as text and fit a phone's width, accessible", async () => {
  await create(
    ...HOSTILE.map((name) => ({
      name,
      type: "hostile",
      tags: [name.slice(0, 64)],
      description: "x".repeat(10_000),
    })),
  );
  const shown = await browser.open(`${app.url}/tasks?type=hostile`, {
    viewport: { width: 360, height: 740 },
  });
  const { page } = shown;
  for (const name of HOSTILE) await link(page, name).first().waitFor();
  expect(await page.title()).toBe("Tasks · TaskTrack");
  const [wants, has] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  expect(wants).toBe(has);
  await page.getByRole("checkbox", { name: "Select all loaded tasks" }).click();
  await page.getByRole("button", { name: "Retry", exact: true }).waitFor();
  expect(await shown.faultsInBothSchemes()).toEqual([]);
  await page.setViewportSize({ width: 1280, height: 800 });
  expect(await shown.faultsInBothSchemes()).toEqual([]);
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});
