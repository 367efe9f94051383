import { getRouteApi, Link } from "@tanstack/react-router";
import { ArrowUp, Inbox } from "lucide-react";
import { type ReactElement, useCallback, useRef, useState } from "react";
import type { Task } from "../../../src/client/client.ts";
import { STATUSES } from "../../../src/core/task.ts";
import type { LiveBatch } from "../../api/live.ts";
import { type TasksFilter, useLive, useRefresh, useTasks } from "../../api/queries.ts";
import { useTitle } from "../../app/title.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { TaskDuration, Time } from "../../time/time.tsx";
import { Button } from "../../ui/button.tsx";
import { Select } from "../../ui/fields.tsx";
import { ProgressBar } from "../../ui/progress-bar.tsx";
import { EmptyState, ErrorState, Skeleton } from "../../ui/states.tsx";
import { StatusBadge } from "../../ui/status-badge.tsx";
import { useVirtualRows } from "../../ui/virtual-rows.ts";
import { filterOf } from "./search.ts";
import { words } from "./words.ts";

const route = getRouteApi("/tasks");

/** A row's height in tasks.css. */
const ROW_HEIGHT = 52;

export function TasksPage(): ReactElement {
  const t = useWords(shared);
  useTitle(t.tasks);
  const filter = filterOf(route.useSearch());
  return (
    <>
      <div className="page-head">
        <h1>{t.tasks}</h1>
        <StatusFilter />
        <NewOnes key={JSON.stringify(filter)} />
      </div>
      <TaskList filter={filter} />
    </>
  );
}

function StatusFilter(): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  const { status = [] } = route.useSearch();
  const navigate = route.useNavigate();
  const choose = (value: string): void => {
    const chosen = STATUSES.find((one) => one === value);
    void navigate({
      search: ({ status: _, ...others }) => (chosen === undefined ? others : { ...others, status: [chosen] }),
    });
  };
  return (
    <Select
      label={common.status}
      hideLabel
      value={status[0] ?? ""}
      onChange={choose}
      options={[
        { value: "", label: t.anyStatus },
        ...STATUSES.map((one) => ({ value: one, label: common[one] })),
      ]}
    />
  );
}

/** Says how many came since the list was read, instead of pushing its rows down. */
function NewOnes(): ReactElement | null {
  const t = useWords(words);
  const refresh = useRefresh();
  const [ids, setIds] = useState<ReadonlySet<number>>(new Set());
  const notice = useCallback(({ tasks }: LiveBatch) => {
    const fresh = tasks.filter(({ version }) => version === 1).map(({ id }) => id);
    if (fresh.length > 0) setIds((known) => new Set([...known, ...fresh]));
  }, []);
  useLive(notice);
  if (ids.size === 0) return null;
  const show = (): void => {
    setIds(new Set());
    void refresh();
  };
  return (
    <Button icon={ArrowUp} onClick={show}>
      {t.newOnes(ids.size)}
    </Button>
  );
}

function TaskList({ filter }: { filter: TasksFilter }): ReactElement {
  const t = useWords(words);
  const query = useTasks(filter);
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
  const own = useWords(words);
  const place = useRef<HTMLTableElement>(null);
  const rows = useVirtualRows({ count: tasks.length, rowHeight: ROW_HEIGHT, place });
  return (
    <div className="card tasks-card">
      <table ref={place} className="tasks" aria-rowcount={tasks.length + 1}>
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
              <abbr title={t.duration}>{own.time}</abbr>
            </th>
            <th scope="col" className="tasks-wide">
              {t.created}
            </th>
          </tr>
        </thead>
        <tbody>
          <Gap height={rows.before} />
          {rows.indexes.map((index) => {
            const task = tasks[index];
            return task === undefined ? null : <TaskRow key={task.id} task={task} />;
          })}
          <Gap height={rows.after} />
        </tbody>
      </table>
    </div>
  );
}

/** Stands for rows that are out of sight. */
const Gap = ({ height }: { height: number }): ReactElement | null =>
  height === 0 ? null : <tr aria-hidden style={{ height }} />;

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
