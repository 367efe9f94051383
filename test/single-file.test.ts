/** The single-file executable carries all that it loads by name: the thread of a SQLite file and its migrations. */
import { afterAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable, killLeftovers } from "./support/server-process.ts";

const SOURCE = join(import.meta.dir, "../src");
const home = await mkdtemp(join(tmpdir(), "tasktrack-single-"));
afterAll(async () => {
  killLeftovers();
  await rm(home, { recursive: true });
});

test("an executable of one file keeps tasks in SQLite", async () => {
  const program = join(home, "tasktrack");
  const entries = ["main.ts", "store/sqlite/thread-entry.ts"].map((name) => join(SOURCE, name));
  const built = spawnSync(process.execPath, ["build", "--compile", ...entries, "--outfile", program]);
  expect(built.status).toBe(0);

  const env = { HTTP_HOST: "127.0.0.1", HTTP_PORT: "0", STORE_URL: "sqlite:tasks.db", SHUTDOWN_GRACE: "0s" };
  for (const id of [1, 2]) {
    const server = executable(program, ["serve"], { env, cwd: home });
    const response = await fetch(`${await server.url()}/api/task`, { method: "POST", body: '{"name":"x"}' });
    expect(await response.json()).toMatchObject({ task_id: id });
    server.kill("SIGTERM");
    expect((await server.ended).code).toBe(0);
  }
}, 60_000);
