/** Between the API's times and what `<input type="datetime-local">` holds: the reader's own zone, whole seconds. */

/** @example toLocalInput("2026-01-31T12:00:00.500Z") // "2026-01-31T13:00:00" in Berlin */
export function toLocalInput(time: string): string {
  const at = new Date(time);
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19);
}

/** What is no time stays as it is, for the server to say so. */
export function fromLocalInput(text: string): string {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? text : at.toISOString();
}

/** A number where the text is one; else the text, for the server to say what is wrong with it. */
export function numberOrText(text: string): unknown {
  const trimmed = text.trim();
  return trimmed !== "" && Number.isFinite(Number(trimmed)) ? Number(trimmed) : text;
}
