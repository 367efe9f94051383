/** `npm run bench [-- names…] [-- --quick] [-- --option=value…]`: runs the named benchmarks, or all, and prints which targets are met. */
import { availableParallelism } from "node:os";
import { across } from "./across.ts";
import { beats } from "./beats.ts";
import { brokers } from "./brokers.ts";
import { changelog } from "./changelog.ts";
import { churn } from "./churn.ts";
import { claims } from "./claims.ts";
import { compression } from "./compression.ts";
import { creates } from "./creates.ts";
import { drain } from "./drain.ts";
import { handlers } from "./handlers.ts";
import { http } from "./http.ts";
import { LOAD_CORE, pinSelf, refusal } from "./machine.ts";
import { million } from "./million.ts";
import { type Options, optionsIn } from "./options.ts";
import { pickup } from "./pickup.ts";
import { processes } from "./processes.ts";
import { pulls } from "./pulls.ts";
import { type Verdict, verdictLine } from "./report.ts";
import { running } from "./running.ts";
import { stopAll } from "./servers.ts";
import { singles } from "./singles.ts";
import { start } from "./start.ts";
import { removeStores } from "./stores.ts";
import { turns } from "./turns.ts";
import { workers } from "./workers.ts";

const BENCHMARKS = new Map(
  Object.entries({
    start,
    http,
    pickup,
    million,
    running,
    turns,
    churn,
    compression,
    creates,
    drain,
    singles,
    pulls,
    across,
    claims,
    beats,
    changelog,
    brokers,
    processes,
    workers,
    handlers,
  }),
);

type Benchmark = {
  readonly name: string;
  readonly run: (quick: boolean, options: Options) => Promise<Verdict[]>;
};

const named = (name: string): Benchmark => {
  const run: Benchmark["run"] | undefined = BENCHMARKS.get(name);
  if (run === undefined) {
    throw new Error(`no benchmark is called ${name}; there are: ${[...BENCHMARKS.keys()].join(", ")}`);
  }
  return { name, run };
};

const runAll = async (
  benchmarks: readonly Benchmark[],
  quick: boolean,
  options: Options,
): Promise<Verdict[]> => {
  const verdicts: Verdict[] = [];
  for (const { name, run } of benchmarks) {
    const startedAt = performance.now();
    console.log(`\n${name}`);
    verdicts.push(...(await run(quick, options)));
    console.log(`  (${Math.round((performance.now() - startedAt) / 1000)} s)`);
  }
  return verdicts;
};

const main = async (args: readonly string[]): Promise<void> => {
  const reason = refusal();
  if (reason !== null) {
    throw new Error(reason);
  }
  const quick = args.includes("--quick");
  const names = args.filter((arg) => !arg.startsWith("--"));
  const benchmarks = (names.length > 0 ? names : [...BENCHMARKS.keys()]).map(named);
  console.log(
    `Bun ${Bun.version}, ${availableParallelism()} cores${quick ? ", quick: a smoke test, no measurement" : ""}`,
  );
  pinSelf(LOAD_CORE);
  const verdicts = await runAll(benchmarks, quick, optionsIn(args));
  console.log(`\ntargets\n${verdicts.map((verdict) => `  ${verdictLine(verdict)}`).join("\n")}`);
};

const endAll = async (): Promise<void> => {
  await stopAll();
  await removeStores();
};

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void endAll().then(() => process.exit(130)));
}

try {
  await main(Bun.argv.slice(2));
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await endAll();
}
