import { useNavigate } from "@tanstack/react-router";
import { type RefObject, useEffect, useRef, useState } from "react";
import type { TaskState } from "../../../src/client/client.ts";
import { useWords } from "../../i18n/language.ts";
import { useShortcut } from "../../keys/shortcuts.ts";
import { useStable } from "./stable.ts";
import { words } from "./words.ts";

type RowNavigation = {
  /** The id of the current row. */
  readonly current: number | null;
  readonly onCurrent: (id: number) => void;
};

/** j and k move between rows. The link of the current row has the focus, so that Enter, Tab and screen readers continue there. */
export function useRowNavigation(setup: {
  tasks: readonly TaskState[];
  pick: (id: number, isRange: boolean) => void;
  clear: () => void;
  scrollTo: (index: number) => void;
  place: RefObject<HTMLElement | null>;
}): RowNavigation {
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
  /** A row outside of the visible area is rendered first and gets the focus afterwards. */
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
