/** The page of one task, tested only through the page. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  type Client,
  createClient,
  createWorker,
  fail,
  type Handler,
  type TaskSpec,
} from "../../src/client/client.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { untilLive } from "../support/live.ts";

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

const create = async (spec: TaskSpec): Promise<number> => (await client.create(spec)).id;
const open = (id: number | string, options = {}) => browser.open(`${app.url}/tasks/${id}`, options);

/** A worker for one type, with the handler of the test. */
function startWorker(type: string, handler: Handler): () => Promise<number> {
  const worker = createWorker({ url: app.url, handlers: { [type]: handler }, name: `worker of ${type}` });
  worker.start();
  return () => worker.stop(0);
}

/** A promise for a handler to await, and the function with which the test resolves it. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { passed: promise, pass: () => resolve() };
}

test("the page follows a task from waiting through progress to its result", async () => {
  const [half, end] = [gate(), gate()];
  const id = await create({ name: "watched", type: "watched", payload: { input: "a.mp4" } });
  const shown = await open(id);
  await shown.page
    .getByText("no worker that was active in the last minute takes tasks of type “watched”")
    .waitFor();
  const stop = startWorker("watched", async (_, { progress }) => {
    progress(10, "reading the file");
    await half.passed;
    progress(60, "writing the file");
    await end.passed;
    return { frames: 4711 };
  });
  await shown.page.getByText("reading the file").waitFor();
  await shown.page.getByText("Running on worker worker of watched, attempt 1.").waitFor();
  half.pass();
  await shown.page.getByText("writing the file").waitFor();
  await shown.page.waitForFunction(() => document.title.startsWith("Running 60% · watched"));
  end.pass();
  await shown.page.getByText("The task is done.").waitFor();
  await shown.page.getByText("4711").waitFor();
  await shown.page.waitForFunction(() => document.title.startsWith("Done · watched"));
  expect(shown.complaints()).toEqual([]);
  await shown.close();
  await stop();
});

for (const [when, byMs, sentence] of [
  [
    "while its lease lasts",
    60_000,
    /^Worker far does not respond\. If it stays silent, another worker gets the task: in \d+ /,
  ],
  ["after its lease", -60_000, /^Worker far does not respond\. Another worker will get the task soon\.$/],
] as const) {
  test(`the page says that the worker does not respond ${when}`, async () => {
    const type = `silent-${byMs}`;
    const id = await create({ name: "silent", type });
    const claim = { worker: "far", types: [type], max: 1, lease: "1h" };
    await fetch(`${app.url}/api/worker/claim`, { method: "POST", body: JSON.stringify(claim) });
    const shown = await open("none");
    // A real lease takes minutes to expire, so the test changes the time in the server's answer.
    await shown.page.route("**/explain", async (route) => {
      const answer = await (await route.fetch()).json();
      const lease_until = new Date(Date.now() + byMs).toISOString();
      await route.fulfill({ json: { ...answer, reason: "worker_silent", lease_until } });
    });
    await shown.page.goto(`${app.url}/tasks/${id}`);
    await shown.page.getByText(sentence).waitFor();
    await client.cancel(id);
    await shown.close();
  });
}

test("the duration of a running task keeps growing after an event", async () => {
  const end = gate();
  const id = await create({ name: "ticking", type: "ticking" });
  const shown = await open(id);
  const stop = startWorker("ticking", async (_, { progress }) => {
    progress(1, "begun");
    await end.passed;
  });
  await shown.page.getByText("begun").waitFor();
  const duration = shown.page.locator(".task-facts .duration");
  const first = await duration.textContent();
  await shown.page.waitForFunction(
    (text) => document.querySelector(".task-facts .duration")?.textContent !== text,
    first,
  );
  end.pass();
  await stop();
  await shown.close();
});

test("the timeline shows each failed attempt with its error, and the time of the next attempt", async () => {
  const id = await create({
    name: "broken",
    type: "broken",
    max_attempts: 2,
    backoff: { base: "1h", max: "1h" },
  });
  const stop = startWorker("broken", async () => fail("The file is not there", { code: "no_file" }));
  const shown = await open(id);
  const step = shown.page.locator(".task-step.failed");
  await step.getByText("The file is not there").waitFor();
  await step.getByText("no_file").waitFor();
  await step.getByText("Attempt 1 failed").waitFor();
  await shown.page.getByText("Failed once; next attempt:").waitFor();
  await shown.page.locator(".task-step.waiting").getByText("next attempt").waitFor();
  await stop();
  await shown.close();
});

