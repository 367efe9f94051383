import { type ReactElement, useMemo } from "react";
import type { Stats } from "../../../src/client/client.ts";
import { STATUSES } from "../../../src/core/task.ts";
import { useStats } from "../../api/queries.ts";
import { useTitle } from "../../app/title.ts";
import { useLanguage, useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { formatNumber } from "../../i18n/words.ts";
import { Chart } from "../../ui/chart.tsx";
import { ErrorState, Skeleton } from "../../ui/states.tsx";
import { StatusBadge } from "../../ui/status-badge.tsx";
import { words } from "./words.ts";

export function OverviewPage(): ReactElement {
  const t = useWords(shared);
  useTitle(t.overview);
  const { data, error, isPending, refetch } = useStats();
  return (
    <>
      <div className="page-head">
        <h1>{t.overview}</h1>
      </div>
      {isPending && <Skeleton rows={8} />}
      {error !== null && <ErrorState error={error} onRetry={() => void refetch()} />}
      {data !== undefined && <Board stats={data} />}
    </>
  );
}

function Board({ stats }: { stats: Stats }): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  const language = useLanguage();
  const times = useMemo(() => stats.minutes.map(({ at }) => Date.parse(at)), [stats]);
  const series = useMemo(
    () => [{ label: common.done, color: "--done", values: stats.minutes.map(({ done }) => done) }],
    [stats, common],
  );
  return (
    <>
      <ul className="counts">
        {STATUSES.map((status) => (
          <li key={status} className="card count">
            <StatusBadge status={status} />
            <span className="count-number">{formatNumber(language, stats.counts[status])}</span>
          </li>
        ))}
      </ul>
      <section className="card overview-chart">
        <h2>{t.doneByMinute}</h2>
        <Chart label={t.doneByMinute} times={times} series={series} />
      </section>
    </>
  );
}
