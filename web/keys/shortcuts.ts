/** Keyboard shortcuts: a component registers its shortcuts while it is mounted; the help dialog lists the registered ones. */
import { useEffect, useRef, useSyncExternalStore } from "react";
import { createCell } from "../app/cell.ts";
import { readSetting, writeSetting } from "../app/settings.ts";

export type Shortcut = {
  /** Values of `KeyboardEvent.key`; a sequence has spaces between the keys: "n", "?", "g t". */
  readonly keys: string;
  /** The description in the help dialog. */
  readonly label: string;
  readonly run: () => void;
};

const SETTING = "shortcuts";
/** The longest pause between the keys of one sequence. */
const NEXT_KEY_WITHIN_MS = 1_000;

/** The latest registration has priority: a page may override a key of the frame. */
const registered = createCell<readonly Shortcut[]>([]);
/** Speech input can trigger single-key shortcuts by accident, so the user can turn them off (WCAG 2.1.4). */
const enabled = createCell(readSetting(SETTING) !== "off");

export const useShortcutList = (): readonly Shortcut[] =>
  useSyncExternalStore(registered.subscribe, registered.get);

export const useShortcutsEnabled = (): boolean => useSyncExternalStore(enabled.subscribe, enabled.get);

export function enableShortcuts(on: boolean): void {
  writeSetting(SETTING, on ? "on" : "off");
  enabled.set(on);
}

/** Registers a shortcut while the component is mounted. `run` may be a new function at each render. */
export function useShortcut(keys: string, label: string, run: () => void): void {
  const latest = useRef(run);
  useEffect(() => {
    latest.current = run;
  });
  useEffect(() => {
    const shortcut: Shortcut = { keys, label, run: () => latest.current() };
    registered.set([shortcut, ...registered.get()]);
    return () => registered.set(registered.get().filter((one) => one !== shortcut));
  }, [keys, label]);
}

let typed: readonly string[] = [];
let typedAt = 0;

/** Listens on the whole document. Returns a function that stops listening. */
export function listenForShortcuts(): () => void {
  document.addEventListener("keydown", onKey);
  return () => document.removeEventListener("keydown", onKey);
}

function onKey(event: KeyboardEvent): void {
  if (!enabled.get() || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (isTyping(event.target) || document.querySelector("[role=dialog], [role=alertdialog], [role=menu]"))
    return;
  if (event.key === "Shift" || (event.key === "Enter" && isPressed(event.target))) return;
  const before = event.timeStamp - typedAt < NEXT_KEY_WITHIN_MS ? typed : [];
  typedAt = event.timeStamp;
  for (const keys of [[...before, event.key], [event.key]]) {
    const text = keys.join(" ");
    const found = registered.get().find((shortcut) => shortcut.keys === text);
    if (found !== undefined) {
      typed = [];
      event.preventDefault();
      found.run();
      return;
    }
    if (registered.get().some((shortcut) => shortcut.keys.startsWith(`${text} `))) {
      typed = keys;
      return;
    }
  }
  typed = [];
}

/** Whether the browser itself activates the element on Enter. */
const isPressed = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.matches("a, button, summary, [role=button]");

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable ||
    target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select"));
