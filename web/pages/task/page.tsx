import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { Ban, Ellipsis, RotateCw, Trash2 } from "lucide-react";
import { type ReactElement, useState } from "react";
import type { Task } from "../../../src/client/client.ts";
import { useAction } from "../../api/action.ts";
import { client } from "../../api/client.ts";
import { useExplanation, useIsGone, useRefresh, useTask } from "../../api/queries.ts";
import { useTitle } from "../../app/title.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { TaskDuration, Time } from "../../time/time.tsx";
import { IconButton } from "../../ui/button.tsx";
import { CurlLine, curlOf } from "../../ui/copy.tsx";
import { ConfirmDialog } from "../../ui/dialog.tsx";
import { JsonView } from "../../ui/json-view.tsx";
import { Menu } from "../../ui/menu.tsx";
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
  const isGone = useIsGone(task.id);
  useTitle(task.name);
  return (
    <>
      <div className="page-head">
        <h1>{task.name}</h1>
        <StatusBadge status={task.status} cancelling={task.cancel_requested} />
        <span className="page-head-space" />
        {!isGone && <Actions task={task} />}
      </div>
      {isGone && (
        <p className="task-gone" role="status">
          {t.gone}
        </p>
      )}
      <div className="card task-facts">
        <Why id={task.id} />
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

/** Why it stands where it stands, in the server's words. */
function Why({ id }: { id: number }): ReactElement {
  const { data } = useExplanation(id);
  return <p className="task-why muted">{data?.message ?? "\u00a0"}</p>;
}

function Actions({ task }: { task: Task }): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  const navigate = useNavigate();
  const refresh = useRefresh();
  const [isAsking, setIsAsking] = useState(false);
  const act = useAction(refresh);
  const removal = useAction(() => navigate({ to: "/tasks" })); // an event takes it out of the lists
  const hasEnded = task.finished_at !== null;
  return (
    <>
      <Menu
        trigger={<IconButton icon={Ellipsis} label={t.actions} />}
        items={[
          {
            ...{ label: common.cancel, icon: Ban, disabled: hasEnded || task.cancel_requested },
            onSelect: () => act.mutate(() => client.cancel(task.id)),
          },
          {
            ...{ label: common.retry, icon: RotateCw, disabled: !hasEnded },
            onSelect: () => act.mutate(() => client.retry(task.id)),
          },
          { label: common.delete, icon: Trash2, danger: true, onSelect: () => setIsAsking(true) },
        ]}
      />
      <ConfirmDialog
        open={isAsking}
        onClose={() => setIsAsking(false)}
        title={t.deleteTitle(task.name)}
        action={common.delete}
        danger
        busy={removal.isPending}
        onConfirm={() => removal.mutate(() => client.remove(task.id))}
      >
        {t.deleteText}
      </ConfirmDialog>
    </>
  );
}
