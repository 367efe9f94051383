/** The example in bash. */
import { join } from "node:path";
import { findBinary, findOrInstall } from "../support/servers/runner.ts";
import { examineWorker } from "./worker.suite.ts";

const SCRIPT = join(import.meta.dir, "../../examples/bash/worker.sh");

/** What the script calls, and Debian's package of it. */
const TOOLS = [
  ["curl", "curl"],
  ["jq", "jq"],
  ["ps", "procps"],
] as const;

function install(): void {
  for (const [name, debianPackage] of TOOLS) {
    if (findOrInstall({ name, debianPackage, find: () => findBinary(name) }) === null) {
      throw new Error(`the test of the worker in bash needs ${name}: install Debian's ${debianPackage}`);
    }
  }
}

examineWorker("the worker in bash", {
  prepare: install,
  command: (server, type) => ["bash", SCRIPT, server, type],
  slots: 1,
});
