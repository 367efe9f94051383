/** The overview in a real browser. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createClient, createWorker, fail } from "../../src/client/client.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/servers/runner.ts";

let app: RunningApp;
let browser: TestBrowser;
let worker: ReturnType<typeof createWorker>;
let end = (): void => undefined;

beforeAll(async () => {
  app = await startApp({ DISPATCH_INTERVAL: "0s", ROLE: "api" });
  browser = await launchBrowser();
  const client = createClient(app.url);
  const ended = new Promise<void>((resolve) => (end = resolve));
  worker = createWorker({
    ...{ url: app.url, name: "gpu-1", concurrency: 4, lease: "10s" },
    handlers: {
      "video.encode": () => ended,
      "mail.send": async () => "sent",
      "mail.bounce": async () => fail("unknown address", { retryable: false }),
    },
  });
  worker.start();
  await client.create({ name: "a film", type: "video.encode" });
  for (const type of ["mail.send", "mail.send", "mail.bounce"])
    await client.run({ name: type, type }).catch(() => null);
  await client.create({ name: "without a worker", type: "orphan" });
});
afterAll(async () => {
  end();
  await worker?.stop(0);
  await browser?.close();
  await app?.stop();
});

for (const viewport of [
  { width: 1280, height: 1000 },
  { width: 360, height: 740 },
]) {
  test(`shows the state of the server, accessible, at ${viewport.width} pixels`, async () => {
    const shown = await browser.open(`${app.url}/overview`, { viewport });
    const { page } = shown;
    await page.getByRole("heading", { name: "Overview", exact: true }).waitFor();
    const counts = page.getByRole("list", { name: "Tasks by status" });
    await counts.getByRole("link", { name: "Done 2" }).waitFor();
    await counts.getByRole("link", { name: "Failed 1" }).waitFor();
    await counts.getByRole("link", { name: "Running 1" }).waitFor();
    await page.getByText(/orphan waiting for/).waitFor();
    await page.getByText("Ready for traffic").waitFor();
    const row = page.getByRole("row").filter({ hasText: "gpu-1" });
    await row.getByText("1 / 4").waitFor();
    await row.getByRole("link", { name: "1", exact: true }).waitFor();
    await page.getByRole("img", { name: "Finished tasks per minute" }).locator("canvas").waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
    await shown.picture(`overview-${viewport.width}`);
    expect(await shown.faultsInBothSchemes()).toEqual([]);
    expect(shown.complaints()).toEqual([]);
    await shown.close();
  });
}

test("shows the numbers of a chart as a table", async () => {
  const shown = await browser.open(`${app.url}/overview`);
  const chart = shown.page.locator(".overview-section").filter({ hasText: "Finished tasks per minute" });
  await chart.getByText("Show as table").click();
  const done = await chart.getByRole("row").nth(1).getByRole("cell").first().innerText();
  expect(Number(done)).toBeGreaterThan(0);
  await shown.close();
});

test("links each count to the counted tasks", async () => {
  const shown = await browser.open(`${app.url}/overview`);
  await shown.page.getByRole("link", { name: "Failed 1" }).click();
  await shown.page.getByRole("link", { name: "mail.bounce" }).first().waitFor();
  expect(new URL(shown.page.url()).search).toBe("?status=failed");
  await shown.close();
});

test("drains a worker after a confirmation, and resumes it", async () => {
  const client = createClient(app.url);
  const isDraining = async (): Promise<boolean | undefined> =>
    (await client.stats()).workers.find(({ worker: name }) => name === "gpu-2")?.draining;
  const other = createWorker({ url: app.url, name: "gpu-2", handlers: { nothing: async () => null } });
  other.start();
  await eventually(isDraining, (draining) => draining === false);
  const shown = await browser.open(`${app.url}/overview`);
  const row = shown.page.getByRole("row").filter({ hasText: "gpu-2" });
  await row.getByRole("button", { name: "Drain" }).click();
  await shown.page.getByRole("alertdialog").getByRole("button", { name: "Drain" }).click();
  await eventually(isDraining, (draining) => draining === true);
  await row.getByRole("button", { name: "Resume" }).click();
  await eventually(isDraining, (draining) => draining === false);
  expect(shown.complaints()).toEqual([]);
  await shown.close();
  await other.stop(0);
});

test("says in Russian that there is nothing to show", async () => {
  const empty = await startApp({ ROLE: "api" });
  const shown = await browser.open(`${empty.url}/overview`, { locale: "ru-RU" });
  await shown.page.getByText("За последний час задачи не запускались").waitFor();
  await shown.page.getByText("не было активных исполнителей").waitFor();
  expect(await shown.faults()).toEqual([]);
  await shown.close();
  await empty.stop();
});

test("says that the broker does not answer and that the server is still ready", async () => {
  const unusedAddress = `amqp://guest:guest@127.0.0.1:${await freePort()}`;
  const brokerless = await startApp({ QUEUE_URL: unusedAddress, ROLE: "api" });
  const shown = await browser.open(`${brokerless.url}/overview`);
  const broker = shown.page
    .locator("section")
    .filter({ has: shown.page.getByRole("heading", { name: "Broker" }) });
  await broker.getByText("RabbitMQ does not answer.").waitFor();
  await shown.page.getByText("Ready for traffic").waitFor();
  await shown.picture("overview-broker-away");
  expect(await shown.faults()).toEqual([]);
  await shown.close();
  await brokerless.stop();
});
