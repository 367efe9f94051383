/** The reason for the task's state: the server's explanation in the user's language, with live times. */
import type { ReactElement } from "react";
import type { Explanation, Task } from "../../../src/client/client.ts";
import { useExplanation } from "../../api/queries.ts";
import { useLanguage, useWords } from "../../i18n/language.ts";
import { formatNumber } from "../../i18n/words.ts";
import { isolated } from "../../text/isolate.ts";
import { useNow } from "../../time/now.ts";
import { Time } from "../../time/time.tsx";
import { words } from "./words.ts";

/** The server's limit for the queue position. */
const COUNTED_TO = 1_000;

export function Why({ task }: { task: Task }): ReactElement {
  const t = useWords(words);
  const { data } = useExplanation(task.id);
  // The explanation may belong to an earlier state.
  const explanation = data !== undefined && data.status === task.status ? data : null;
  return (
    <section className="task-why" aria-label={t.why}>
      <p className="task-why-sentence">
        {explanation === null ? "\u00a0" : <Sentence task={task} explanation={explanation} />}
      </p>
      {explanation !== null && task.status === "pending" && <Takers workers={explanation.workers} />}
    </section>
  );
}

function Sentence({ task, explanation }: { task: Task; explanation: Explanation }): ReactElement {
  const t = useWords(words);
  const language = useLanguage();
  const worker = isolated(explanation.worker ?? "?");
  const ahead = explanation.position ?? 0;
  switch (explanation.reason) {
    case "not_due":
      return (
        <>
          {task.attempt > 0 ? t.notDueRetry(failuresOf(task)) : t.notDue}{" "}
          <strong>
            <Time value={explanation.run_at} />
          </strong>
        </>
      );
    case "no_worker":
      return <>{t.noWorker(task.type)}</>;
    case "waiting_for_slot": {
      if (ahead === 0) return <>{t.first}</>;
      const count = formatNumber(language, ahead);
      return <>{t.waitingForSlot(ahead >= COUNTED_TO ? t.atLeast(count) : count)}</>;
    }
    case "about_to_start":
      return <>{t.aboutToStart}</>;
    case "running":
      return <>{t.runningOn(worker, explanation.attempt)}</>;
    case "cancel_requested":
      return <>{t.cancelRequested(worker)}</>;
    case "worker_silent":
      return <Silent worker={worker} leaseUntil={explanation.lease_until} />;
    case "ended":
      if (task.status === "done") return <>{t.endedDone}</>;
      return <>{task.status === "cancelled" ? t.endedCancelled : t.endedFailed}</>;
    default:
      return <>{explanation.message}</>; // a newer server may have more reasons
  }
}

/** If the server itself was unreachable, it gives expired leases some more time, so the lease may end in the past. */
function Silent({ worker, leaseUntil }: { worker: string; leaseUntil: string | null }): ReactElement {
  const t = useWords(words);
  const now = useNow();
  if (leaseUntil === null || Date.parse(leaseUntil) <= now) return <>{t.workerSilentTooLong(worker)}</>;
  return (
    <>
      {t.workerSilent(worker)} <Time value={leaseUntil} />
    </>
  );
}

/** The number of failures since the last manual retry, which restarts the attempt numbers at one. */
function failuresOf({ attempts }: Task): number {
  const start = attempts.findLastIndex(({ attempt }) => attempt === 1);
  return attempts.slice(Math.max(start, 0)).filter(({ outcome }) => outcome === "failed").length;
}

const NAMES_SHOWN = 8;

function Takers({ workers }: { workers: readonly string[] }): ReactElement | null {
  const t = useWords(words);
  if (workers.length === 0) return null;
  return (
    <p className="task-takers muted">
      {t.takers(workers.length)}{" "}
      {workers.slice(0, NAMES_SHOWN).map((worker) => (
        <span key={worker} className="tag">
          <bdi>{worker}</bdi>
        </span>
      ))}
      {workers.length > NAMES_SHOWN && " …"}
    </p>
  );
}