test("the log scrolls with new lines until the user scrolls up, and again after a click", async () => {
  const more = gate();
  const last = gate();
  const end = gate();
  const id = await create({ name: "talkative", type: "talkative" });
  const stop = startWorker("talkative", async (_, { log }) => {
    for (let n = 1; n <= 900; n++) log(`line number ${n}`, n % 100 === 0 ? "warn" : "info");
    await more.passed;
    log("one more line");
    await last.passed;
    log("the very last line", "error");
    await end.passed;
  });
  const shown = await open(id);
  const log = shown.page.getByRole("log", { name: "Log" });
  const isAtEnd = () => log.evaluate((one) => one.scrollHeight - one.scrollTop - one.clientHeight < 10);
  await log.getByText("line number 900").waitFor();
  expect(await isAtEnd()).toBe(true);
  await log.hover();
  await shown.page.mouse.wheel(0, -2_000);
  await shown.page.getByRole("button", { name: "Go to the latest line" }).waitFor();
  const top = await log.evaluate((one) => one.scrollTop);
  more.pass();
  await shown.page.getByRole("button", { name: "1 new line" }).waitFor();
  expect(await log.evaluate((one) => one.scrollTop)).toBe(top);
  await shown.page.getByRole("button", { name: "1 new line" }).click();
  last.pass();
  await log.getByText("the very last line").waitFor();
  expect(await isAtEnd()).toBe(true);

  await shown.page.getByRole("combobox", { name: "Level" }).selectOption("warn");
  await shown.page.getByText("10 of 902 lines").waitFor();
  await shown.page.getByRole("searchbox", { name: "Filter the lines" }).fill("number 500");
  await shown.page.getByText("1 of 902 lines").waitFor();
  expect(await log.innerText()).toContain("line number 500");
  await shown.page.getByRole("searchbox", { name: "Filter the lines" }).fill("nowhere");
  await shown.page.getByText("No line matches the filter.").waitFor();
  expect(await shown.faults()).toEqual([]);
  expect(shown.complaints()).toEqual([]);
  end.pass();
  await stop();
  await shown.close();
});

