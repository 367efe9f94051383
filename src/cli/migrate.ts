import { withoutPassword } from "../config.ts";
import { isTaskError } from "../core/error.ts";
import { createLog } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";
import type { Migration } from "../store/migrations.ts";
import { migrateStore } from "../store/open.ts";
import type { Command, Given } from "./command.ts";
import { FAILED, OK } from "./exit-codes.ts";
import { complain, configure, mostlyHidden, storeSetup } from "./settings.ts";

export const migrateCommand: Command = {
  name: "migrate",
  about: "bring the store's schema up to date",
  details: `Brings the schema of the store STORE_URL up to date, as each start of the server does. Refuses a store that is newer than this program.`,
  positionals: [],
  flags: [{ name: "dry-run", about: "print the changes without making them" }, ...mostlyHidden("store")],
  examples: [
    {
      line: "tasktrack migrate --dry-run --store postgres://localhost/tasks",
      about: "the changes that the next start would make",
    },
  ],
  run: ({ given }) => migrate(given),
};

async function migrate(given: Given): Promise<number> {
  const config = await configure(given);
  if (typeof config === "number") return config;
  const isDry = given.isOn("dry-run");
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

/** Some migrations need no script in some stores. */
const scriptOf = ({ number, text }: Migration): string[] =>
  text === "" ? [] : [`\n-- ${number}\n${text.trimEnd()}`];
