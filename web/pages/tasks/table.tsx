import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { ArrowDown, ArrowUp } from "lucide-react";
import { type ReactElement, type RefObject, useEffect, useMemo, useRef, useState } from "react";
import type { TaskState } from "../../../src/client/client.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { useShortcut } from "../../keys/shortcuts.ts";
import { useVirtualRows } from "../../ui/virtual-rows.ts";
import {
  type ColumnId,
  leastWidth,
  ON_A_PHONE,
  SORTED_BY,
  useColumns,
  useExactTimes,
  widthOf,
} from "./columns.ts";
import { useFilterChange } from "./filters.tsx";
import { type Look, TaskRow } from "./row.tsx";
import { sortOf } from "./search.ts";
import { extended, NOTHING, ofRows, type Selection, toggled } from "./selection.ts";
import { useWindowWidth } from "./window-width.ts";
import { words } from "./words.ts";

const route = getRouteApi("/tasks");

/** A row's height in tasks.css. */
const ROW_HEIGHT = 48;
const PHONE_WIDTH = 640;
/** What stands beside the table on both sides of the page. */
const PAGE_EDGES = 68;
/** The next page is read before its rows are wanted. */
const READ_AHEAD = 40;

function useLook(): Look & { readonly isTight: boolean } {
  const chosen = useColumns();
  const exact = useExactTimes();
  const width = useWindowWidth();
  const isPhone = width <= PHONE_WIDTH;
  return useMemo(() => {
    const columns = isPhone ? ON_A_PHONE : chosen;
    return { columns, exact, isPhone, isTight: !isPhone && leastWidth(columns, exact) > width - PAGE_EDGES };
  }, [chosen, exact, isPhone, width]);
}

type TableProps = {
  readonly tasks: readonly TaskState[];
  readonly selection: Selection;
  readonly onSelect: (next: Selection) => void;
  /** Running durations stand still. */
  readonly isHeld: boolean;
  /** They are of the filter before. */
  readonly isOld: boolean;
  readonly onNearEnd: () => void;
};

export function TaskTable(props: TableProps): ReactElement {
  const { tasks, selection, isHeld, isOld, onNearEnd } = props;
  const place = useRef<HTMLTableElement>(null);
  const look = useLook();
  const rows = useVirtualRows({ count: tasks.length, rowHeight: ROW_HEIGHT, place });
  const pick = useStable((id: number, isRange: boolean) => {
    const inOrder = tasks.map((task) => task.id);
    props.onSelect(isRange ? extended(selection, id, inOrder) : toggled(selection, id));
  });
  const walk = useWalk({
    ...{ tasks, pick, place },
    scrollTo: rows.scrollTo,
    clear: () => props.onSelect(NOTHING),
  });

  const isNearEnd = (rows.indexes.at(-1) ?? 0) >= tasks.length - READ_AHEAD;
  useEffect(() => {
    if (isNearEnd) onNearEnd();
  }, [isNearEnd, onNearEnd]);

  return (
    <div className={look.isTight ? "card tasks-card tight" : "card tasks-card"}>
      <table
        ref={place}
        className={isOld ? "tasks old" : "tasks"}
        aria-rowcount={-1}
        aria-busy={isOld}
        style={look.isTight ? { minWidth: leastWidth(look.columns, look.exact) } : {}}
      >
        <Columns look={look} />
        <Head look={look} tasks={tasks} selection={selection} onSelect={props.onSelect} />
        <tbody>
          <Gap height={rows.before} />
          {rows.indexes.map((index) => {
            const task = tasks[index];
            return task === undefined ? null : (
              <TaskRow
                key={task.id}
                task={task}
                index={index}
                look={look}
                isSelected={selection.isAll || selection.ids.has(task.id)}
                isCurrent={walk.current === task.id}
                isHeld={isHeld}
                onPick={pick}
                onCurrent={walk.onCurrent}
              />
            );
          })}
          <Gap height={rows.after} />
        </tbody>
      </table>
    </div>
  );
}

/** The same function at each drawing, so that rows which do not change are not drawn again. */
function useStable<Args extends unknown[]>(run: (...args: Args) => void): (...args: Args) => void {
  const latest = useRef(run);
  useEffect(() => {
    latest.current = run;
  });
  return useMemo(
    () =>
      (...args: Args) =>
        latest.current(...args),
    [],
  );
}

// ---- the keyboard

type Walk = {
  /** The row that the keys stand on. */
  readonly current: number | null;
  readonly onCurrent: (id: number) => void;
};

