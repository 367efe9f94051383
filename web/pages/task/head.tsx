/** The task's name, status and actions. */
import { Link, useNavigate } from "@tanstack/react-router";
import { Ban, CopyPlus, Ellipsis, Pencil, RotateCw, Trash2 } from "lucide-react";
import { type ReactElement, useState } from "react";
import { useAction } from "../../api/action.ts";
import { client } from "../../api/client.ts";
import { useRefresh } from "../../api/queries.ts";
import type { WrittenTask } from "../../api/written.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { useShortcut } from "../../keys/shortcuts.ts";
import { isInvisible, isolated } from "../../text/isolate.ts";
import { Button, IconButton } from "../../ui/button.tsx";
import { ConfirmDialog } from "../../ui/dialog.tsx";
import { Menu } from "../../ui/menu.tsx";
import { StatusBadge } from "../../ui/status-badge.tsx";
import { EditDialog } from "./edit.tsx";
import { LongText } from "./long-text.tsx";
import { useNeighbours } from "./neighbours.ts";
import { words } from "./words.ts";

export function Head({ task, isGone }: { task: WrittenTask; isGone: boolean }): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  useNeighbourKeys(task.id);
  return (
    <header className="task-head">
      <p className="task-path muted">
        <Link to="/tasks">{common.tasks}</Link> / <span>{task.id}</span>
      </p>
      <div className="task-title">
        <h1 dir="auto">{isInvisible(task.name) ? <i className="muted">{t.unreadableName}</i> : task.name}</h1>
        <StatusBadge status={task.status} cancelling={task.cancel_requested} />
        <span className="task-space" />
        {!isGone && <Actions task={task} />}
      </div>
      {task.description !== "" && <LongText className="task-description" text={task.description} />}
    </header>
  );
}

type OpenDialog = "cancel" | "retry" | "delete" | "edit";

function Actions({ task }: { task: WrittenTask }): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  const navigate = useNavigate();
  const [dialog, setDialog] = useState<OpenDialog | null>(null);
  const refresh = useRefresh();
  const act = useAction(() => {
    setDialog(null);
    return refresh();
  });
  const hasEnded = task.finished_at !== null;
  const cancel = (): void => act.mutate(() => client.cancel(task.id));
  const retry = (): void => act.mutate(() => client.retry(task.id));
  return (
    <div className="task-actions">
      {hasEnded ? (
        <Button
          icon={RotateCw}
          busy={act.isPending}
          onClick={() => (task.status === "done" ? setDialog("retry") : retry())}
        >
          {common.retry}
        </Button>
      ) : (
        <Button
          icon={Ban}
          busy={act.isPending}
          disabled={task.cancel_requested}
          onClick={() => (task.status === "running" ? setDialog("cancel") : cancel())}
        >
          {common.cancel}
        </Button>
      )}
      <Button icon={Pencil} onClick={() => setDialog("edit")}>
        {common.edit}
      </Button>
      <Menu
        trigger={<IconButton icon={Ellipsis} label={t.actions} />}
        items={[
          {
            ...{ label: t.duplicate, icon: CopyPlus },
            onSelect: () => void navigate({ to: "/new", search: { from: String(task.id) } }),
          },
          { label: common.delete, icon: Trash2, danger: true, onSelect: () => setDialog("delete") },
        ]}
      />
      <Confirmations
        task={task}
        dialog={dialog}
        close={() => setDialog(null)}
        {...{ cancel, retry }}
        busy={act.isPending}
      />
      {dialog === "edit" && <EditDialog task={task} onClose={() => setDialog(null)} />}
    </div>
  );
}

type ConfirmationsProps = {
  readonly task: WrittenTask;
  readonly dialog: OpenDialog | null;
  readonly close: () => void;
  readonly cancel: () => void;
  readonly retry: () => void;
  readonly busy: boolean;
};

/** Only actions that lose data need a confirmation: they lose running work, a result or a task. */
function Confirmations({ task, dialog, close, cancel, retry, busy }: ConfirmationsProps): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  const navigate = useNavigate();
  const removal = useAction(() => navigate({ to: "/tasks" })); // an event removes the task from the lists
  const name = isolated(task.name);
  return (
    <>
      <ConfirmDialog
        open={dialog === "cancel"}
        onClose={close}
        title={t.cancelTitle(name)}
        action={t.cancelAction}
        danger
        busy={busy}
        onConfirm={cancel}
      >
        {t.cancelText}
      </ConfirmDialog>
      <ConfirmDialog
        open={dialog === "retry"}
        onClose={close}
        title={t.retryTitle(name)}
        action={t.retryAction}
        busy={busy}
        onConfirm={retry}
      >
        {t.retryText}
      </ConfirmDialog>
      <ConfirmDialog
        open={dialog === "delete"}
        onClose={close}
        title={t.deleteTitle(name)}
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

function useNeighbourKeys(id: number): void {
  const t = useWords(words);
  const navigate = useNavigate();
  const { previous, next } = useNeighbours(id);
  const go = (to: number | null): void => {
    if (to !== null) void navigate({ to: "/tasks/$id", params: { id: String(to) } });
  };
  useShortcut("k", t.previous, () => go(previous()));
  useShortcut("j", t.next, () => go(next()));
}
