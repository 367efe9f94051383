/** Makes any text safe for a terminal, and measures its width. */

/**
 * Characters that a terminal would obey instead of showing: control characters, ends of lines and pages, and
 * marks that change the direction of text.
 */
const UNSHOWABLE = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** The text on one line, with unsafe characters written as escapes: the escape character becomes `\x1b`. */
export const harmless = (text: string): string =>
  text.replace(UNSHOWABLE, (character) => ESCAPES[character] ?? spell(character)).toWellFormed();

/** The same for each line of the text. */
export const harmlessLines = (text: string): string[] => text.split(/\r?\n/).map(harmless);

function spell(character: string): string {
  const hex = character.charCodeAt(0).toString(16);
  return hex.length > 2 ? `\\u${hex.padStart(4, "0")}` : `\\x${hex.padStart(2, "0")}`;
}

/** JSON of the same value without unsafe characters: JSON itself leaves some control characters unescaped. */
export const harmlessJson = (json: string): string =>
  json.replace(/[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });

/** The width in columns; escape sequences have none. */
export const widthOf = (text: string): number => Bun.stringWidth(text);

/** Cuts a text to a width between visible characters, and marks the cut. Colours stay complete. */
export function cutTo(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  // If a wide character crosses the limit, the text is one column too wide, and one column less is tried.
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
