/** The completion scripts, each in its shell. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { programAt } from "./support/programs.ts";
import { killLeftovers, tasktrack } from "./support/server-process.ts";
import { openTmux, type Tmux } from "./support/tmux.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

let home = "";
const scripts = new Map<Shell, string>();
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "tasktrack-completion-"));
  await mkdir(join(home, "functions"));
  for (const shell of SHELLS) {
    const path = shell === "zsh" ? join(home, "functions/_tasktrack") : join(home, `tasktrack.${shell}`);
    await Bun.write(path, (await tasktrack(["completion", shell]).ended).stdout);
    scripts.set(shell, path);
  }
});
afterAll(async () => {
  killLeftovers();
  await rm(home, { recursive: true });
});

function inShell(shell: Shell, args: readonly string[]): string {
  const env = { PATH: process.env.PATH, HOME: home, XDG_CONFIG_HOME: home, LANG: "C.UTF-8" };
  const done = spawnSync(programAt(shell), [...args], { encoding: "utf8", env, timeout: 30_000 });
  expect({ status: done.status, stderr: done.stderr }).toEqual({ status: 0, stderr: "" });
  return done.stdout;
}

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== "");

/** The completions of the shell for a line with these words. The last word is incomplete. */
const completions: Readonly<Record<"bash" | "fish", (line: readonly string[]) => string[]>> = {
  bash: (line) => {
    const array = line.map((word) => `'${word}'`).join(" ");
    const script = `source ${scripts.get("bash")}; COMP_WORDS=(${array}); COMP_CWORD=${line.length - 1}; _tasktrack; echo "\${COMPREPLY[@]}"`;
    return words(inShell("bash", ["--norc", "--noprofile", "-c", script]));
  },
  fish: (line) => {
    const script = `source ${scripts.get("fish")}; complete -C '${line.join(" ")}'`;
    return inShell("fish", ["--no-config", "-c", script])
      .split("\n")
      .flatMap((one) => one.split("\t")[0] || []);
  },
};

test.each(SHELLS)("%s accepts its script", (shell) => {
  inShell(shell, ["-n", scripts.get(shell) ?? ""]);
});

/** The words of a line, and the expected completions. */
const LINES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ["commands", ["tasktrack", "re"], ["retry", "remove"]],
  ["flags", ["tasktrack", "add", "--pa"], ["--payload"]],
  ["flags after other flags", ["tasktrack", "list", "--all", "--ta"], ["--tag"]],
  ["statuses", ["tasktrack", "list", "--status", "d"], ["done"]],
  ["shells", ["tasktrack", "completion", "f"], ["fish"]],
  ["no hidden flag", ["tasktrack", "copy", "--"], ["--from", "--help", "--to"]],
];

describe.each(["bash", "fish"] as const)("%s", (shell) => {
  test.each(LINES)("offers %s", (_, line, expected) => {
    expect(completions[shell](line).sort()).toEqual([...expected].sort());
  });
});

describe("zsh", () => {
  let zsh: Tmux;
  beforeAll(async () => {
    zsh = await openTmux({ columns: 100, rows: 30, env: { HOME: home, ZDOTDIR: home } });
    zsh.run(`exec ${programAt("zsh")} -f`);
    zsh.run(
      `PS1='> '; fpath=(${home}/functions $fpath); autoload -Uz compinit; compinit -u -D; setopt no_beep`,
    );
    zsh.run("clear; print READY");
    await zsh.until((screen) => screen.includes("READY"));
  });
  afterAll(() => zsh.close());

  test.each(LINES)("offers %s", async (_, line, expected) => {
    for (const key of ["C-u", "C-l"]) zsh.press(key); // clears the line and the screen
    await zsh.until((screen) => screen.join("") === ">");
    zsh.write(line.join(" "));
    zsh.press("Tab");
    const [only] = expected;
    const shown = await zsh.until((screen) =>
      expected.length === 1
        ? screen[0]?.replace(/=?$/, "") === `> ${[...line.slice(0, -1), only].join(" ")}`
        : expected.every((word) => screen.slice(1).some((row) => row.includes(word))),
    );
    if (expected.length > 1) {
      const offered = shown.slice(1).filter((row) => row.trim() !== "");
      expect(offered).toHaveLength(expected.length);
    }
  });
});

test("bash offers a value after an equals sign", () => {
  expect(completions.bash(["tasktrack", "list", "--status", "=", "f"])).toEqual(["failed"]);
  expect(completions.bash(["tasktrack", "list", "--status", "="])).toContain("pending");
});
