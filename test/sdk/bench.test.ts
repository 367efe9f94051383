/** `tasktrack bench` with a whole server. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { percentile } from "../../src/cli/bench.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { killLeftovers, tasktrack } from "../support/server-process.ts";

let server: RunningApp;
beforeAll(async () => {
  server = await startApp({ LEASE: "1s" });
});
afterAll(async () => {
  killLeftovers();
  await server.stop();
});

describe("tasktrack bench", () => {
  test("measures both phases and leaves no task behind", async () => {
    const flags = ["--url", server.url, "--tasks", "105", "--connections", "4", "--workers", "3", "--json"];
    const ended = await tasktrack(["bench", ...flags]).ended;
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(ended.stdout)).toMatchObject([
      { phase: "create", tasks: 105, requests: 11 },
      { phase: "claim+complete", tasks: 105 },
    ]);
    expect(await server.app.engine.count({})).toBe(0);
  });

  test.each([
    [["--batch", "0"], '--batch: expected a whole number from 1 to 1000, got "0"'],
    [["--url", "here"], "expected the server's address"],
    [["--nope"], "--nope"],
  ])("refuses %p with one line", async (flags, message) => {
    const ended = await tasktrack(["bench", ...flags]).ended;
    expect(ended).toMatchObject({ code: 2, stdout: "" });
    expect(ended.stderr).toInclude(message);
    expect(ended.stderr.trim()).not.toInclude("\n");
  });

  test("reports in one line that the server does not answer", async () => {
    const gone = await startApp();
    await gone.stop();
    const ended = await tasktrack(["bench", "--url", gone.url, "--tasks", "1"]).ended;
    expect(ended.code).toBe(1);
    expect(ended.stderr).toInclude("does not answer");
  });
});

test.each([
  [0.5, 50],
  [0.95, 95],
  [0.99, 99],
  [1, 100],
])("of the numbers from 1 to 100 the share %p is %p", (share, value) => {
  expect(
    percentile(
      Array.from({ length: 100 }, (_, at) => at + 1),
      share,
    ),
  ).toBe(value);
});