test("every field of a pending task can be edited", async () => {
  const id = await create({
    name: "to edit",
    type: "edited",
    payload: { width: 1 },
    run_at: "2099-01-01T00:00:00Z",
  });
  const shown = await open(id);
  await shown.page.getByRole("button", { name: "Edit" }).click();
  const dialog = shown.page.getByRole("dialog", { name: "Edit the task" });
  await dialog.getByRole("textbox", { name: "Name" }).fill("edited");
  await dialog.getByRole("textbox", { name: "Payload" }).fill('{"width": 640}');
  await dialog.getByRole("textbox", { name: "Priority" }).fill("7");
  await dialog.getByRole("textbox", { name: "Timeout" }).fill("90s");
  await dialog.getByRole("textbox", { name: "Maximum attempts" }).fill("9");
  await dialog.getByRole("combobox", { name: "Tags" }).fill("night");
  await shown.page.keyboard.press("Enter");
  expect(await shown.faults()).toEqual([]);
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.waitFor({ state: "detached" });
  await shown.page.getByRole("heading", { name: "edited" }).waitFor();
  await shown.page.getByText("640", { exact: true }).waitFor();
  expect(await client.get(id)).toMatchObject({
    ...{
      name: "edited",
      payload: { width: 640 },
      priority: 7,
      timeout: "1m30s",
      max_attempts: 9,
      tags: ["night"],
    },
    run_at: "2099-01-01T00:00:00.000Z",
  });
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

/** Numbers that JavaScript prints differently, and unusual white space. */
const WRITTEN = '{"id":3889108265204450030, "x":1e999,"list":[0.10,{}] }';

/** Creates a task with the exact payload text. */
const createWritten = (spec: TaskSpec): Promise<number> => create({ ...spec, payloadText: WRITTEN });

/** The API's answer as text, because JSON.parse would round its numbers. */
const answerFor = async (id: number): Promise<string> => (await fetch(`${app.url}/api/task/${id}`)).text();

test("an edit of the name does not change any character of the payload", async () => {
  const id = await createWritten({ name: "exact", type: "exact" });
  const shown = await open(id);
  const patches: unknown[] = [];
  shown.page.on("request", (request) => {
    if (request.method() === "PATCH") patches.push(request.postDataJSON());
  });
  await shown.page.getByRole("button", { name: "Edit" }).click();
  const dialog = shown.page.getByRole("dialog", { name: "Edit the task" });
  expect(await dialog.getByRole("textbox", { name: "Payload" }).inputValue()).toBe(
    '{\n  "id": 3889108265204450030,\n  "x": 1e999,\n  "list": [\n    0.10,\n    {}\n  ]\n}',
  );
  await dialog.getByRole("textbox", { name: "Name" }).fill("exactly");
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.waitFor({ state: "detached" });
  await shown.page.getByRole("heading", { name: "exactly" }).waitFor();
  expect(patches).toEqual([{ name: "exactly" }]);
  expect(await answerFor(id)).toContain(`"payload":${WRITTEN},`);
  await shown.close();
});

test("an edit of one character in the payload keeps the digits of all other numbers", async () => {
  const id = await createWritten({ name: "one character", type: "exact" });
  const shown = await open(id);
  await shown.page.getByRole("button", { name: "Edit" }).click();
  const dialog = shown.page.getByRole("dialog", { name: "Edit the task" });
  const payload = dialog.getByRole("textbox", { name: "Payload" });
  await payload.fill((await payload.inputValue()).replace("1e999", "1e998"));
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.waitFor({ state: "detached" });
  expect(await answerFor(id)).toContain('"payload":{"id":3889108265204450030,"x":1e998,"list":[0.10,{}]},');
  await shown.close();
});

test("an edited payload may become empty", async () => {
  const id = await createWritten({ name: "no payload left", type: "exact" });
  const shown = await open(id);
  await shown.page.getByRole("button", { name: "Edit" }).click();
  const dialog = shown.page.getByRole("dialog", { name: "Edit the task" });
  await dialog.getByRole("textbox", { name: "Payload" }).fill(" ");
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.waitFor({ state: "detached" });
  expect(await client.get(id)).toMatchObject({ payload: null });
  await shown.close();
});

test("payload and result are shown with the digits that were sent", async () => {
  const id = await createWritten({ name: "exact digits", type: "exact-digits", max_attempts: 1 });
  const claim = await fetch(`${app.url}/api/worker/claim`, {
    method: "POST",
    body: JSON.stringify({ worker: "w", types: ["exact-digits"], max: 1, lease: "1m" }),
  });
  const { tasks } = (await claim.json()) as { tasks: readonly { lease: { token: string } }[] }; // as the API specifies
  const token = JSON.stringify(tasks[0]?.lease.token);
  const body = `{"token":${token},"result":-12345678901234567890.50}`;
  expect((await fetch(`${app.url}/api/task/${id}/complete`, { method: "POST", body })).status).toBe(200);
  const shown = await open(id);
  const payload = shown.page.locator(".task-json", { hasText: "id:" });
  for (const number of ["3889108265204450030", "1e999", "0.10"])
    await payload.locator(".json-number").getByText(number, { exact: true }).waitFor();
  await shown.page.locator("pre.json").getByText("-12345678901234567890.50", { exact: true }).waitFor();
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

test("the page shows a payload that another client edits", async () => {
  const id = await create({ name: "edited elsewhere", type: "edited-elsewhere", payload: { width: 11 } });
  const shown = await open(id);
  await shown.page.locator(".task-json").getByText("11", { exact: true }).waitFor();
  await client.edit(id, { payload: { width: 12 } });
  await shown.page.locator(".task-json").getByText("12", { exact: true }).waitFor();
  await shown.close();
});

test("an edit of a payload that another client changed is a conflict, even before the page has loaded the change", async () => {
  const id = await create({ name: "changed twice", type: "changed-twice", payload: { width: 11 } });
  const shown = await open(id);
  await shown.page.locator(".task-json").getByText("11", { exact: true }).waitFor();
  await untilLive(shown.page, client, id);
  const reading = gate();
  await shown.page.route(`**/api/task/${id}`, async (route) => {
    if (route.request().method() === "GET") await reading.passed;
    await route.continue();
  });
  await client.edit(id, { name: "changed elsewhere", payload: { width: 12 } });
  await shown.page.getByRole("heading", { name: "changed elsewhere" }).waitFor(); // from an event, which contains no payload
  await shown.page.getByRole("button", { name: "Edit" }).click();
  const dialog = shown.page.getByRole("dialog", { name: "Edit the task" });
  await dialog.getByRole("textbox", { name: "Payload" }).fill('{"width": 11, "height": 1}');
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByText("This task was changed after you opened the form.").waitFor();
  expect(await client.get(id)).toMatchObject({ payload: { width: 12 } });
  reading.pass();
  await dialog.getByText("Changed fields: Payload.").waitFor();
  await shown.page.unrouteAll({ behavior: "ignoreErrors" });
  await shown.close();
});

test("validation errors of an edit appear at the fields", async () => {
  const id = await create({ name: "faulty", type: "faulty" });
  const shown = await open(id);
  await shown.page.getByRole("button", { name: "Edit" }).click();
  const dialog = shown.page.getByRole("dialog", { name: "Edit the task" });
  await dialog.getByRole("textbox", { name: "Priority" }).fill("2000");
  await dialog.getByRole("textbox", { name: "Timeout" }).fill("soon");
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByText("must be a whole number from -1000 to 1000").waitFor();
  await dialog.getByText("must be a duration of at least 1ms").waitFor();
  expect(await client.get(id)).toMatchObject({ version: 1 });
  await shown.close();
});

test("a conflict of two edits is shown, and no edit is lost without a confirmation", async () => {
  const id = await create({ name: "disputed", type: "disputed", description: "first" });
  const shown = await open(id);
  await shown.page.getByRole("button", { name: "Edit" }).click();
  const dialog = shown.page.getByRole("dialog", { name: "Edit the task" });
  await dialog.getByRole("textbox", { name: "Name" }).fill("mine");
  await client.edit(id, { description: "theirs", priority: 3 });
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByText("This task was changed after you opened the form.").waitFor();
  await dialog.getByText("Changed fields: Description, Priority.").waitFor();
  expect(await client.get(id)).toMatchObject({ name: "disputed", description: "theirs" });
  expect(await shown.faults()).toEqual([]);
  await dialog.getByRole("button", { name: "Overwrite with my changes" }).click();
  await dialog.waitFor({ state: "detached" });
  expect(await client.get(id)).toMatchObject({ name: "mine", description: "theirs", priority: 3 });
  await shown.close();
});

test("a running task is cancelled only after a confirmation, and its handler is aborted", async () => {
  const id = await create({ name: "to cancel", type: "cancellable" });
  const aborted = gate();
  const stop = startWorker("cancellable", async (_, { signal, progress }) => {
    progress(1, "at it");
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    aborted.pass();
    throw signal.reason;
  });
  const shown = await open(id);
  await shown.page.getByText("at it").waitFor();
  await shown.page.getByRole("button", { name: "Cancel", exact: true }).click();
  const question = shown.page.getByRole("alertdialog", { name: "Cancel “to cancel”?" });
  expect(await shown.faults()).toEqual([]);
  await question.getByRole("button", { name: "Cancel the task" }).click();
  await aborted.passed;
  await shown.page.getByText("The task was cancelled.").waitFor();
  await shown.page.locator(".task-step.cancelled").waitFor();
  expect(shown.complaints()).toEqual([]);
  await shown.close();
  await stop();
});

test("a cancelled task is retried immediately, a done task after a confirmation", async () => {
  const id = await create({ name: "to retry", type: "retried" });
  const shown = await open(id);
  await shown.page.getByRole("button", { name: "Cancel", exact: true }).click();
  await shown.page.getByText("The task was cancelled.").waitFor();
  await shown.page.getByRole("button", { name: "Retry" }).click();
  await shown.page.getByRole("button", { name: "Cancel", exact: true }).waitFor();
  const stop = startWorker("retried", async (task) => ({ attempt: task.attempt }));
  await shown.page.getByText("The task is done.").waitFor();
  await stop();
  await shown.page.getByRole("button", { name: "Retry" }).click();
  await shown.page
    .getByRole("alertdialog", { name: "Run “to retry” again?" })
    .getByRole("button", { name: "Run again" })
    .click();
  await shown.page.locator(".task-step.waiting").getByText("Retried manually").waitFor();
  expect(await client.get(id)).toMatchObject({ status: "pending", attempt: 0 });
  expect(shown.complaints()).toEqual([]);
  await shown.close();
});

test("a rejected request shows a sentence with the request id", async () => {
  const id = await create({ name: "refused", type: "refused", key: "only-one" });
  await client.cancel(id);
  await create({ name: "the living one", type: "refused", key: "only-one" });
  const shown = await open(id);
  await shown.page.getByRole("button", { name: "Retry" }).click();
  await shown.page
    .locator(".toast")
    .getByText(/^Request ID: \S+/)
    .waitFor();
  await shown.page.locator(".toast").getByText(/key/).waitFor();
  await shown.close();
});

test("every curl command does the same as its button", async () => {
  const id = await create({
    ...{ name: "it's “curly” $HOME `id`", type: "curled", payload: { "a'b": 'c\\n"d"\n' }, tags: ["x y"] },
  });
  const shown = await open(id);
  await shown.page.getByText("The same with curl").click();
  const line = async (label: string): Promise<string> =>
    (await shown.page
      .locator(".task-curl dl > div")
      .filter({ has: shown.page.getByText(label, { exact: true }) })
      .locator("code")
      .textContent()) ?? "";
  const lines = new Map<string, string>();
  for (const label of [
    "Get the task",
    "Get the log",
    "Explain the state",
    "Edit",
    "Cancel",
    "Retry",
    "Duplicate",
    "Delete",
  ])
    lines.set(label, await line(label));
  const run = async (label: string): Promise<string> => {
    const child = Bun.spawn(["sh", "-c", `${lines.get(label)} -sSf`]);
    const answer = await new Response(child.stdout).text();
    expect(`${label}: ${await child.exited}`).toBe(`${label}: 0`);
    return answer;
  };
  expect(JSON.parse(await run("Get the task"))).toMatchObject({ id, name: "it's “curly” $HOME `id`" });
  expect(JSON.parse(await run("Get the log"))).toEqual([]);
  expect(JSON.parse(await run("Explain the state"))).toMatchObject({ reason: "no_worker" });
  await run("Edit");
  expect(await client.get(id)).toMatchObject({ name: "new name" });
  await run("Cancel");
  expect(await client.get(id)).toMatchObject({ status: "cancelled" });
  await run("Retry");
  expect(await client.get(id)).toMatchObject({ status: "pending" });
  const { task_id: like } = JSON.parse(await run("Duplicate"));
  expect(await client.get(like)).toMatchObject({
    ...{ name: "it's “curly” $HOME `id`", type: "curled", payload: { "a'b": 'c\\n"d"\n' }, tags: ["x y"] },
  });
  await run("Delete");
  await shown.page.getByText("This task was deleted.").waitFor();
  await shown.close();
});

test("j and k open the next and the previous task of the last list", async () => {
  const [first, second, third] = [
    await create({ name: "neighbour one", type: "n" }),
    await create({ name: "neighbour two", type: "n" }),
    await create({ name: "neighbour three", type: "n" }),
  ];
  expect(third).toBeGreaterThan(second);
  const shown = await browser.open(`${app.url}/tasks?type=n`);
  await shown.page.getByRole("link", { name: "neighbour two" }).click();
  await shown.page.getByRole("heading", { name: "neighbour two" }).waitFor();
  await shown.page.keyboard.press("j");
  await shown.page.waitForURL(`${app.url}/tasks/${first}`);
  await shown.page.getByRole("heading", { name: "neighbour one" }).waitFor();
  await shown.page.keyboard.press("k");
  await shown.page.getByRole("heading", { name: "neighbour two" }).waitFor();
  await shown.close();
});

test("an invalid id and an unknown id have their own pages", async () => {
  const shown = await open("abc");
  await shown.page.getByRole("heading", { level: 1, name: "This is not a task id" }).waitFor();
  expect(await shown.faults()).toEqual([]);
  expect(shown.complaints()).toEqual([]);
  await shown.page.goto(`${app.url}/tasks/123456789`);
  await shown.page.getByRole("heading", { level: 1, name: "There is no task 123456789" }).waitFor();
  await shown.page.getByText(/^Request ID: \S+/).waitFor();
  await shown.page.getByRole("link", { name: "Go to the tasks" }).click();
  await shown.page.waitForURL(`${app.url}/tasks`);
  await shown.close();
});
