/** The single-file executable contains everything that it loads by name: the thread for SQLite, the migrations, the web UI. */
import { afterAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "./support/eventually.ts";
import { executable, killLeftovers } from "./support/server-process.ts";
import { sharedPostgres } from "./support/servers/shared.ts";
import { uniqueName } from "./support/stores.ts";

const home = await mkdtemp(join(tmpdir(), "tasktrack-single-"));
afterAll(async () => {
  killLeftovers();
  await rm(home, { recursive: true });
});

const program = join(home, "tasktrack");

test("the single-file executable stores tasks in SQLite", async () => {
  const built = spawnSync(process.execPath, [join(import.meta.dir, "../scripts/build.ts"), program]);
  expect(built.status).toBe(0);

  const env = { HTTP_HOST: "127.0.0.1", HTTP_PORT: "0", STORE_URL: "sqlite:tasks.db", SHUTDOWN_GRACE: "0s" };
  for (const id of [1, 2]) {
    const server = executable(program, ["serve"], { env, cwd: home });
    const response = await fetch(`${await server.url()}/api/task`, { method: "POST", body: '{"name":"x"}' });
    expect(await response.json()).toMatchObject({ task_id: id });
    server.kill("SIGTERM");
    expect((await server.ended).code).toBe(0);
  }
});

test("the single-file executable serves the web UI that it contains", async () => {
  const server = executable(program, ["serve"], {
    env: { HTTP_HOST: "127.0.0.1", HTTP_PORT: "0" },
    cwd: home,
  });
  const url = await server.url();
  const page = await (await fetch(url, { headers: { accept: "text/html" } })).text();
  const [script] = /\/assets\/main-\w+\.js/.exec(page) ?? [page];
  expect((await fetch(url + script)).headers.get("content-type")).toBe("text/javascript; charset=utf-8");
  server.kill("SIGTERM");
  expect((await server.ended).code).toBe(0);
});

test("the single-file executable starts itself for each of several processes", async () => {
  const schema = uniqueName("single_file");
  const STORE_URL = `${sharedPostgres()}?schema=${schema}&connections=3`;
  const env = { HTTP_HOST: "127.0.0.1", HTTP_PORT: "0", PROCESSES: "2", STORE_URL };
  const server = executable(program, ["serve"], { env, cwd: home });
  const url = await server.url();
  await eventually(
    () => server.events().filter(({ event }) => event === "listening").length,
    (count) => count === 2,
  );
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  server.kill("SIGTERM");
  expect(await server.ended).toMatchObject({ code: 0, stderr: "" });
});
