import { Link } from "@tanstack/react-router";
import { memo, type ReactElement, useMemo } from "react";
import type { TaskState } from "../../../src/client/client.ts";
import { ageMs } from "../../api/received.ts";
import { useWords } from "../../i18n/language.ts";
import { durationMs } from "../../time/format.ts";
import { TaskDuration, Time } from "../../time/time.tsx";
import { ProgressBar } from "../../ui/progress-bar.tsx";
import { StatusBadge } from "../../ui/status-badge.tsx";
import type { ColumnId } from "./columns.ts";
import type { Layout } from "./layout.ts";
import { words } from "./words.ts";

const TAGS_SHOWN = 2;

type RowProps = {
  readonly task: TaskState;
  readonly index: number;
  readonly layout: Layout;
  readonly isSelected: boolean;
  readonly isCurrent: boolean;
  readonly isPaused: boolean;
  readonly onPick: (id: number, isRange: boolean) => void;
  readonly onCurrent: (id: number) => void;
};

export const TaskRow = memo(function TaskRow(props: RowProps): ReactElement {
  const { layout, isSelected, isCurrent, isPaused, onPick, onCurrent, index } = props;
  const t = useWords(words);
  const task = useFrozenDuration(props.task, isPaused);
  const marks = [isSelected ? "selected" : "", isCurrent ? "current" : ""].join(" ").trim();
  return (
    <tr className={marks} data-id={task.id} aria-rowindex={index + 2} onFocus={() => onCurrent(task.id)}>
      <td className="tasks-select">
        <label>
          <input
            type="checkbox"
            aria-label={t.selectRow(task.id)}
            checked={isSelected}
            onChange={() => undefined} // only the click event has the shift key
            onClick={(event) => onPick(task.id, event.shiftKey)}
          />
        </label>
      </td>
      {layout.columns.map((id) => (
        <Cell key={id} id={id} task={task} layout={layout} />
      ))}
    </tr>
  );
});

/** While the list is paused, the duration of a running task stays at its value of that moment. */
function useFrozenDuration(task: TaskState, isPaused: boolean): TaskState {
  return useMemo(
    () =>
      isPaused && task.status === "running"
        ? { ...task, duration: `${Math.round(durationMs(task.duration) + ageMs(task))}ms` }
        : task,
    [task, isPaused],
  );
}

function Cell({ id, task, layout }: { id: ColumnId; task: TaskState; layout: Layout }): ReactElement {
  switch (id) {
    case "id":
      return <td className="muted">{task.id}</td>;
    case "name":
      return <NameCell task={task} isPhone={layout.isPhone} />;
    case "status":
      return (
        <td>
          <StatusBadge status={task.status} cancelling={task.cancel_requested} />
        </td>
      );
    case "type":
      return (
        <td className="tasks-text muted" title={task.type}>
          {task.type}
        </td>
      );
    case "tags":
      return <TagsCell tags={task.tags} />;
    case "progress":
      return <td>{task.progress !== null && <ProgressBar progress={task.progress} />}</td>;
    case "priority":
      return <td className="muted">{task.priority}</td>;
    case "attempt":
      return <td className="muted">{task.attempt === 0 ? "" : `${task.attempt} / ${task.max_attempts}`}</td>;
    case "duration":
      return (
        <td className="tasks-number">
          <TaskDuration task={task} />
        </td>
      );
    case "created":
      return <TimeCell value={task.created_at} exact={layout.exact} />;
    case "started":
      return <TimeCell value={task.started_at} exact={layout.exact} />;
    case "finished":
      return <TimeCell value={task.finished_at} exact={layout.exact} />;
  }
}

/** The error of a failed or retrying task appears below its name. */
function NameCell({ task, isPhone }: { task: TaskState; isPhone: boolean }): ReactElement {
  const fault = task.status === "failed" || task.status === "pending" ? task.error : null;
  return (
    <td className="tasks-name">
      <Link to="/tasks/$id" params={{ id: String(task.id) }} title={task.name}>
        <bdi>{task.name}</bdi>
      </Link>
      {fault !== null ? (
        <div className="tasks-second fault" title={fault.message}>
          <bdi>{fault.message === "" ? fault.code : fault.message}</bdi>
        </div>
      ) : (
        isPhone && (
          <div className="tasks-second muted">
            {task.id} · {task.type}
            {task.status === "running" &&
              task.progress !== null &&
              ` · ${Math.round(task.progress.percent)}%`}
          </div>
        )
      )}
    </td>
  );
}

function TagsCell({ tags }: { tags: readonly string[] }): ReactElement {
  const t = useWords(words);
  const rest = tags.length - TAGS_SHOWN;
  return (
    <td title={tags.join(", ")}>
      <div className="tasks-tags">
        {tags.slice(0, TAGS_SHOWN).map((tag) => (
          <span key={tag} className="tag">
            <bdi>{tag}</bdi>
          </span>
        ))}
        {rest > 0 && <span className="muted">{t.moreTags(rest)}</span>}
      </div>
    </td>
  );
}

const TimeCell = ({ value, exact }: { value: string | null; exact: boolean }): ReactElement => (
  <td className="tasks-time muted">{value !== null && <Time value={value} exact={exact} />}</td>
);
