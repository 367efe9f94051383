/** Keyboard shortcuts: a part says which it has while it is shown; the help sheet lists what there is just now. */
import { useEffect, useRef, useSyncExternalStore } from "react";
import { createCell } from "../app/cell.ts";
import { readSetting, writeSetting } from "../app/settings.ts";

export type Shortcut = {
  /** As `KeyboardEvent.key` has them, several with spaces between them: "n", "?", "g t". */
  readonly keys: string;
  /** What it does, for the help sheet. */
  readonly label: string;
  readonly run: () => void;
};

const SETTING = "shortcuts";
/** Between the keys of one shortcut. */
const NEXT_KEY_WITHIN_MS = 1_000;

/** The latest registered goes first: a page may take a key from the frame. */
const registered = createCell<readonly Shortcut[]>([]);
/** Single keys disturb people that use speech input, so they can be turned off (WCAG 2.1.4). */
const enabled = createCell(readSetting(SETTING) !== "off");

export const useShortcutList = (): readonly Shortcut[] =>
  useSyncExternalStore(registered.subscribe, registered.get);

export const useShortcutsEnabled = (): boolean => useSyncExternalStore(enabled.subscribe, enabled.get);

export function enableShortcuts(on: boolean): void {
  writeSetting(SETTING, on ? "on" : "off");
  enabled.set(on);
}

/** While the component is shown, the keys do this. `run` may be another function at each drawing. */
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

/** Listens for the whole page; returns how to stop. */
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

/** What Enter presses by itself. */
const isPressed = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.matches("a, button, summary, [role=button]");

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable ||
    target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select"));
