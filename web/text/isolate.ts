/** Safe display of text from users inside the UI's sentences. */

const DIRECTION_MARKS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u0590-\u08ff]/;

/** Wraps the text in isolation marks if it contains right-to-left letters or direction marks: these must not reorder the text around it. */
export const isolated = (text: string): string => (DIRECTION_MARKS.test(text) ? `\u2068${text}\u2069` : text);

/** Whether the text has no visible character: only white space, zero-width characters and control characters. */
export const isInvisible = (text: string): boolean =>
  /^[\p{C}\p{Z}\u2800\u3164\u115f\u1160\uffa0]*$/u.test(text);
