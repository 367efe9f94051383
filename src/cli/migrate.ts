import { withoutPassword } from "../config.ts";
import { isTaskError } from "../core/error.ts";
import { createLog } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";
import type { Migration } from "../store/migrations.ts";
import { migrateStore } from "../store/open.ts";
import { complain, configureWith, FAILED, OK, storeSetup } from "./settings.ts";

export const migrateHelp = `Usage: tasktrack migrate [--dry-run] [--store URL]

Brings the schema of the store that STORE_URL names up to date, as every start of the server does. It is refused where the
store is newer than this program.

  --dry-run    says what would be done, and does nothing
  --store URL  another store than STORE_URL's
`;

/** `tasktrack migrate`: resolves with the exit code. */
export async function migrate(argv: readonly string[]): Promise<number> {
  const configured = await configureWith(argv, { "dry-run": { type: "boolean" } });
  if (typeof configured === "number") return configured;
  const { config, given } = configured;
  const isDry = given["dry-run"] === true;
  const log = createLog({ level: "error", pretty: false, now: systemClock.now, write: () => undefined });
  try {
    const { current, pending } = await migrateStore(storeSetup(config.storeUrl, config, log), !isDry);
    const has = isDry || pending.length === 0 ? "has" : "had";
    const lines = [
      `${withoutPassword(config.storeUrl)} ${has} schema number ${current}`,
      ...pending.map(({ number, name }) => `  ${isDry ? "would apply" : "applied"} ${number}: ${name}`),
      ...(pending.length === 0 ? ["  up to date"] : []),
      ...(isDry ? pending.flatMap(scriptOf) : []),
    ];
    process.stdout.write(`${lines.join("\n")}\n`);
    return OK;
  } catch (error) {
    if (!isTaskError(error)) throw error;
    complain(error.message);
    return FAILED;
  }
}

/** Some stores need no script for a step. */
const scriptOf = ({ number, text }: Migration): string[] =>
  text === "" ? [] : [`\n-- ${number}\n${text.trimEnd()}`];
