/** Completion scripts for shells, made from the table of commands. */
import { HELP } from "./arguments.ts";
import type { Call, Command, Flag } from "./command.ts";
import { OK } from "./exit-codes.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

export const completionCommand: Command = {
  name: "completion",
  about: "print a script that completes commands and flags in a shell",
  positionals: [{ name: "SHELL", choices: SHELLS }],
  flags: [],
  examples: [
    {
      line: "source <(tasktrack completion bash)",
      about: "for this shell; a line in ~/.bashrc does the same for each new shell",
    },
    {
      line: "tasktrack completion zsh > ~/.zfunc/_tasktrack",
      about: "~/.zfunc must be in fpath before compinit",
    },
    {
      line: "tasktrack completion fish > ~/.config/fish/completions/tasktrack.fish",
      about: "for each new shell",
    },
  ],
  run: async ({ positionals, terminal, commands }: Call) => {
    terminal.out.write(completionScript(positionals[0] as Shell, commands)); // the parser has checked the choices
    return OK;
  },
};

export function completionScript(shell: Shell, commands: readonly Command[]): string {
  switch (shell) {
    case "bash":
      return bashScript(commands);
    case "zsh":
      return zshScript(commands);
    case "fish":
      return fishScript(commands);
    default:
      return shell satisfies never;
  }
}

const flagsOf = ({ flags }: Command): readonly Flag[] =>
  [...flags, HELP].filter(({ isHidden }) => isHidden !== true);

/** The values of the first argument of a command. */
const wordsOf = ({ positionals }: Command): readonly string[] =>
  positionals.flatMap(({ choices }) => choices ?? []);

const firstLine = (text: string): string => text.split("\n")[0] ?? "";

// ---- bash

function bashScript(commands: readonly Command[]): string {
  const cases = commands.map((command) => {
    const names = flagsOf(command).map(({ name }) => `--${name}`);
    return `    ${command.name}) flags="${names.join(" ")}"; words="${wordsOf(command).join(" ")}" ;;`;
  });
  const values = commands.flatMap((command) =>
    flagsOf(command)
      .filter(({ value }) => value !== undefined)
      .map(({ name, choices = [] }) => `    ${command.name}:--${name}) values="${choices.join(" ")}" ;;`),
  );
  return `# Completes tasktrack in bash. For this shell: source <(tasktrack completion bash)
# For all: put that line into ~/.bashrc, or the script into ~/.local/share/bash-completion/completions/tasktrack
_tasktrack() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="" command="" flags="" words="" values
  if ((COMP_CWORD > 0)); then before="\${COMP_WORDS[COMP_CWORD - 1]}"; fi
  # --flag=value comes as three words
  if [[ $current == "=" ]]; then
    current=""
  elif [[ $before == "=" ]]; then
    before="\${COMP_WORDS[COMP_CWORD - 2]}"
  fi
  COMPREPLY=()
  if ((COMP_CWORD > 1)); then command="\${COMP_WORDS[1]}"; fi
  case $command in
    "") flags="--help --version"; words="${commands.map(({ name }) => name).join(" ")}" ;;
${cases.join("\n")}
  esac
  case $command:$before in
${values.join("\n")}
  esac
  if [[ -n \${values+given} ]]; then
    if [[ -n $values ]]; then
      COMPREPLY=($(compgen -W "$values" -- "$current"))
    else
      COMPREPLY=($(compgen -f -- "$current"))
    fi
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$current"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  fi
}
complete -F _tasktrack tasktrack
`;
}

// ---- zsh

function zshScript(commands: readonly Command[]): string {
  const list = commands.map(({ name, about }) => `    ${quoted(`${name}:${about}`)}`);
  const cases = commands.map((command) => {
    const specs = [...flagsOf(command).map(zshFlag), ...zshPositional(command)];
    return `        ${command.name})
          _arguments -S \\
${specs.map((spec) => `            ${quoted(spec)}`).join(" \\\n")}
          ;;`;
  });
  return `#compdef tasktrack
# Completes tasktrack in zsh. Put this into a file _tasktrack in a folder of $fpath, such as:
#   mkdir -p ~/.zfunc && tasktrack completion zsh > ~/.zfunc/_tasktrack
# with these lines in ~/.zshrc: fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit
_tasktrack() {
  local context state state_descr line
  typeset -A opt_args
  local -a commands
  commands=(
${list.join("\n")}
  )
  _arguments -C '--help[this page]' '--version[the version]' '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
      case $words[1] in
${cases.join("\n")}
      esac
      ;;
  esac
}
if [[ $funcstack[1] == _tasktrack ]]; then
  _tasktrack "$@"
else
  compdef _tasktrack tasktrack
fi
`;
}

function zshFlag({ name, about, value, isMany, choices }: Flag): string {
  const text = firstLine(about).replace(/[[\]\\:]/g, "\\$&");
  const head = `${isMany === true ? "*" : ""}--${name}`;
  if (value === undefined) return `${head}[${text}]`;
  return `${head}=[${text}]:${value}:${choices === undefined ? "_files" : `(${choices.join(" ")})`}`;
}

function zshPositional(command: Command): string[] {
  const words = wordsOf(command);
  return words.length === 0 ? [] : [`1:${command.positionals[0]?.name}:(${words.join(" ")})`];
}

// ---- fish

function fishScript(commands: readonly Command[]): string {
  const names = commands.map(({ name }) => name).join(" ");
  const first = commands.map(
    ({ name, about }) => `complete -c tasktrack -n __fish_use_subcommand -a ${name} -d ${fishQuoted(about)}`,
  );
  const rest = commands.flatMap((command) => {
    const here = `complete -c tasktrack -n ${fishQuoted(`__fish_seen_subcommand_from ${command.name}`)}`;
    const words = wordsOf(command);
    return [
      ...(words.length === 0 ? [] : [`${here} -a ${fishQuoted(words.join(" "))}`]),
      ...flagsOf(command).map((flag) => `${here} ${fishFlag(flag)}`),
    ];
  });
  return `# Completes tasktrack in fish: tasktrack completion fish > ~/.config/fish/completions/tasktrack.fish
# Commands: ${names}
complete -c tasktrack -f
complete -c tasktrack -n __fish_use_subcommand -l help -d 'this page'
complete -c tasktrack -n __fish_use_subcommand -l version -d 'the version'
${[...first, ...rest].join("\n")}
`;
}

function fishFlag({ name, about, value, choices }: Flag): string {
  const head = `-l ${name} -d ${fishQuoted(firstLine(about))}`;
  if (value === undefined) return head;
  return choices === undefined ? `${head} -r -F` : `${head} -x -a ${fishQuoted(choices.join(" "))}`;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

const fishQuoted = (text: string): string => `'${text.replace(/['\\]/g, "\\$&")}'`;
