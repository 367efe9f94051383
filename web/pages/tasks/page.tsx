import { getRouteApi, Link } from "@tanstack/react-router";
import { FlaskConical, Inbox, Search, SearchX } from "lucide-react";
import { type ReactElement, useCallback, useEffect, useMemo, useState } from "react";
import { useAction } from "../../api/action.ts";
import { client } from "../../api/client.ts";
import { useRefresh, useTaskCount, useTasks } from "../../api/queries.ts";
import { stringifySearch } from "../../app/search.ts";
import { useTitle } from "../../app/title.ts";
import { useLanguage, useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { Button } from "../../ui/button.tsx";
import { CurlLine, curlOf } from "../../ui/copy.tsx";
import { Select } from "../../ui/fields.tsx";
import { EmptyState, ErrorState } from "../../ui/states.tsx";
import { addSamples } from "../new/samples.ts";
import { BulkBar } from "./bulk-bar.tsx";
import { Filters, useFilterChange } from "./filters.tsx";
import { LiveSwitch, NewTasks, useIsPaused } from "./fresh.tsx";
import { DisplayMenu, ViewsMenu } from "./menus.tsx";
import { filterOf, isFiltered, SORTS, sortOf, type TasksSearch } from "./search.ts";
import { NOTHING, type Selection } from "./selection.ts";
import { TableSkeleton, TaskTable } from "./table.tsx";
import { words } from "./words.ts";

const route = getRouteApi("/tasks");

/** After this number of pages without a match, a text search continues only after a click. */
const EMPTY_PAGES_AT_MOST = 25;
const SKELETON_ROWS = 12;

export function TasksPage(): ReactElement {
  const t = useWords(shared);
  useTitle(t.tasks);
  const search = route.useSearch();
  return (
    <>
      <div className="page-head">
        <h1>{t.tasks}</h1>
        <span className="tasks-space" />
        <ViewsMenu search={search} />
      </div>
      <Filters search={search} />
      <TaskList search={search} />
    </>
  );
}

function TaskList({ search }: { search: TasksSearch }): ReactElement {
  const query = useTasks(filterOf(search));
  const isPaused = useIsPaused();
  const [selection, setSelection] = useSelection(search);
  const tasks = useMemo(() => query.data?.pages.flatMap((page) => page.tasks) ?? [], [query.data]);

  const { hasNextPage, isFetching, isError, fetchNextPage } = query;
  const emptyPages = trailingEmpty(query.data?.pages ?? []);
  const mayReadOn = hasNextPage && !isError && emptyPages < EMPTY_PAGES_AT_MOST;
  const readOn = useCallback(() => {
    if (mayReadOn && !isFetching) void fetchNextPage();
  }, [mayReadOn, isFetching, fetchNextPage]);

  const isOld = query.isPlaceholderData;
  const retry = (): void => void query.refetch();
  return (
    <>
      <div className="tasks-line">
        <Total search={search} shown={tasks.length} hasMore={hasNextPage} />
        {query.data !== undefined && !isOld && (
          <NewTasks key={stringifySearch(search)} search={search} tasks={tasks} hasMore={hasNextPage} />
        )}
        <span className="tasks-space" />
        <SortSelect search={search} />
        <DisplayMenu />
        <LiveSwitch isPaused={isPaused} />
      </div>
      {isError && <ErrorState error={query.error} onRetry={retry} />}
      {query.isPending && <TableSkeleton rows={SKELETON_ROWS} />}
      {query.data !== undefined && tasks.length === 0 && (
        <NoTasks
          search={search}
          isSearching={hasNextPage && emptyPages < EMPTY_PAGES_AT_MOST}
          onReadOn={readOn}
        />
      )}
      {tasks.length > 0 && (
        <TaskTable {...{ tasks, selection, isPaused, isOld }} onSelect={setSelection} onNearEnd={readOn} />
      )}
      <Foot
        isReading={query.isFetchingNextPage}
        isStuck={hasNextPage && !mayReadOn}
        onReadOn={() => void fetchNextPage()}
      />
      <BulkBar search={search} tasks={tasks} selection={selection} onSelect={setSelection} />
    </>
  );
}

/** The selection belongs to one filter: a changed filter clears it. */
function useSelection(search: TasksSearch): [Selection, (next: Selection) => void] {
  const filter = stringifySearch(search);
  const [made, setMade] = useState({ filter, selection: NOTHING });
  return [made.filter === filter ? made.selection : NOTHING, (selection) => setMade({ filter, selection })];
}

function trailingEmpty(pages: readonly { readonly tasks: readonly unknown[] }[]): number {
  const last = pages.findLastIndex(({ tasks }) => tasks.length > 0);
  return pages.length - 1 - last;
}

/** The exact number of matching tasks; for a text search, the number found so far. */
function Total(props: { search: TasksSearch; shown: number; hasMore: boolean }): ReactElement {
  const { search, shown, hasMore } = props;
  const t = useWords(words);
  const count = useTaskCount(filterOf(search));
  if (search.q !== undefined) {
    return <span className="tasks-total">{hasMore ? t.shownSoFar(shown) : t.total(shown)}</span>;
  }
  return <span className="tasks-total">{count === null ? "\u00a0" : t.total(count)}</span>;
}

function SortSelect({ search }: { search: TasksSearch }): ReactElement {
  const t = useWords(words);
  const change = useFilterChange();
  return (
    <Select
      label={t.sort}
      hideLabel
      value={sortOf(search)}
      onChange={(value) => change({ sort: SORTS.find((sort) => sort === value) })}
      options={SORTS.map((sort) => ({ value: sort, label: t[`sort_${sort}`] }))}
    />
  );
}

function NoTasks(props: {
  search: TasksSearch;
  isSearching: boolean;
  onReadOn: () => void;
}): ReactElement | null {
  const { search, isSearching, onReadOn } = props;
  const t = useWords(words);
  const change = useFilterChange();
  useEffect(() => {
    if (isSearching) onReadOn();
  }, [isSearching, onReadOn]);
  if (isSearching) {
    return (
      <div className="card">
        <EmptyState icon={Search} title={t.searching} />
      </div>
    );
  }
  if (!isFiltered(search) && search.sort === undefined) return <EmptyStore />;
  return (
    <div className="card">
      <EmptyState icon={SearchX} title={t.noMatch}>
        <p>{t.noMatchText}</p>
        <Button
          onClick={() =>
            change({ status: undefined, type: undefined, tag: undefined, q: undefined, sort: undefined })
          }
        >
          {t.clearFilters}
        </Button>
      </EmptyState>
    </div>
  );
}

function EmptyStore(): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  const refresh = useRefresh();
  const samples = useAction(refresh);
  const language = useLanguage();
  return (
    <div className="card">
      <EmptyState icon={Inbox} title={t.empty}>
        <p>{t.emptyText}</p>
        <div className="tasks-first">
          <Button
            look="primary"
            icon={FlaskConical}
            busy={samples.isPending}
            onClick={() => samples.mutate(() => addSamples(client, language))}
          >
            {t.addSamples}
          </Button>
          <Link to="/new" className="button plain">
            {common.newTask}
          </Link>
        </div>
        <CurlLine command={curlOf("POST", "/api/task", JSON.stringify({ name: "my first task" }))} />
      </EmptyState>
    </div>
  );
}

/** Has a constant height, so that nothing moves while more rows load. */
function Foot(props: { isReading: boolean; isStuck: boolean; onReadOn: () => void }): ReactElement {
  const { isReading, isStuck, onReadOn } = props;
  const t = useWords(words);
  return (
    <div className="tasks-foot muted">
      {isReading ? t.loadingMore : isStuck && <Button onClick={onReadOn}>{t.more}</Button>}
    </div>
  );
}
