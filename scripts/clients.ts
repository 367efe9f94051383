/**
 * `npm run clients [-- NAME...]`: makes clients from the OpenAPI document with common generators, compiles them and runs them
 * against a live server. Tests the SDK on many runtimes. Lints the document, and lets schemathesis send valid and invalid
 * requests. Prints a table. If a program is missing and a client cannot run, the client counts as failed. docs/clients.md lists
 * the programs.
 */

import { CHECKS } from "../test/clients/checks.ts";
import { CLIENTS, type Report, STEPS, tryClient } from "../test/clients/clients.ts";
import { examineSdk } from "../test/clients/sdk.ts";
import { startApp } from "../test/support/app.ts";

type Row = { readonly name: string; readonly isRight: boolean; readonly words: string };

function clientRow(name: string, report: Report): Row {
  if (report.kind === "not run") return { name, isRight: false, words: `NOT RUN: ${report.reason}` };
  const missing = STEPS.filter((step) => !report.steps.includes(step));
  if (missing.length === 0 && report.fault === null) return { name, isRight: true, words: "all steps" };
  return { name, isRight: false, words: `without ${missing.join(", ")}\n${report.fault ?? ""}` };
}

const wanted = Bun.argv.slice(2);
const isWanted = ({ name }: { readonly name: string }): boolean =>
  wanted.length === 0 || wanted.includes(name);

const server = await startApp({ ROLE: "api" });
const rows: Row[] = [];
const add = (row: Row): void => {
  rows.push(row);
  console.log(`${row.isRight ? "passed" : "FAILED"}  ${row.name.padEnd(24)} ${row.words}`);
};
for (const client of CLIENTS.filter(isWanted))
  add(clientRow(client.generator, await tryClient(client, server.url)));
for (const check of CHECKS.filter(isWanted)) {
  const fault = await check.run(server.url).then(
    () => null,
    (error: unknown) => String(error),
  );
  add({ name: check.tool, isRight: fault === null, words: fault ?? "no finding" });
}
await server.stop();
if (isWanted({ name: "sdk" })) {
  for await (const { name, faults } of examineSdk()) {
    add({ name: `SDK, ${name}`, isRight: faults.length === 0, words: faults.join("\n") });
  }
}

const failed = rows.filter(({ isRight }) => !isRight).length;
console.log(`${rows.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 && rows.length > 0 ? 0 : 1);
