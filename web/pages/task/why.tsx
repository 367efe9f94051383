/** Why the task stands where it stands: the server's reason in the reader's language, with times that go on. */
import type { ReactElement } from "react";
import type { Explanation, Task } from "../../../src/client/client.ts";
import { useExplanation } from "../../api/queries.ts";
import { useLanguage, useWords } from "../../i18n/language.ts";
import { formatNumber } from "../../i18n/words.ts";
import { isolated } from "../../text/isolate.ts";
import { useNow } from "../../time/now.ts";
import { Time } from "../../time/time.tsx";
import { words } from "./words.ts";

/** The server counts no further. */
const COUNTED_TO = 1_000;

export function Why({ task }: { task: Task }): ReactElement {
  const t = useWords(words);
  const { data } = useExplanation(task.id);
  // An explanation of an earlier state is no explanation.
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
      return <>{explanation.message}</>; // a later server knows more reasons
  }
}

/** The server waits a while with a lease that is over where the worker could not reach it, so its end may lie in the past. */
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

/** Since the last retry by hand, which counts from one again. */
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
