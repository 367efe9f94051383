/** Text of strangers in sentences of ours. */

const DIRECTION_MARKS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u0590-\u08ff]/;

/** So that marks which turn the direction of writing turn nothing outside of the text; where there are none it stays as it is. */
export const isolated = (text: string): string => (DIRECTION_MARKS.test(text) ? `\u2068${text}\u2069` : text);

/** Whether there is nothing to be seen of it: white space, zero-width characters, control characters. */
export const isInvisible = (text: string): boolean =>
  /^[\p{C}\p{Z}\u2800\u3164\u115f\u1160\uffa0]*$/u.test(text);
