/** Converts between the API's times and the value of `<input type="datetime-local">`: the user's time zone, whole seconds. */

/** @example toLocalInput("2026-01-31T12:00:00.500Z") // "2026-01-31T13:00:00" in Berlin */
export function toLocalInput(time: string): string {
  const at = new Date(time);
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19);
}

/** Returns invalid text unchanged, so that the server rejects it with an error for the field. */
export function fromLocalInput(text: string): string {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? text : at.toISOString();
}

/** The number if the text is one; else the text, so that the server rejects it with an error for the field. */
export function numberOrText(text: string): unknown {
  const trimmed = text.trim();
  return trimmed !== "" && Number.isFinite(Number(trimmed)) ? Number(trimmed) : text;
}
