import { type ReactElement, useEffect, useRef } from "react";
import UPlot from "uplot";
import { useLanguage } from "../i18n/language.ts";
import { formatClock } from "../time/format.ts";

export type Series = {
  readonly label: string;
  /** One value for each entry of `times`; null for no value. */
  readonly values: readonly (number | null)[];
  /** The name of a CSS variable: "--done". */
  readonly color: string;
};

type ChartProps = {
  /** The accessible name. A canvas has no readable content, so the page shows the same numbers as a table. */
  readonly label: string;
  /** Epoch milliseconds, ascending. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  readonly height?: number;
  readonly format?: (value: number) => string;
};

/** A line chart over time. It follows the width of its container and the colour scheme. */
export function Chart({ label, times, series, height = 180, format = String }: ChartProps): ReactElement {
  const place = useRef<HTMLDivElement>(null);
  const language = useLanguage();

  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const draw = (): UPlot =>
      new UPlot(
        optionsOf({ element, series, height, format, clock: (at) => formatClock(language, at) }),
        dataOf(times, series),
        element,
      );
    let plot = draw();
    const resized = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height }));
    resized.observe(element);
    const theme = matchMedia("(prefers-color-scheme: dark)");
    const redraw = (): void => {
      plot.destroy();
      plot = draw();
    };
    theme.addEventListener("change", redraw);
    return () => {
      theme.removeEventListener("change", redraw);
      resized.disconnect();
      plot.destroy();
    };
  }, [times, series, height, format, language]);

  return <div ref={place} className="chart" role="img" aria-label={label} style={{ height }} />;
}

const dataOf = (times: readonly number[], series: readonly Series[]): UPlot.AlignedData => [
  times.map((at) => at / 1_000),
  ...series.map(({ values }) => [...values]),
];

function optionsOf({
  element,
  series,
  height,
  format,
  clock,
}: {
  element: HTMLElement;
  series: readonly Series[];
  height: number;
  format: (value: number) => string;
  /** Formats epoch milliseconds in the user's language and time zone. */
  clock: (at: number) => string;
}): UPlot.Options {
  const styles = getComputedStyle(element);
  const token = (name: string): string => styles.getPropertyValue(name).trim();
  const axis: UPlot.Axis = {
    stroke: token("--text-muted"),
    grid: { stroke: token("--line"), width: 1 },
    ticks: { show: false },
    font: `12px ${token("--sans")}`,
  };
  return {
    width: element.clientWidth,
    height,
    legend: { show: false },
    cursor: { y: false },
    axes: [
      { ...axis, size: 28, values: (_, values) => values.map((at) => clock(at * 1_000)) },
      { ...axis, size: 52, values: (_, values) => values.map(format) },
    ],
    scales: { y: { range: (_, __, max) => [0, Math.max(1, max)] } },
    series: [
      {},
      ...series.map(({ label, color, values }) => ({
        label,
        stroke: token(color),
        fill: `${token(color)}1f`,
        width: 1.5,
        // A single value between two gaps draws no line, so series with gaps also draw points.
        points: values.includes(null) ? { show: true, size: 5, fill: token(color) } : { show: false },
      })),
    ],
  };
}
