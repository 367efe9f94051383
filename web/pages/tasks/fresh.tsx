/** Announces new tasks instead of inserting rows, so that rows do not move; and the switch that pauses updates. */
import { useQueryClient } from "@tanstack/react-query";
import { ArrowUp, Pause, Radio, RotateCw } from "lucide-react";
import { type ReactElement, useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { TaskState } from "../../../src/client/client.ts";
import { client } from "../../api/client.ts";
import type { LiveBatch } from "../../api/live.ts";
import { listsPaused, queryKeys, useLive, useReadAnew } from "../../api/queries.ts";
import { useWords } from "../../i18n/language.ts";
import { Button } from "../../ui/button.tsx";
import { filterOf, isBefore, sortOf, type TasksSearch, takes } from "./search.ts";
import { words } from "./words.ts";

type Read = {
  readonly search: TasksSearch;
  /** The rows loaded so far. */
  readonly tasks: readonly TaskState[];
  /** There are more rows to load. */
  readonly hasMore: boolean;
};

/** The maximum number of tracked new tasks; more are shown as "1,000+". */
const MOST = 1_000;
/** The interval of the requests for the new tasks that match a text search. */
const ASK_EVERY_MS = 1_000;
const ASKED = 100;

/** The state belongs to one filter: set a `key` per filter. */
export function NewTasks(read: Read): ReactElement {
  const t = useWords(words);
  const readAnew = useReadAnew(filterOf(read.search));
  const fresh = useFresh(read);
  const left = read.tasks.filter((task) => !takes(read.search, task)).length;
  const show = (): void => {
    window.scrollTo({ top: 0 });
    void readAnew();
  };
  return (
    <>
      <span className="visually-hidden" role="status">
        {fresh.length > 0 && t.newAnnounced}
      </span>
      {fresh.length > 0 && (
        <Button look="primary" icon={ArrowUp} onClick={show}>
          {fresh.length >= MOST ? t.manyNewTasks(MOST) : t.newTasks(fresh.length)}
        </Button>
      )}
      {fresh.length === 0 && left > 0 && (
        <Button icon={RotateCw} onClick={show}>
          {t.noLongerMatching(left)}
        </Button>
      )}
    </>
  );
}

/** Ids of tasks that match the list and are not among its rows. */
function useFresh(read: Read): readonly number[] {
  const candidates = useCandidates(read);
  const found = useFound(read, candidates);
  const known = new Set(read.tasks.map(({ id }) => id));
  return (read.search.q === undefined ? [...candidates] : found).filter((id) => !known.has(id));
}

/** Tasks from events that match the filter and sort among the loaded rows: new tasks, and tasks that started to match. */
function useCandidates(read: Read): ReadonlySet<number> {
  const [ids, setIds] = useState<ReadonlySet<number>>(new Set());
  const latest = useRef(read);
  useEffect(() => {
    latest.current = read;
  });
  const notice = useCallback(({ tasks, deleted }: LiveBatch) => {
    const { search, tasks: rows, hasMore } = latest.current;
    const known = new Set(rows.map(({ id }) => id));
    const last = hasMore ? rows.at(-1) : undefined;
    const isHere = (task: TaskState): boolean =>
      takes(search, task) && (last === undefined || isBefore(sortOf(search), task, last));
    setIds((before) => {
      const next = new Set([...before].filter((id) => !known.has(id)));
      for (const id of deleted) next.delete(id);
      for (const task of tasks) {
        if (!isHere(task)) next.delete(task.id);
        else if (!known.has(task.id) && next.size < MOST) next.add(task.id);
      }
      return next.size === before.size && [...next].every((id) => before.has(id)) ? before : next;
    });
  }, []);
  useLive(notice);
  return ids;
}

/** Events contain no payloads, so the server must find the candidates that match a text search. */
function useFound({ search }: Read, candidates: ReadonlySet<number>): readonly number[] {
  const [found, setFound] = useState<readonly number[]>([]);
  const isWanted = search.q !== undefined && candidates.size > 0;
  const latest = useRef(candidates);
  useEffect(() => {
    latest.current = candidates;
  });

  useEffect(() => {
    if (!isWanted) return;
    const stop = new AbortController();
    let asked: ReadonlySet<number> = new Set();
    const ask = async (): Promise<void> => {
      if (asked === latest.current) return;
      asked = latest.current;
      const page = await client.statePage({ ...filterOf(search), limit: ASKED, signal: stop.signal });
      setFound(page.tasks.map(({ id }) => id).filter((id) => asked.has(id)));
    };
    const askQuietly = (): void => void ask().catch(() => undefined); // the banner reports that the server does not answer
    askQuietly();
    const timer = setInterval(askQuietly, ASK_EVERY_MS);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, [isWanted, search]);
  return isWanted ? found : [];
}

// ---- pause

/** Whether updates of the list are paused. Leaving the page ends the pause. */
export function useIsPaused(): boolean {
  useEffect(() => () => listsPaused.set(false), []);
  return useSyncExternalStore(listsPaused.subscribe, listsPaused.get);
}

export function LiveSwitch({ isPaused }: { isPaused: boolean }): ReactElement {
  const t = useWords(words);
  const queries = useQueryClient();
  const toggle = (): void => {
    listsPaused.set(!isPaused);
    if (isPaused) void queries.invalidateQueries({ queryKey: queryKeys.allTasks });
  };
  const Icon = isPaused ? Pause : Radio;
  return (
    <button
      type="button"
      role="switch"
      aria-checked={!isPaused}
      className={isPaused ? "button plain live paused" : "button plain live"}
      title={isPaused ? t.pausedHint : t.liveHint}
      onClick={toggle}
    >
      <Icon size={16} aria-hidden />
      {isPaused ? t.paused : t.live}
    </button>
  );
}
