/** The filters of the list: status, text, type and tag. All filters are part of the address. */
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { CircleHelp, Search, X } from "lucide-react";
import { type ReactElement, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Stats, Status } from "../../../src/client/client.ts";
import { parseExactly } from "../../../src/core/exact-json.ts";
import { labelFault, STATUSES, takesType, typePatternFault } from "../../../src/core/task.ts";
import { readTasks } from "../../api/client.ts";
import { useStats } from "../../api/queries.ts";
import { useLanguage, useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { formatNumber } from "../../i18n/words.ts";
import { useShortcut } from "../../keys/shortcuts.ts";
import { Button, IconButton } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { isUnfinished, type PayloadPaths, pathsOf, suggestionsFor } from "./payload-paths.ts";
import type { TasksSearch } from "./search.ts";
import { Suggest } from "./suggest.tsx";
import { words } from "./words.ts";

const route = getRouteApi("/tasks");

/** The search starts after this pause in typing. */
const TYPING_PAUSE_MS = 300;
const SUGGESTED = 8;
/** The number of tasks whose payloads provide the suggested paths; few, because payloads may be large. */
const SAMPLED = 20;

/**
 * Sets the given filters and keeps the others; undefined removes a filter. `replace` avoids a history entry for each typed letter.
 */
export function useFilterChange(): (
  change: { [Key in keyof TasksSearch]?: TasksSearch[Key] | undefined },
  replace?: boolean,
) => void {
  const navigate = route.useNavigate();
  return useCallback(
    (change, replace = false) =>
      void navigate({
        replace,
        resetScroll: false,
        search: (search) => {
          const next = Object.entries({ ...search, ...change }).filter(([, value]) => value !== undefined);
          return Object.fromEntries(next) as TasksSearch; // only members of the search and of the change
        },
      }),
    [navigate],
  );
}

export function Filters({ search }: { search: TasksSearch }): ReactElement {
  const t = useWords(words);
  const { data: stats } = useStats();
  return (
    <search className="tasks-filters" aria-label={t.filters}>
      <Statuses search={search} stats={stats} />
      <div className="tasks-fields">
        <SearchField q={search.q ?? ""} />
        <AddFilter
          label={t.filterType}
          placeholder={t.anyType}
          kind="type"
          chosen={search.type}
          known={stats?.types.map(({ type }) => type)}
          isAllowed={(text) => typePatternFault(text) === null}
        />
        <AddFilter
          label={t.filterTag}
          placeholder={t.anyTag}
          kind="tag"
          chosen={search.tag}
          known={stats?.tags.map(({ tag }) => tag)}
          isAllowed={() => true}
        />
        <AddFilter
          label={t.filterLabel}
          placeholder={t.anyLabel}
          kind="label"
          chosen={search.label}
          known={undefined}
          isAllowed={(text) => labelFault(text) === null}
        />
      </div>
      <ActiveFilters search={search} />
    </search>
  );
}

// ---- statuses

/** Counts by status from the statistics; null if a tag, label or text filter makes them inexact. */
function countsFor({ type, tag, label, q }: TasksSearch, stats: Stats | undefined): Stats["counts"] | null {
  if (stats === undefined || tag !== undefined || label !== undefined || q !== undefined) return null;
  if (type === undefined) return stats.counts;
  const taken = stats.types.filter((one) => type.some((pattern) => takesType(pattern, one.type)));
  const sum = (status: Status): number => taken.reduce((total, { counts }) => total + counts[status], 0);
  return {
    ...{ pending: sum("pending"), running: sum("running"), done: sum("done") },
    ...{ failed: sum("failed"), cancelled: sum("cancelled") },
  };
}

function Statuses({ search, stats }: { search: TasksSearch; stats: Stats | undefined }): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  const change = useFilterChange();
  const { status: chosen = [] } = search;
  const counts = countsFor(search, stats);
  const toggle = (status: Status): void => {
    const next = STATUSES.filter((one) => (one === status) !== chosen.includes(one));
    change({ status: next.length === 0 || next.length === STATUSES.length ? undefined : next });
  };
  const all = counts === null ? null : Object.values(counts).reduce((sum, count) => sum + count, 0);
  return (
    <fieldset className="status-filter">
      <legend className="visually-hidden">{common.status}</legend>
      <StatusToggle
        look="all"
        label={t.all}
        count={all}
        isOn={chosen.length === 0}
        onClick={() => change({ status: undefined })}
      />
      {STATUSES.map((status) => (
        <StatusToggle
          key={status}
          look={status}
          label={common[status]}
          count={counts?.[status] ?? null}
          isOn={chosen.includes(status)}
          onClick={() => toggle(status)}
        />
      ))}
    </fieldset>
  );
}

function StatusToggle(props: {
  look: Status | "all";
  label: string;
  count: number | null;
  isOn: boolean;
  onClick: () => void;
}): ReactElement {
  const language = useLanguage();
  const { look, label, count, isOn, onClick } = props;
  const isQuiet = count === 0;
  return (
    <button
      type="button"
      className={isQuiet ? `status-toggle ${look} none` : `status-toggle ${look}`}
      aria-pressed={isOn}
      onClick={onClick}
    >
      {look !== "all" && <span className="status-dot" aria-hidden />}
      {label} <span className="status-count">{count === null ? "" : formatNumber(language, count)}</span>
    </button>
  );
}

// ---- text

