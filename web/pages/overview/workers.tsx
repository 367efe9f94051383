import { Link } from "@tanstack/react-router";
import { Plug } from "lucide-react";
import { type ReactElement, useState } from "react";
import type { Stats } from "../../../src/client/client.ts";
import { useAction } from "../../api/action.ts";
import { client } from "../../api/client.ts";
import { useRefresh } from "../../api/queries.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { Time } from "../../time/time.tsx";
import { Button } from "../../ui/button.tsx";
import { ConfirmDialog } from "../../ui/dialog.tsx";
import { words } from "./words.ts";

type Worker = Stats["workers"][number];

/** The maximum number of task links per worker; a worker may run thousands of tasks. */
const TASKS_SHOWN = 8;

export function Workers({ workers }: { workers: readonly Worker[] }): ReactElement {
  const t = useWords(words);
  return (
    <div className="card overview-section">
      <h2 id="overview-workers">{t.workers}</h2>
      {workers.length === 0 ? (
        <p className="overview-none muted">
          <Plug size={16} aria-hidden /> {t.noWorkers} {t.noWorkersHint}
        </p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: keyboard users must be able to focus a scrollable element
        <section className="overview-scroll" tabIndex={0} aria-labelledby="overview-workers">
          <WorkerTable workers={workers} />
        </section>
      )}
    </div>
  );
}

function WorkerTable({ workers }: { workers: readonly Worker[] }): ReactElement {
  const common = useWords(shared);
  const t = useWords(words);
  return (
    <table className="overview-table">
      <thead>
        <tr>
          <th scope="col">{common.worker}</th>
          <th scope="col">{t.slots}</th>
          <th scope="col">{t.seen}</th>
          <th scope="col">{t.runningTasks}</th>
          <th scope="col">
            <span className="visually-hidden">{t.drain}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {workers.map((worker) => (
          <WorkerRow key={worker.worker} worker={worker} />
        ))}
      </tbody>
    </table>
  );
}

function WorkerRow({ worker }: { worker: Worker }): ReactElement {
  const t = useWords(words);
  const { worker: name, types, running, slots, seen_at: seenAt, draining, tasks } = worker;
  return (
    <tr>
      <th scope="row">
        <span className="worker-name">
          {name}
          {draining && <span className="worker-draining">{t.draining}</span>}
        </span>
        <span className="worker-types muted">{types.join(", ")}</span>
      </th>
      <td>
        <meter className="slots" min={0} max={Math.max(1, slots)} value={running} aria-label={t.slots} />
        <span className="slots-words" title={t.used(running, slots)}>
          {running} / {slots}
        </span>
      </td>
      <td>
        <Time value={seenAt} />
      </td>
      <td>
        <CurrentTasks tasks={tasks} running={running} />
      </td>
      <td className="number">
        <DrainButton name={name} isDraining={draining} />
      </td>
    </tr>
  );
}

function CurrentTasks({ tasks, running }: { tasks: readonly number[]; running: number }): ReactElement {
  const t = useWords(words);
  if (tasks.length === 0) return <span className="muted">{t.idle}</span>;
  const left = running - Math.min(TASKS_SHOWN, tasks.length);
  return (
    <span className="worker-tasks">
      {tasks.slice(0, TASKS_SHOWN).map((id) => (
        <Link key={id} to="/tasks/$id" params={{ id: String(id) }}>
          {id}
        </Link>
      ))}
      {left > 0 && <span className="muted">{t.more(left)}</span>}
    </span>
  );
}

/** Drains after a confirmation. Resuming has no risk and needs none. */
function DrainButton({ name, isDraining }: { name: string; isDraining: boolean }): ReactElement {
  const t = useWords(words);
  const [isAsking, setIsAsking] = useState(false);
  const refresh = useRefresh();
  const { mutate, isPending } = useAction(refresh);
  const drain = (on: boolean): void => {
    setIsAsking(false);
    mutate(() => client.drain(name, on));
  };
  return (
    <>
      <Button busy={isPending} onClick={() => (isDraining ? drain(false) : setIsAsking(true))}>
        {isDraining ? t.undrain : t.drain}
      </Button>
      <ConfirmDialog
        open={isAsking}
        onClose={() => setIsAsking(false)}
        title={t.drainQuestion(name)}
        action={t.drain}
        onConfirm={() => drain(true)}
      >
        <p>{t.drainText}</p>
      </ConfirmDialog>
    </>
  );
}
