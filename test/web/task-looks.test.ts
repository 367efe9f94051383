/** The task page and the new-task page with hostile texts, narrow screens, both colour schemes, and in Russian. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Client, createClient, createWorker, fail } from "../../src/client/client.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { launchBrowser, type TestBrowser, type TestPage } from "../support/browser.ts";

let app: RunningApp;
let browser: TestBrowser;
let client: Client;

beforeAll(async () => {
  app = await startApp({ DISPATCH_INTERVAL: "1h" });
  browser = await launchBrowser();
  client = createClient(app.url);
});
afterAll(async () => {
  await browser?.close();
  await app?.stop();
});

/** Expects that the page does not scroll horizontally. */
async function expectFits({ page }: TestPage): Promise<void> {
  const [wants, has] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  expect(wants).toBe(has);
}

/** A task with a failed attempt, log lines, and a second attempt that runs until `stop`. */
async function lively(): Promise<{ readonly id: number; readonly stop: () => Promise<number> }> {
  const { id } = await client.create({
    ...{
      name: "Encode the lecture for phones",
      type: "video.encode",
      description: "Three sizes, with subtitles",
    },
    ...{
      payload: { input: "lecture-07.mov", sizes: [360, 720, 1080], subtitles: true },
      priority: 5,
      timeout: "30m",
    },
    ...{ tags: ["video", "nightly"], key: "lecture-07", backoff: { base: "1ms", max: "1ms" } },
  });
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const worker = createWorker({
    ...{ url: app.url, name: "encoder-1" },
    handlers: {
      "video.encode": async (task, { log, progress }) => {
        log("reading lecture-07.mov", "debug");
        log("found 3 streams, 52 minutes");
        if (task.attempt === 1)
          return fail("The disk is full: 0 of 14 GB left on /scratch", { code: "disk_full" });
        log("subtitles have a gap at 00:13:37", "warn");
        progress(42, "encoding 720p");
        await ended;
        return { files: 3 };
      },
    },
  });
  worker.start();
  return {
    id,
    stop: () => {
      end();
      return worker.stop();
    },
  };
}

for (const [width, height] of [
  [1280, 800],
  [360, 740],
] as const) {
  test(`the pages are accessible and fit ${width} pixels`, async () => {
    const { id, stop } = await lively();
    const locale = width === 360 ? "ru-RU" : "en-US";
    const shown = await browser.open(`${app.url}/tasks/${id}`, {
      viewport: { width, height },
      locale,
    });
    await shown.page.getByText("encoding 720p").waitFor();
    await shown.page.getByText("subtitles have a gap").waitFor();
    await shown.page.getByText("disk_full").first().waitFor();
    expect(await shown.faultsInBothSchemes()).toEqual([]);
    await expectFits(shown);
    await shown.picture(`task-running-${width}`);
    await shown.page.mouse.wheel(0, 600);
    await shown.picture(`task-running-below-${width}`);
    await shown.page.locator(".task-actions .button:not(.icon-only)").nth(1).click();
    await shown.page.getByRole("dialog").waitFor();
    expect(await shown.faultsInBothSchemes()).toEqual([]);
    await expectFits(shown);
    await shown.picture(`task-edit-${width}`);
    await stop();

    await shown.page.goto(`${app.url}/new?from=${id}`);
    await shown.page.locator(".new-form").waitFor();
    expect(await shown.faultsInBothSchemes()).toEqual([]);
    await expectFits(shown);
    await shown.picture(`new-${width}`);
    await shown.page.goto(`${app.url}/tasks/987654321`);
    await shown.page.getByRole("alert").waitFor();
    await expectFits(shown);
    await shown.picture(`task-unknown-${width}`);
    await shown.close();
    await client.remove(id);
  });
}

test("a failed task shows its error first", async () => {
  const { id } = await client.create({ name: "Nightly backup", type: "backup", max_attempts: 1 });
  const worker = createWorker({
    ...{ url: app.url, name: "backup-1" },
    handlers: { backup: async () => fail("No route to host 10.0.0.7", { code: "unreachable" }) },
  });
  worker.start();
  const shown = await browser.open(`${app.url}/tasks/${id}`, { locale: "ru-RU" });
  await shown.page.locator(".task-standing.failed").getByText("No route to host 10.0.0.7").waitFor();
  await shown.page.getByText("Задача завершилась ошибкой.").waitFor();
  expect(await shown.faults()).toEqual([]);
  expect(shown.complaints()).toEqual([]);
  await shown.picture("task-failed");
  await worker.stop();
  await shown.close();
});

const SCRIPT = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>";

test.each([
  ["markup", SCRIPT],
  ["marks of direction", "report\u202Egnp.exe \u2066\u2067\u200Fעברית"],
  ["no space", "x".repeat(255)],
  ["zero width", "\u200B\u200B\u200B"],
])("a name of %s is shown as text and breaks nothing", async (_, name) => {
  const payload: unknown = JSON.parse(
    JSON.stringify({ [SCRIPT]: SCRIPT, rtl: "\u202Eabc", long: "y".repeat(10_000) }).replace(
      "{",
      '{"__proto__":{"hacked":1},',
    ),
  );
  const { id } = await client.create({
    ...{
      name,
      description: SCRIPT + "z".repeat(9_000),
      type: "hostile",
      tags: [SCRIPT.slice(0, 64), "\u202Etag"],
      payload,
    },
  });
  const shown = await browser.open(`${app.url}/tasks/${id}`, { viewport: { width: 360, height: 740 } });
  await shown.page.getByText("__proto__").first().waitFor();
  await expectFits(shown);
  expect(await shown.faults()).toEqual([]);
  expect(await shown.page.evaluate(() => "hacked" in window || "hacked" in {})).toBe(false);
  // A change by another client reloads the task; its payload stays the same.
  await client.edit(id, { priority: 1 });
  await shown.page.locator(".task-fact", { hasText: "Priority" }).getByText("1", { exact: true }).waitFor();
  await shown.page.getByText("__proto__").first().waitFor();
  await shown.page.getByRole("button", { name: "Actions" }).click();
  await shown.page.getByRole("menuitem", { name: "Delete" }).click();
  await shown.page.getByRole("alertdialog").waitFor();
  await expectFits(shown);
  await shown.page.goto(`${app.url}/new?from=${id}`);
  await shown.page.locator(".new-form").waitFor();
  await expectFits(shown);
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

test("a payload of a megabyte, a deeply nested one and a very wide one do not block the page", async () => {
  const deep = `${'{"in":'.repeat(60)}1${"}".repeat(60)}`;
  const wide = {
    list: Array.from({ length: 60_000 }, (_, index) => index),
    deep: JSON.parse(deep) as unknown,
  };
  const { id } = await client.create({
    name: "large",
    type: "large",
    payload: { ...wide, text: "t".repeat(500_000) },
  });
  const shown = await browser.open(`${app.url}/tasks/${id}`);
  await shown.page.getByRole("heading", { name: "large" }).waitFor();
  await shown.page.getByText("list", { exact: false }).first().click();
  await shown.page.getByText("0 … 9999").waitFor();
  expect(await shown.page.locator(".task-json *").count()).toBeLessThan(2_000);
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});
