/** The example in Go. */

import { afterAll } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findBinary, findOrInstall } from "../support/servers/runner.ts";
import { examineWorker } from "./worker.suite.ts";

const folder = mkdtempSync(join(tmpdir(), "tasktrack-go-"));
afterAll(() => rmSync(folder, { recursive: true }));
const BINARY = join(folder, "worker");
const SLOTS = 3;

function build(): void {
  const go = findOrInstall({
    name: "the worker in Go",
    debianPackage: "golang-go",
    find: () => findBinary("go", ["/usr/local/go/bin"]),
  });
  if (go === null) throw new Error("the test of the worker in Go needs go: install Debian's golang-go");
  const cache = join(tmpdir(), "tasktrack-go-cache"); // kept: without it a build takes a minute
  const env = { GOCACHE: cache, ...process.env, CGO_ENABLED: "0", GOTOOLCHAIN: "local" };
  const cwd = join(import.meta.dir, "../../examples/go");
  const built = spawnSync(go, ["build", "-o", BINARY, "."], { cwd, env, encoding: "utf8" });
  if (built.status !== 0) throw new Error(`go build failed:\n${built.stdout}${built.stderr}`);
}

examineWorker("the worker in Go", {
  prepare: build,
  command: (server, type) => [BINARY, server, type, String(SLOTS)],
  slots: SLOTS,
});
