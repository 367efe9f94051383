/** A real terminal: tmux, whose screen can be read. */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import { programAt } from "./programs.ts";

export interface Tmux {
  /** Types the text and presses Enter. */
  run(line: string): void;
  /** Types the text. */
  write(text: string): void;
  /** Presses a key by its name in tmux, such as "C-c". */
  press(key: string): void;
  /** The lines of the screen, without empty ones at the end. */
  screen(): string[];
  /** The same with the escape sequences of their colours. */
  coloured(): string;
  /** Whether the program uses the alternate screen, and whether the cursor is visible. */
  state(): { readonly isOtherScreen: boolean; readonly isCursorShown: boolean };
  resize(columns: number, rows: number): void;
  /** Waits until the screen satisfies the condition. Throws with the screen when the time is over. */
  until(satisfies: (screen: readonly string[]) => boolean): Promise<string[]>;
  close(): void;
}

const ROOT = join(import.meta.dir, "../..");

let opened = 0;

/** A shell in a terminal of this size, in which `tasktrack` is the program under test. Its prompt is "$ ". */
export async function openTmux(setup: {
  readonly columns: number;
  readonly rows: number;
  readonly env: Readonly<Record<string, string>>;
}): Promise<Tmux> {
  const program = programAt("tmux");
  const socket = join(tmpdir(), `tasktrack-tmux-${process.pid}-${++opened}`);
  const tmux = (...args: readonly string[]): string => {
    const done = spawnSync(program, ["-u", "-S", socket, "-f", "/dev/null", ...args], { encoding: "utf8" });
    if (done.status !== 0) throw new Error(`tmux ${args.join(" ")}: ${done.stderr}${done.error ?? ""}`);
    return done.stdout;
  };
  const env = {
    ...{
      PATH: process.env.PATH ?? "",
      HOME: process.env.HOME ?? "",
      LANG: "C.UTF-8",
      PS1: "$ ",
      HISTFILE: "",
    },
    ...setup.env,
  };
  const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  tmux(
    ...["new-session", "-d", "-x", String(setup.columns), "-y", String(setup.rows)],
    ...["env", "-i", "TERM=tmux-256color", ...words, "bash", "--norc", "--noprofile"],
  );
  const write = (text: string): void => void tmux("send-keys", "-l", text);
  const run = (line: string): void => {
    write(line);
    tmux("send-keys", "Enter");
  };
  run(
    `tasktrack() { "${process.execPath}" --no-env-file "${ROOT}/src/main.ts" "$@"; }; printf "\\033[H\\033[2J"`,
  );
  const screen = (): string[] => tmux("capture-pane", "-p").trimEnd().split("\n");
  const close = (): void => {
    tmux("kill-server");
    rmSync(socket, { force: true });
  };
  // Text that is typed before the shell reads would appear twice.
  await eventually(screen, ([first, ...others]) => first === "$" && others.length === 0).catch(
    (error: unknown) => {
      close();
      throw error;
    },
  );

  return {
    ...{ run, write, screen, close },
    press: (key) => void tmux("send-keys", key),
    coloured: () => tmux("capture-pane", "-p", "-e"),
    state: () => {
      const [other, cursor] = tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}")
        .trim()
        .split(" ");
      return { isOtherScreen: other === "1", isCursorShown: cursor === "1" };
    },
    resize: (columns, rows) => void tmux("resize-window", "-x", String(columns), "-y", String(rows)),
    until: (satisfies) => eventually(screen, satisfies),
  };
}
