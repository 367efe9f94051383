import { type ReactElement, useCallback, useMemo } from "react";
import { useLanguage, useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { formatNumber } from "../../i18n/words.ts";
import { formatClock, formatDuration } from "../../time/format.ts";
import { Chart, type Series } from "../../ui/chart.tsx";
import { hasWork, type Minute } from "./minutes.ts";
import { words } from "./words.ts";

/** Charts of the last hour: finished tasks, failure rate, longest wait and longest run time. */
export function HourCharts({ minutes }: { minutes: readonly Minute[] }): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  const language = useLanguage();
  const seconds = useCallback((value: number) => formatDuration(language, value * 1_000), [language]);
  const count = useCallback(
    (value: number) => (Number.isInteger(value) ? formatNumber(language, value) : ""), // no label for fractions of a task
    [language],
  );
  const percent = useCallback((value: number) => `${value}%`, []);
  const line = (label: string, color: string, value: (minute: Minute) => number | null): Series => ({
    ...{ label, color },
    values: minutes.map(value),
  });
  if (!hasWork(minutes)) {
    return (
      <section className="card overview-section">
        <h2>{t.lastHour}</h2>
        <p className="muted">{t.noWork}</p>
      </section>
    );
  }
  const ended = [
    line(common.done, "--done", ({ done }) => done),
    line(common.failed, "--failed", ({ failed }) => failed),
    line(common.cancelled, "--cancelled", ({ cancelled }) => cancelled),
  ];
  return (
    <div className="overview-charts">
      <MinuteChart title={t.throughput} minutes={minutes} series={ended} format={count} />
      <MinuteChart
        title={t.failureRate}
        minutes={minutes}
        series={[line(common.failed, "--failed", ({ failedPercent }) => failedPercent)]}
        format={percent}
      />
      <MinuteChart
        title={t.longestWait}
        minutes={minutes}
        series={[line(t.longestWait, "--pending", ({ waitSeconds }) => waitSeconds)]}
        format={seconds}
      />
      <MinuteChart
        title={t.longestRun}
        minutes={minutes}
        series={[line(t.longestRun, "--running", ({ runSeconds }) => runSeconds)]}
        format={seconds}
      />
    </div>
  );
}

type MinuteChartProps = {
  readonly title: string;
  readonly minutes: readonly Minute[];
  readonly series: readonly Series[];
  readonly format: (value: number) => string;
};

/** A chart, and the same numbers as a table. */
function MinuteChart({ title, minutes, series, format }: MinuteChartProps): ReactElement {
  const times = useMemo(() => minutes.map(({ at }) => at), [minutes]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the series depends only on the minutes and the language, as the title does
  const kept = useMemo(() => series, [minutes, title]);
  return (
    <section className="card overview-section">
      <h2>{title}</h2>
      {series.length > 1 && (
        <ul className="chart-legend">
          {series.map(({ label, color }) => (
            <li key={label}>
              <span className="chart-swatch" style={{ background: `var(${color})` }} aria-hidden />
              {label}
            </li>
          ))}
        </ul>
      )}
      <Chart label={title} times={times} series={kept} height={150} format={format} />
      <MinuteTable title={title} minutes={minutes} series={series} format={format} />
    </section>
  );
}

function MinuteTable({ title, minutes, series, format }: MinuteChartProps): ReactElement {
  const t = useWords(words);
  const language = useLanguage();
  const rows = minutes
    .map(({ at }, n) => ({ at, values: series.map(({ values }) => values[n] ?? null) }))
    .filter(({ values }) => values.some((value) => value !== null && value > 0))
    .reverse();
  return (
    <details className="chart-numbers">
      <summary>{t.asTable}</summary>
      <table className="overview-table">
        <caption className="visually-hidden">{title}</caption>
        <thead>
          <tr>
            <th scope="col">{t.minute}</th>
            {series.map(({ label }) => (
              <th key={label} scope="col" className="number">
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ at, values }) => (
            <tr key={at}>
              <th scope="row">{formatClock(language, at)}</th>
              {series.map(({ label }, n) => (
                <td key={label} className="number">
                  {shown(values[n] ?? null, format)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}

const shown = (value: number | null, format: (value: number) => string): string =>
  value === null ? "–" : format(value);
