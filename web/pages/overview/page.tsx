import { type ReactElement, useMemo } from "react";
import type { Stats } from "../../../src/client/client.ts";
import { useStats } from "../../api/queries.ts";
import { useTitle } from "../../app/title.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { useNow } from "../../time/now.ts";
import { ErrorState, Skeleton } from "../../ui/states.tsx";
import { HourCharts } from "./charts.tsx";
import { StatusCounts, TypeTable } from "./counts.tsx";
import { BrokerHealth, OldestWaiting, StoreHealth } from "./health.tsx";
import { lastHour } from "./minutes.ts";
import { Workers } from "./workers.tsx";

/** The state of the whole server on one page. */
export function OverviewPage(): ReactElement {
  const t = useWords(shared);
  useTitle(t.overview);
  const { data, error, isPending, refetch } = useStats();
  return (
    <>
      <div className="page-head">
        <h1>{t.overview}</h1>
      </div>
      {isPending && <Skeleton rows={12} />}
      {error !== null && <ErrorState error={error} onRetry={() => void refetch()} />}
      {data !== undefined && <Dashboard stats={data} />}
    </>
  );
}

const MINUTE_MS = 60_000;

function Dashboard({ stats }: { stats: Stats }): ReactElement {
  const minute = Math.floor(useNow() / MINUTE_MS);
  const minutes = useMemo(() => lastHour(stats, minute * MINUTE_MS), [stats, minute]);
  return (
    <div className="overview">
      <StatusCounts counts={stats.counts} />
      <div className="overview-facts">
        <OldestWaiting oldest={stats.oldest_waiting} />
        <StoreHealth />
        <BrokerHealth />
      </div>
      <HourCharts minutes={minutes} />
      <Workers workers={stats.workers} />
      <TypeTable types={stats.types} />
    </div>
  );
}
