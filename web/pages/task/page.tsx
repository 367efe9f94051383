/** The page of one task: state and reason, details, timeline, log, result and payload. */
import { getRouteApi, Link } from "@tanstack/react-router";
import { CircleAlert, Hash, SearchX } from "lucide-react";
import type { ReactElement } from "react";
import type { Task } from "../../../src/client/client.ts";
import type { TaskTrackError } from "../../../src/client/error.ts";
import { MAX_TASK_ID } from "../../../src/core/task.ts";
import { isUnknown, useIsGone, useTask } from "../../api/queries.ts";
import type { WrittenTask } from "../../api/written.ts";
import { useTitle } from "../../app/title.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { isolated } from "../../text/isolate.ts";
import { ProgressBar } from "../../ui/progress-bar.tsx";
import { EmptyState, ErrorState } from "../../ui/states.tsx";
import { CurlLines } from "./curl.tsx";
import { Payload, Result } from "./data.tsx";
import { Facts } from "./facts.tsx";
import { Head } from "./head.tsx";
import { LogPanel } from "./log.tsx";
import { LongText } from "./long-text.tsx";
import { TimelinePanel } from "./timeline.tsx";
import { Why } from "./why.tsx";
import { words } from "./words.ts";

const route = getRouteApi("/tasks/$id");

const ID = /^[1-9]\d{0,15}$/;

export function TaskPage(): ReactElement {
  const { id } = route.useParams();
  if (!ID.test(id) || Number(id) > MAX_TASK_ID) return <NoId text={id} />;
  return <OneTask key={id} id={Number(id)} />;
}

function OneTask({ id }: { id: number }): ReactElement {
  const { data, error, isPending, refetch } = useTask(id);
  if (isPending) return <TaskSkeleton id={id} />;
  if (data !== undefined) return <Shown task={data} />;
  if (isUnknown(error)) return <Unknown id={id} error={error} />;
  return <ErrorState error={error} onRetry={() => void refetch()} />;
}

function Shown({ task }: { task: WrittenTask }): ReactElement {
  const t = useWords(words);
  const isGone = useIsGone(task.id);
  useStatusTitle(task);
  return (
    <>
      <Head task={task} isGone={isGone} />
      {isGone && (
        <p className="task-gone" role="status">
          {t.deleted}
        </p>
      )}
      <div className="task-columns">
        <StateCard task={task} isGone={isGone} />
        <Facts task={task} />
        <div className="task-main">
          <TimelinePanel task={task} />
          <LogPanel task={task} />
          {task.finished_at !== null && <Result task={task} />}
          <Payload task={task} />
          <CurlLines task={task} />
        </div>
      </div>
    </>
  );
}

/** The most important facts: the reason for the state, the progress, the error. */
function StateCard({ task, isGone }: { task: Task; isGone: boolean }): ReactElement {
  return (
    <section className={`card task-standing ${task.status}`}>
      {!isGone && <Why task={task} />}
      {task.status === "running" && (
        <div className="task-progress">
          <ProgressBar progress={task.progress ?? NO_PROGRESS} />
          <p className="task-progress-message muted" dir="auto">
            {task.progress?.message || "\u00a0"}
          </p>
        </div>
      )}
      {task.error !== null && task.status !== "done" && (
        <div className="task-error">
          <CircleAlert size={16} aria-hidden />
          <div>
            <code>{task.error.code}</code>
            <LongText className="task-error-message" text={task.error.message} />
          </div>
        </div>
      )}
    </section>
  );
}

const NO_PROGRESS = { percent: 0, message: "" };

function useStatusTitle(task: Task): void {
  const t = useWords(words);
  const common = useWords(shared);
  const percent = task.progress === null ? "" : ` ${t.titleRunning(Math.round(task.progress.percent))}`;
  const status = common[task.status] + (task.status === "running" ? percent : "");
  useTitle(`${status} · ${isolated(task.name)}`);
}

// ---- pages without a task

/** Has the layout of the page, so that little moves when the task is loaded. */
function TaskSkeleton({ id }: { id: number }): ReactElement {
  const common = useWords(shared);
  useTitle(`#${id}`);
  return (
    <div className="task-skeleton" role="status" aria-label={common.loading}>
      <p className="task-path muted">
        {common.tasks} / {id}
      </p>
      <div className="skeleton-row task-skeleton-head" />
      <div className="task-columns">
        <div className="card task-standing task-skeleton-card" />
        <div className="card task-facts task-skeleton-card high" />
        <div className="card task-main task-skeleton-card high" />
      </div>
    </div>
  );
}

function NoId({ text }: { text: string }): ReactElement {
  const t = useWords(words);
  useTitle(t.noIdTitle);
  return (
    <MessagePage icon={Hash} title={t.noIdTitle}>
      <p>{t.noIdText(isolated(text.length > 60 ? `${text.slice(0, 60)}…` : text))}</p>
    </MessagePage>
  );
}

function Unknown({ id, error }: { id: number; error: TaskTrackError }): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  useTitle(t.unknownTitle(id));
  return (
    <MessagePage icon={SearchX} title={t.unknownTitle(id)}>
      <p>{t.unknownText}</p>
      {error.requestId !== null && <p className="muted">{common.requestId(error.requestId)}</p>}
    </MessagePage>
  );
}

function MessagePage({
  icon,
  title,
  children,
}: {
  icon: typeof Hash;
  title: string;
  children: ReactElement | (ReactElement | false)[];
}): ReactElement {
  const common = useWords(shared);
  return (
    <div role="alert" className="task-instead">
      <h1 className="visually-hidden">{title}</h1>
      <EmptyState icon={icon} title={title}>
        {children}
        <Link to="/tasks" className="button plain">
          {common.toTasks}
        </Link>
      </EmptyState>
    </div>
  );
}
