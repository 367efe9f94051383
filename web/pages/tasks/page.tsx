import { getRouteApi, Link } from "@tanstack/react-router";
import { Inbox } from "lucide-react";
import type { ReactElement } from "react";
import type { Task } from "../../../src/client/client.ts";
import { useTasks } from "../../api/queries.ts";
import { useTitle } from "../../app/title.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { TaskDuration, Time } from "../../time/time.tsx";
import { Button } from "../../ui/button.tsx";
import { ProgressBar } from "../../ui/progress-bar.tsx";
import { EmptyState, ErrorState, Skeleton } from "../../ui/states.tsx";
import { StatusBadge } from "../../ui/status-badge.tsx";
import { filterOf } from "./search.ts";
import { words } from "./words.ts";

const route = getRouteApi("/tasks");

export function TasksPage(): ReactElement {
  const t = useWords(shared);
  useTitle(t.tasks);
  return (
    <>
      <div className="page-head">
        <h1>{t.tasks}</h1>
      </div>
      <TaskList />
    </>
  );
}

function TaskList(): ReactElement {
  const t = useWords(words);
  const query = useTasks(filterOf(route.useSearch()));
  if (query.isPending) {
    return (
      <div className="card">
        <Skeleton rows={8} />
      </div>
    );
  }
  if (query.data === undefined)
    return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  const tasks = query.data.pages.flatMap((page) => page.tasks);
  return (
    <>
      {query.isError && <ErrorState error={query.error} onRetry={() => void query.refetch()} />}
      {tasks.length === 0 ? <NoTasks /> : <TaskTable tasks={tasks} />}
      {query.hasNextPage && (
        <p className="tasks-more">
          <Button busy={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            {t.more}
          </Button>
        </p>
      )}
    </>
  );
}

function NoTasks(): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  return (
    <div className="card">
      <EmptyState icon={Inbox} title={t.empty}>
        <p>{t.emptyText}</p>
        <Link to="/new" className="button primary">
          {common.newTask}
        </Link>
      </EmptyState>
    </div>
  );
}

function TaskTable({ tasks }: { tasks: readonly Task[] }): ReactElement {
  const t = useWords(shared);
  return (
    <div className="card tasks-card">
      <table className="tasks">
        <thead>
          <tr>
            <th scope="col" className="tasks-id">
              Id
            </th>
            <th scope="col">{t.name}</th>
            <th scope="col">{t.status}</th>
            <th scope="col" className="tasks-wide">
              {t.progress}
            </th>
            <th scope="col" className="tasks-number">
              {t.duration}
            </th>
            <th scope="col" className="tasks-wide">
              {t.created}
            </th>
          </tr>
        </thead>
        <tbody>
          {tasks.map((task) => (
            <TaskRow key={task.id} task={task} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function TaskRow({ task }: { task: Task }): ReactElement {
  return (
    <tr>
      <td className="tasks-id muted">{task.id}</td>
      <td className="tasks-name">
        <Link to="/tasks/$id" params={{ id: String(task.id) }}>
          {task.name}
        </Link>
        <div className="tasks-type muted">{task.type}</div>
      </td>
      <td>
        <StatusBadge status={task.status} cancelling={task.cancel_requested} />
      </td>
      <td className="tasks-wide">{task.progress !== null && <ProgressBar progress={task.progress} />}</td>
      <td className="tasks-number">
        <TaskDuration task={task} />
      </td>
      <td className="tasks-wide muted">
        <Time value={task.created_at} />
      </td>
    </tr>
  );
}
