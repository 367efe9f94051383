/** Text of strangers made fit for a terminal: harmless, and as wide as it is said to be. */

/**
 * What a terminal would obey instead of show: control characters, ends of lines and pages, and the marks that turn the
 * direction of what follows.
 */
const UNSHOWABLE = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** The text on one line, with what is not to be shown spelled out: an escape becomes `\x1b`. */
export const harmless = (text: string): string =>
  text.replace(UNSHOWABLE, (character) => ESCAPES[character] ?? spell(character)).toWellFormed();

/** The same with its lines kept apart. */
export const harmlessLines = (text: string): string[] => text.split(/\r?\n/).map(harmless);

function spell(character: string): string {
  const hex = character.charCodeAt(0).toString(16);
  return hex.length > 2 ? `\\u${hex.padStart(4, "0")}` : `\\x${hex.padStart(2, "0")}`;
}

/** JSON of the same value that a terminal only shows: JSON itself leaves some control characters as they are. */
export const harmlessJson = (json: string): string =>
  json.replace(/[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });

/** In columns; escape sequences count nothing. */
export const widthOf = (text: string): number => Bun.stringWidth(text);

/** Cut to so many columns, between what people see as characters; colours stay whole. It says that it was cut. */
export function cutTo(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  // A wide character across the edge comes out one column too wide: then there is one column less for it.
  for (let room = width; room > 0; room--) {
    const cut = Bun.sliceAnsi(text, 0, room, { ellipsis: "…" });
    if (widthOf(cut) <= width) return cut;
  }
  return "";
}

export const padTo = (text: string, width: number): string =>
  text + " ".repeat(Math.max(0, width - widthOf(text)));

export const padLeftTo = (text: string, width: number): string =>
  " ".repeat(Math.max(0, width - widthOf(text))) + text;
