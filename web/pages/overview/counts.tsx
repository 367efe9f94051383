import { Link } from "@tanstack/react-router";
import type { ReactElement } from "react";
import type { Stats, Status } from "../../../src/client/client.ts";
import { STATUSES } from "../../../src/core/task.ts";
import { useLanguage, useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { formatNumber } from "../../i18n/words.ts";
import { Time } from "../../time/time.tsx";
import { StatusBadge } from "../../ui/status-badge.tsx";
import { words } from "./words.ts";

/** Counts by status; each count links to the tasks with that status. */
export function StatusCounts({ counts }: { counts: Stats["counts"] }): ReactElement {
  const t = useWords(words);
  const language = useLanguage();
  return (
    <ul className="counts" aria-label={t.byStatus}>
      {STATUSES.map((status) => (
        <li key={status} className="card count">
          <Link to="/tasks" search={{ status: [status] }} className="count-link">
            <StatusBadge status={status} />
            <span className="count-number">{formatNumber(language, counts[status])}</span>
          </Link>
        </li>
      ))}
    </ul>
  );
}

export function TypeTable({ types }: { types: Stats["types"] }): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  if (types.length === 0) {
    return (
      <section className="card overview-section">
        <h2>{t.types}</h2>
        <p className="muted">{t.noTypes}</p>
      </section>
    );
  }
  return (
    <div className="card overview-section">
      <h2 id="overview-types">{t.types}</h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: keyboard users must be able to focus a scrollable element */}
      <section className="overview-scroll" tabIndex={0} aria-labelledby="overview-types">
        <table className="overview-table">
          <thead>
            <tr>
              <th scope="col">{common.type}</th>
              {STATUSES.map((status) => (
                <th key={status} scope="col" className="number">
                  {common[status]}
                </th>
              ))}
              <th scope="col" className="number">
                {t.earliestStart}
              </th>
            </tr>
          </thead>
          <tbody>
            {types.map(({ type, counts, oldest_run_at: oldest }) => (
              <tr key={type}>
                <th scope="row">
                  <Link to="/tasks" search={{ type: [type] }} className="overview-type">
                    {type}
                  </Link>
                </th>
                {STATUSES.map((status) => (
                  <td key={status} className="number">
                    <TypeCount type={type} status={status} count={counts[status]} />
                  </td>
                ))}
                <td className="number muted">{oldest === null ? "–" : <Time value={oldest} />}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </div>
  );
}

function TypeCount({ type, status, count }: { type: string; status: Status; count: number }): ReactElement {
  const language = useLanguage();
  if (count === 0) return <span className="muted">0</span>;
  return (
    <Link to="/tasks" search={{ type: [type], status: [status] }}>
      {formatNumber(language, count)}
    </Link>
  );
}
