/** Options of a benchmark, given as `--name=value`. */
export type Options = Readonly<Record<string, string>>;

export const optionsIn = (args: readonly string[]): Options =>
  Object.fromEntries(
    args.flatMap((arg) => {
      const option = /^--(\w+)=(.+)$/.exec(arg);
      return option === null ? [] : [[String(option[1]), String(option[2])]];
    }),
  );