/** j and k go from row to row; the row's link has the focus, so that Enter, Tab and screen readers go on from there. */
function useWalk(setup: {
  tasks: readonly TaskState[];
  pick: (id: number, isRange: boolean) => void;
  clear: () => void;
  scrollTo: (index: number) => void;
  place: RefObject<HTMLElement | null>;
}): Walk {
  const { tasks, pick, clear, scrollTo, place } = setup;
  const t = useWords(words);
  const navigate = useNavigate();
  const [current, setCurrent] = useState<number | null>(null);
  const wanted = useRef<number | null>(null);

  const step = (by: 1 | -1): void => {
    const at = tasks.findIndex(({ id }) => id === current);
    const index = at === -1 ? 0 : Math.min(Math.max(at + by, 0), tasks.length - 1);
    const task = tasks[index];
    if (task === undefined) return;
    wanted.current = task.id;
    if (rowOf(place.current, task.id) === null) scrollTo(index);
    setCurrent(task.id);
    focusWanted();
  };
  /** A row that is out of sight is drawn first, and gets the focus then. */
  const focusWanted = (): void => {
    const row = wanted.current === null ? null : rowOf(place.current, wanted.current);
    if (row === null) return;
    wanted.current = null;
    row.scrollIntoView({ block: "nearest" });
    row.querySelector("a")?.focus({ preventScroll: true });
  };
  useEffect(focusWanted);

  useShortcut("Escape", t.keyClear, () => {
    setCurrent(null);
    clear();
  });
  useShortcut("Enter", t.keyOpen, () => {
    if (current !== null) void navigate({ to: "/tasks/$id", params: { id: String(current) } });
  });
  useShortcut("X", t.keyRange, () => current !== null && pick(current, true));
  useShortcut("x", t.keySelect, () => current !== null && pick(current, false));
  useShortcut("k", t.keyPrevious, () => step(-1));
  useShortcut("j", t.keyNext, () => step(1));
  return { current, onCurrent: useStable((id: number) => setCurrent(id)) };
}

const rowOf = (table: HTMLElement | null, id: number): HTMLElement | null =>
  table?.querySelector<HTMLElement>(`tr[data-id="${id}"]`) ?? null;

// ---- the head

const Columns = ({ look: { columns, exact, isPhone } }: { look: Look }): ReactElement => (
  <colgroup>
    <col className="tasks-col-select" />
    {columns.map((id) => (
      // the name takes what is left
      <col
        key={id}
        className={isPhone ? `tasks-col-${id}` : ""}
        style={id === "name" || isPhone ? {} : { width: widthOf(id, exact) }}
      />
    ))}
  </colgroup>
);

function Head(props: {
  look: Look;
  tasks: readonly TaskState[];
  selection: Selection;
  onSelect: (next: Selection) => void;
}): ReactElement {
  const { look, tasks, selection, onSelect } = props;
  const t = useWords(words);
  const chosen = tasks.filter(({ id }) => selection.isAll || selection.ids.has(id)).length;
  const isWhole = tasks.length > 0 && chosen === tasks.length;
  return (
    <thead>
      <tr>
        <th scope="col" className="tasks-select">
          <label>
            <input
              type="checkbox"
              aria-label={t.selectRows}
              checked={isWhole}
              ref={(box) => {
                if (box !== null) box.indeterminate = chosen > 0 && !isWhole;
              }}
              onChange={() => onSelect(isWhole ? NOTHING : ofRows(tasks.map(({ id }) => id)))}
            />
          </label>
        </th>
        {look.columns.map((id) => (
          <HeadCell key={id} id={id} />
        ))}
      </tr>
    </thead>
  );
}

function HeadCell({ id }: { id: ColumnId }): ReactElement {
  const label = useColumnLabel()(id);
  const sort = sortOf(route.useSearch());
  const change = useFilterChange();
  const [first, second] = SORTED_BY[id] ?? [];
  const className = id === "duration" ? "tasks-number" : "";
  if (first === undefined || second === undefined) {
    return (
      <th scope="col" className={className}>
        {label}
      </th>
    );
  }
  const isSorted = sort === first || sort === second;
  const isDown = sort === first;
  const Arrow = isDown ? ArrowDown : ArrowUp;
  return (
    <th
      scope="col"
      aria-sort={isSorted ? (isDown ? "descending" : "ascending") : "none"}
      className={className}
    >
      <button type="button" className="tasks-sort" onClick={() => change({ sort: isDown ? second : first })}>
        {label}
        {isSorted && <Arrow size={14} aria-hidden />}
      </button>
    </th>
  );
}

export function useColumnLabel(): (id: ColumnId) => string {
  const common = useWords(shared);
  const own = useWords(words);
  return (id) => (id === "id" ? own.id : common[id]);
}

/** Stands for rows that are out of sight. */
const Gap = ({ height }: { height: number }): ReactElement | null =>
  height === 0 ? null : <tr aria-hidden className="tasks-gap" style={{ height }} />;

/** As high as the rows that come. */
export function TableSkeleton({ rows }: { rows: number }): ReactElement {
  const t = useWords(shared);
  const look = useLook();
  return (
    <div className="card tasks-card" role="status" aria-label={t.loading}>
      <table className="tasks" aria-hidden>
        <Columns look={look} />
        <thead>
          <tr>
            <th />
            {look.columns.map((id) => (
              <th key={id} />
            ))}
          </tr>
        </thead>
        <tbody>
          {Array.from({ length: rows }, (_, row) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: they are all alike and never move
            <tr key={row}>
              <td />
              {look.columns.map((id) => (
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
