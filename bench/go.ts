/** The compared programs in Go: each is a module with pinned versions, built at its first use. Without Go they are left out. */
import { existsSync } from "node:fs";
import { join } from "node:path";

export type GoProgram = "gin" | "river" | "asynq";

const SOURCES: Readonly<Record<GoProgram, string>> = {
  gin: join(import.meta.dir, "gin"),
  river: join(import.meta.dir, "peers", "river"),
  asynq: join(import.meta.dir, "peers", "asynq"),
};

export const goBinary = (program: GoProgram): string => join(import.meta.dir, ".cache", program);

/** Builds the program; null if it succeeded, else the reason why it is left out. */
const build = (program: GoProgram): string | null => {
  if (Bun.which("go") === null) {
    return "go is not on the PATH";
  }
  const { exitCode, stderr } = Bun.spawnSync(["go", "build", "-o", goBinary(program), "."], {
    cwd: SOURCES[program],
    stderr: "pipe",
  });
  return exitCode === 0 && existsSync(goBinary(program)) ? null : `go build failed: ${stderr.toString()}`;
};

/** Whether the program can be started. If not, prints the reason. */
export const isBuilt = (program: GoProgram, name: string): boolean => {
  const missing = build(program);
  if (missing !== null) {
    console.log(`  ${name} is left out: ${missing}`);
  }
  return missing === null;
};
