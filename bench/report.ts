/** The output: medians, spreads, tables, and whether a target is met. */

export type Verdict = {
  readonly what: string;
  readonly measured: number;
  readonly target: number;
  readonly want: "at least" | "at most";
  readonly unit: string;
};

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return Number.isInteger(middle) ? (upper + (sorted[middle - 1] ?? Number.NaN)) / 2 : upper;
};

export const percentile = (values: readonly number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
};

/** Three significant digits; from a thousand up whole numbers with a thin separator. */
export const figure = (value: number): string => {
  if (Math.abs(value) >= 1000) {
    return Math.round(value).toLocaleString("en-US");
  }
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
};

export const spread = (values: readonly number[]): string =>
  `${figure(Math.min(...values))} to ${figure(Math.max(...values))}`;

export const megabytes = (bytes: number): string => `${figure(bytes / 1e6)} MB`;

/** The first row is the header; the first column is text, the others are numbers, aligned right. */
export const printTable = (rows: readonly (readonly string[])[]): void => {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    console.log(`  ${cells.join("   ")}`);
  }
};

export const isMet = (verdict: Verdict): boolean =>
  verdict.want === "at least" ? verdict.measured >= verdict.target : verdict.measured <= verdict.target;

export const verdictLine = (verdict: Verdict): string => {
  const { what, measured, target, want, unit } = verdict;
  const off = Math.abs(measured / target - 1) * 100;
  const mark = isMet(verdict) ? "met" : `NOT MET, off by ${figure(off)} %`;
  return `${what}: ${figure(measured)}${unit}, target ${want} ${figure(target)}${unit}: ${mark}`;
};
