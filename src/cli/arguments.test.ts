import { describe, expect, test } from "bun:test";
import { parseArguments } from "./arguments.ts";
import type { Command } from "./command.ts";

const command: Command = {
  name: "do",
  about: "do something",
  positionals: [{ name: "NAME" }],
  flags: [
    { name: "json", about: "" },
    { name: "priority", about: "", value: "N" },
    { name: "payload", about: "", value: "JSON" },
    { name: "tag", about: "", value: "TAG", isMany: true },
    { name: "status", about: "", value: "STATUS", choices: ["pending", "done"] },
    { name: "secret", about: "", isHidden: true },
  ],
  examples: [],
  run: async () => 0,
};
const many: Command = { ...command, positionals: [{ name: "ID", isMany: true, isOptional: true }] };
const none: Command = { ...command, positionals: [] };
const shell: Command = { ...command, positionals: [{ name: "SHELL", choices: ["bash", "zsh"] }] };

describe("arguments", () => {
  const values: readonly (readonly [string, string[], string, readonly string[]])[] = [
    ["a value follows its flag", ["x", "--priority", "5"], "priority", ["5"]],
    ["a value may follow an equals sign", ["x", "--priority=5"], "priority", ["5"]],
    ["a number may be negative", ["x", "--priority", "-5"], "priority", ["-5"]],
    ["a value may begin with a hyphen", ["x", "--tag", "-id"], "tag", ["-id"]],
    ["a hyphen alone is a value", ["--payload", "-", "x"], "payload", ["-"]],
    ["a value may hold equals signs and be empty", ["x", "--payload==", "--tag="], "payload", ["="]],
    [
      "of a repeated flag that may not be repeated, the last one counts",
      ["x", "--priority", "1", "--priority", "2"],
      "priority",
      ["2"],
    ],
    [
      "a flag that may be repeated has all its values, in order",
      ["--tag", "a", "x", "--tag=b"],
      "tag",
      ["a", "b"],
    ],
    ["a flag may be anywhere", ["--status", "done", "x"], "status", ["done"]],
  ];
  test.each(values)("%s", (_, argv, flag, expected) => {
    const { given, positionals } = parseArguments(command, argv);
    expect([given.texts(flag), positionals]).toEqual([expected, ["x"]]);
    expect(given.text(flag)).toBe(expected.at(-1));
  });

  test("a flag that was not given has no value", () => {
    const { given } = parseArguments(command, ["x"]);
    expect([given.isOn("json"), given.text("priority"), given.texts("tag")]).toEqual([false, undefined, []]);
  });

  test("after two hyphens all arguments are positional", () => {
    expect(parseArguments(many, ["--json", "--", "--tag", "-x"])).toMatchObject({
      positionals: ["--tag", "-x"],
    });
  });

  test.each([["--help"], ["-h"]])("%s is accepted in any place, even if arguments are missing", (flag) => {
    expect(parseArguments(command, ["--json", flag]).isHelp).toBe(true);
  });

  const faults: readonly (readonly [string, Command, string[], string])[] = [
    ["an unknown flag", command, ["x", "--nope"], "there is no flag --nope"],
    [
      "a misspelt flag",
      command,
      ["x", "--prioritty", "5"],
      "there is no flag --prioritty; did you mean --priority?",
    ],
    ["a flag that is similar to a hidden flag", command, ["x", "--secrets"], "there is no flag --secrets"],
    ["a short flag", command, ["x", "-j"], "there is no flag -j"],
    ["a value that is missing at the end", command, ["x", "--tag"], "--tag needs a value: --tag TAG"],
    [
      "a value that is missing before a flag",
      command,
      ["x", "--tag", "--json"],
      "--tag needs a value: --tag TAG",
    ],
    ["a value for a flag without values", command, ["x", "--json=1"], "--json takes no value"],
    [
      "a value that is not one of the choices",
      command,
      ["x", "--status", "dnoe"],
      '--status: expected pending or done, got "dnoe"; did you mean done?',
    ],
    ["a missing positional argument", command, [], "do needs NAME"],
    [
      "a second positional argument",
      command,
      ["a", "b"],
      'do takes one NAME; "b" is too many (quote a text with spaces)',
    ],
    ["a positional argument for a command without any", none, ["a"], 'do takes flags only; "a" is too many'],
    [
      "a positional argument that is not one of the choices",
      shell,
      ["bsh"],
      'SHELL: expected bash or zsh, got "bsh"; did you mean bash?',
    ],
  ];
  test.each(faults)("%s is refused", (_, of, argv, message) => {
    expect(() => parseArguments(of, argv)).toThrow(message);
  });
});
