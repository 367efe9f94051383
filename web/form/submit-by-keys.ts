/** Submits the form on Ctrl+Enter, or on Command+Enter. */
import type { KeyboardEvent } from "react";

export function submitByKeys(event: KeyboardEvent<HTMLFormElement>): void {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  event.currentTarget.requestSubmit();
}
