/** The header row of the table, and the widths of its columns. */
import { getRouteApi } from "@tanstack/react-router";
import { ArrowDown, ArrowUp } from "lucide-react";
import type { ReactElement } from "react";
import type { TaskState } from "../../../src/client/client.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { type ColumnId, SORTED_BY, widthOf } from "./columns.ts";
import { useFilterChange } from "./filters.tsx";
import type { Layout } from "./layout.ts";
import { sortOf } from "./search.ts";
import { NOTHING, ofRows, type Selection } from "./selection.ts";
import { words } from "./words.ts";

const route = getRouteApi("/tasks");

export const Columns = ({ layout: { columns, exact, isPhone } }: { layout: Layout }): ReactElement => (
  <colgroup>
    <col className="tasks-col-select" />
    {columns.map((id) => (
      // the name column gets the remaining width
      <col
        key={id}
        className={isPhone ? `tasks-col-${id}` : ""}
        style={id === "name" || isPhone ? {} : { width: widthOf(id, exact) }}
      />
    ))}
  </colgroup>
);

export function Head(props: {
  layout: Layout;
  tasks: readonly TaskState[];
  selection: Selection;
  onSelect: (next: Selection) => void;
}): ReactElement {
  const { layout, tasks, selection, onSelect } = props;
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
        {layout.columns.map((id) => (
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
  return (id) => common[id];
}
