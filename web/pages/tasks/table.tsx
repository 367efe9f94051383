import { type ReactElement, useEffect, useRef } from "react";
import type { TaskState } from "../../../src/client/client.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { useVirtualRows } from "../../ui/virtual-rows.ts";
import { leastWidth } from "./columns.ts";
import { Columns, Head } from "./head.tsx";
import { useLayout } from "./layout.ts";
import { TaskRow } from "./row.tsx";
import { useRowNavigation } from "./row-navigation.ts";
import { extended, NOTHING, type Selection, toggled } from "./selection.ts";
import { useStable } from "./stable.ts";

/** The row height in table.css. */
const ROW_HEIGHT = 48;
/** The next page loads when this number of rows is left. */
const READ_AHEAD = 40;
type TableProps = {
  readonly tasks: readonly TaskState[];
  readonly selection: Selection;
  readonly onSelect: (next: Selection) => void;
  /** The list is paused: durations of running tasks do not grow. */
  readonly isPaused: boolean;
  /** The rows belong to the previous filter. */
  readonly isOld: boolean;
  readonly onNearEnd: () => void;
};

export function TaskTable(props: TableProps): ReactElement {
  const { tasks, selection, isPaused, isOld, onNearEnd } = props;
  const place = useRef<HTMLTableElement>(null);
  const layout = useLayout();
  const rows = useVirtualRows({ count: tasks.length, rowHeight: ROW_HEIGHT, place });
  const pick = useStable((id: number, isRange: boolean) => {
    const inOrder = tasks.map((task) => task.id);
    props.onSelect(isRange ? extended(selection, id, inOrder) : toggled(selection, id));
  });
  const navigation = useRowNavigation({
    ...{ tasks, pick, place },
    scrollTo: rows.scrollTo,
    clear: () => props.onSelect(NOTHING),
  });

  const isNearEnd = (rows.indexes.at(-1) ?? 0) >= tasks.length - READ_AHEAD;
  useEffect(() => {
    if (isNearEnd) onNearEnd();
  }, [isNearEnd, onNearEnd]);

  return (
    <div className={layout.isTight ? "card tasks-card tight" : "card tasks-card"}>
      <table
        ref={place}
        className={isOld ? "tasks old" : "tasks"}
        aria-rowcount={-1}
        aria-busy={isOld}
        style={layout.isTight ? { minWidth: leastWidth(layout.columns, layout.exact) } : {}}
      >
        <Columns layout={layout} />
        <Head layout={layout} tasks={tasks} selection={selection} onSelect={props.onSelect} />
        <tbody>
          <Gap height={rows.before} />
          {rows.indexes.map((index) => {
            const task = tasks[index];
            return task === undefined ? null : (
              <TaskRow
                key={task.id}
                task={task}
                index={index}
                layout={layout}
                isSelected={selection.isAll || selection.ids.has(task.id)}
                isCurrent={navigation.current === task.id}
                isPaused={isPaused}
                onPick={pick}
                onCurrent={navigation.onCurrent}
              />
            );
          })}
          <Gap height={rows.after} />
        </tbody>
      </table>
    </div>
  );
}

/** Replaces rows that are not rendered. */
const Gap = ({ height }: { height: number }): ReactElement | null =>
  height === 0 ? null : <tr aria-hidden className="tasks-gap" style={{ height }} />;

/** Has the height of the expected rows. */
export function TableSkeleton({ rows }: { rows: number }): ReactElement {
  const t = useWords(shared);
  const layout = useLayout();
  return (
    <div className="card tasks-card" role="status" aria-label={t.loading}>
      <table className="tasks" aria-hidden>
        <Columns layout={layout} />
        <thead>
          <tr>
            <th />
            {layout.columns.map((id) => (
              <th key={id} />
            ))}
          </tr>
        </thead>
        <tbody>
          {Array.from({ length: rows }, (_, row) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: all rows are identical and keep their order
            <tr key={row}>
              <td />
              {layout.columns.map((id) => (
                <td key={id}>
                  <div className="skeleton-row tasks-skeleton" />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
