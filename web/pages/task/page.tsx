import { getRouteApi } from "@tanstack/react-router";
import type { ReactElement } from "react";
import type { Task } from "../../../src/client/client.ts";
import { useTask } from "../../api/queries.ts";
import { useTitle } from "../../app/title.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { TaskDuration, Time } from "../../time/time.tsx";
import { CurlLine, curlOf } from "../../ui/copy.tsx";
import { JsonView } from "../../ui/json-view.tsx";
import { ErrorState, Skeleton } from "../../ui/states.tsx";
import { StatusBadge } from "../../ui/status-badge.tsx";
import { words } from "./words.ts";

const route = getRouteApi("/tasks/$id");

export function TaskPage(): ReactElement {
  const { data, error, isPending, refetch } = useTask(Number(route.useParams().id));
  if (isPending) return <Skeleton rows={8} />;
  if (data === undefined) return <ErrorState error={error} onRetry={() => void refetch()} />;
  return <Facts task={data} />;
}

function Facts({ task }: { task: Task }): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  useTitle(task.name);
  return (
    <>
      <div className="page-head">
        <h1>{task.name}</h1>
        <StatusBadge status={task.status} cancelling={task.cancel_requested} />
      </div>
      <div className="card task-facts">
        <dl>
          <dt>{common.type}</dt>
          <dd>{task.type}</dd>
          <dt>{common.created}</dt>
          <dd>
            <Time value={task.created_at} />
          </dd>
          <dt>{common.duration}</dt>
          <dd>
            <TaskDuration task={task} />
          </dd>
        </dl>
        <h2>{t.payload}</h2>
        <JsonView value={task.payload} label={t.payload} />
        <CurlLine command={curlOf("GET", `/api/task/${task.id}`)} />
      </div>
    </>
  );
}
