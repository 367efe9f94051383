#!/usr/bin/env bash
# Importing the Kafka client @platformatic/kafka compiles dozens of JSON Schemas before any function is called.
#
# Expected: importing a client library defines its classes. The validators of the options of a producer, a consumer or an admin client
#   are built when the first client of that kind is created, or are part of the package in compiled form.
# Happens: during the import Ajv generates and compiles a validator for each option schema of every kind of client, also of kinds
#   that the program never creates. Under Bun 1.4.5 this took 0.45 s of processor time; a whole HTTP server started in 0.15 s.
#   The script adds a counter to Ajv before the import, and prints the number of schemas that were compiled by its end.
# Versions: @platformatic/kafka 2.12.1, ajv 8 as the package installs it; Node.js 20.
# Matters: every short process that may use Kafka (a command line, a worker of a pool, a test) needs this time. Import the client where
#   it is used, not at the beginning of a module.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @platformatic/kafka@2.12.1

cat >count.cjs <<'JS'
// Every class of Ajv inherits `compile` from its core.
const { createRequire } = require("node:module");
const core = createRequire(require.resolve("@platformatic/kafka"))("ajv/dist/core.js").default;
const { compile } = core.prototype;
let compiled = 0;
core.prototype.compile = function (...args) {
  compiled++;
  return compile.apply(this, args);
};
globalThis.compiledSchemas = () => compiled;
JS
cat >import.mjs <<'JS'
const before = process.cpuUsage();
const { Producer } = await import("@platformatic/kafka");
const { user, system } = process.cpuUsage(before);
console.error(`the import took ${Math.round((user + system) / 1_000)} ms of processor time`);
console.log(`${typeof Producer === "function" ? "imported" : "no client"}, nothing called: ${globalThis.compiledSchemas()} schemas compiled`);
JS

echo "node $(node --version)"
npm ls @platformatic/kafka ajv | tail -n +2
node --require ./count.cjs import.mjs | tee seen
grep -Eq '^imported, nothing called: 38 schemas compiled$' seen && echo "as described"
