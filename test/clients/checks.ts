/** Tools that check the OpenAPI document, and check the server against it. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command, npmPackages, pythonPackages, runCommand } from "./programs.ts";

type Check = {
  readonly name: string;
  readonly tool: string;
  /** Rejects with the findings. */
  readonly run: (url: string) => Promise<unknown>;
};

async function lint(url: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "tasktrack-redocly-"));
  try {
    await writeFile(join(folder, "openapi.json"), await (await fetch(`${url}/openapi.json`)).text());
    const program = join(await npmPackages("redocly"), ".bin/redocly");
    const options = command(
      process.execPath,
      ...["--bun", program, "lint", "openapi.json", "--max-problems", "20"],
    );
    await runCommand(
      { ...options, env: { REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" } },
      folder,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The seed is fixed, so that each run is the same test. */
async function sendWhatItAllows(url: string): Promise<void> {
  const program = join(await pythonPackages("schemathesis"), "schemathesis");
  const config = join(import.meta.dir, "schemathesis/schemathesis.toml");
  const options = ["run", `${url}/openapi.json`, "--phases", "coverage,fuzzing", "--max-examples", "10"];
  const args = ["--config-file", config, ...options, "--seed", "1", "--no-color", "--request-timeout", "70"];
  await runCommand(command(program, ...args), tmpdir());
}

export const CHECKS: readonly Check[] = [
  { name: "redocly", tool: "redocly lint 2.77.0", run: lint },
  { name: "schemathesis", tool: "schemathesis 4.32.5", run: sendWhatItAllows },
];