function SearchField({ q }: { q: string }): ReactElement {
  const t = useWords(words);
  const change = useFilterChange();
  const field = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(q);
  const [isWanted, setIsWanted] = useState(false);
  const [isExplained, setIsExplained] = useState(false);
  const paths = usePayloadPaths(isWanted);
  const said = useRef(q);
  useShortcut("/", t.search, () => field.current?.focus());

  useEffect(() => {
    if (q !== said.current) setText(q); // the address changed: a link, the back button, a view
    said.current = q;
  }, [q]);

  const look = useCallback(
    (wanted: string): void => {
      const next = wanted.trim();
      if (next === said.current) return;
      const isMore = said.current !== "" && next !== ""; // one history entry per search, however often its text changes
      said.current = next;
      change({ q: next === "" ? undefined : next }, isMore);
    },
    [change],
  );
  useEffect(() => {
    if (isUnfinished(text)) return;
    const timer = setTimeout(() => look(text), TYPING_PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text, look]);

  return (
    <div className="tasks-search">
      <Search size={16} aria-hidden className="tasks-search-icon" />
      <Suggest
        field={field}
        type="search"
        label={t.search}
        placeholder={t.searchPlaceholder}
        text={text}
        onText={setText}
        suggestions={suggestionsFor(text, paths)}
        onPick={setText}
        onEnter={() => look(text)}
        onFocus={() => setIsWanted(true)}
      />
      <IconButton icon={CircleHelp} label={t.syntax} onClick={() => setIsExplained(true)} />
      <Dialog open={isExplained} onClose={() => setIsExplained(false)} title={t.syntax}>
        <Syntax />
      </Dialog>
    </div>
  );
}

function Syntax(): ReactElement {
  const t = useWords(words);
  return (
    <dl className="tasks-syntax">
      <dt>
        <code>nightly report</code>
      </dt>
      <dd>{t.syntaxWords}</dd>
      <dt>
        <code>payload.video.width:640</code>
      </dt>
      <dd>{t.syntaxField}</dd>
      <dt>
        <code>report payload.user:ann</code>
      </dt>
      <dd>{t.syntaxBoth}</dd>
    </dl>
  );
}

const NO_PATHS: PayloadPaths = new Map();

/** The payload paths of the latest tasks, loaded when the search field gets the focus. */
function usePayloadPaths(isWanted: boolean): PayloadPaths {
  const { data } = useQuery({
    enabled: isWanted,
    queryKey: ["payload-paths"],
    queryFn: async ({ signal }) => {
      const tasks = await readTasks({ sort: "-id", limit: SAMPLED, signal });
      return pathsOf(tasks.map(({ payloadText }) => parseExactly(payloadText ?? "null")));
    },
  });
  return data ?? NO_PATHS;
}

// ---- types and tags

function AddFilter(props: {
  label: string;
  placeholder: string;
  kind: "type" | "tag" | "label";
  chosen: readonly string[] | undefined;
  known: readonly string[] | undefined;
  isAllowed: (text: string) => boolean;
}): ReactElement {
  const { label, placeholder, kind, chosen = [], known, isAllowed } = props;
  const change = useFilterChange();
  const [text, setText] = useState("");
  const suggestions = useMemo(() => {
    const fits = (one: string): boolean => one.toLowerCase().includes(text.toLowerCase());
    return (known ?? []).filter((one) => fits(one) && !chosen.includes(one)).slice(0, SUGGESTED);
  }, [known, chosen, text]);
  const add = (value: string): void => {
    if (value === "" || !isAllowed(value)) return;
    setText("");
    if (!chosen.includes(value)) change({ [kind]: [...chosen, value] });
  };
  return (
    <Suggest
      label={label}
      placeholder={placeholder}
      text={text}
      onText={setText}
      suggestions={suggestions}
      onPick={add}
      onEnter={() => add(text.trim())}
    />
  );
}

/** The active type and tag filters, each with a button that removes it. */
function ActiveFilters({ search }: { search: TasksSearch }): ReactElement | null {
  const t = useWords(words);
  const common = useWords(shared);
  const change = useFilterChange();
  const { type = [], tag = [], label = [] } = search;
  if (type.length + tag.length + label.length === 0) return null;
  const without = (values: readonly string[], value: string): string[] | undefined => {
    const next = values.filter((one) => one !== value);
    return next.length === 0 ? undefined : next;
  };
  return (
    <div className="tasks-chosen">
      {type.map((one) => (
        <Chip
          key={`type ${one}`}
          kind={common.type}
          value={one}
          onRemove={() => change({ type: without(type, one) })}
        />
      ))}
      {tag.map((one) => (
        <Chip
          key={`tag ${one}`}
          kind={common.tags}
          value={one}
          onRemove={() => change({ tag: without(tag, one) })}
        />
      ))}
      {label.map((one) => (
        <Chip
          key={`label ${one}`}
          kind={common.labels}
          value={one}
          onRemove={() => change({ label: without(label, one) })}
        />
      ))}
      <Button
        look="quiet"
        onClick={() =>
          change({ status: undefined, type: undefined, tag: undefined, label: undefined, q: undefined })
        }
      >
        {t.clearFilters}
      </Button>
    </div>
  );
}

function Chip(props: { kind: string; value: string; onRemove: () => void }): ReactElement {
  const t = useWords(words);
  const { kind, value, onRemove } = props;
  return (
    <span className="chip">
      <span className="muted">{kind}</span>
      <bdi className="chip-value">{value}</bdi>
      <button type="button" aria-label={t.removeFilter(`${kind} ${value}`)} onClick={onRemove}>
        <X size={14} aria-hidden />
      </button>
    </span>
  );
}
