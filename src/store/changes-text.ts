/**
 * How stores that keep many changes in one entry write them: `ID VERSION MARK` each, separated by semicolons. A mark is the code of
 * the status and the code of the kind.
 */
import type { Status } from "../core/task.ts";
import type { Change, ChangeKind } from "./store.ts";

/** Each status has a code of its own, one character. The functions of released migrations write its first letter. */
export const STATUS_CODES = {
  pending: "p",
  running: "r",
  done: "d",
  failed: "f",
  cancelled: "c",
} as const satisfies Readonly<Record<Status, string>>;

const STATUS_OF = byCode(Object.entries(STATUS_CODES).map(([status, code]) => [code, status as Status])); // its own keys
const KIND_OF = byCode<ChangeKind>([
  ["+", "created"],
  ["~", "changed"],
  ["%", "progress"],
  ["-", "deleted"],
]);

/** The values by the number of the character that is their code. */
function byCode<T>(entries: readonly (readonly [code: string, value: T])[]): readonly (T | undefined)[] {
  const values: (T | undefined)[] = Array.from({ length: 128 });
  for (const [code, value] of entries) values[code.charCodeAt(0)] = value;
  return values;
}

const [ZERO, SPACE, SEMICOLON] = [48, 32, 59];

/**
 * The changes of an entry; the first has this rev and each later one the next. It is read digit by digit, without a text for each
 * part: each process reads every change of every process.
 */
export function readEntry(entry: string, firstRev: number): Change[] {
  const changes: Change[] = [];
  let at = 0;

  function number(): number {
    const from = at;
    let value = 0;
    for (
      let digit = entry.charCodeAt(at) - ZERO;
      digit >= 0 && digit <= 9;
      digit = entry.charCodeAt(++at) - ZERO
    ) {
      value = value * 10 + digit;
    }
    if (at === from || entry.charCodeAt(at++) !== SPACE) throw unknown(entry);
    return value;
  }

  while (at < entry.length) {
    const id = number();
    const version = number();
    const status = STATUS_OF[entry.charCodeAt(at++)];
    const kind = KIND_OF[entry.charCodeAt(at++)];
    const isEnd = at === entry.length || entry.charCodeAt(at++) === SEMICOLON;
    if (status === undefined || kind === undefined || !isEnd) throw unknown(entry);
    changes.push({ rev: firstRev + changes.length, id, version, status, kind });
  }
  return changes;
}

const unknown = (entry: string): Error =>
  new Error(`the change log has an unknown entry: ${JSON.stringify(entry)}`);
