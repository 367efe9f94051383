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

const STATUS_OF = new Map<string, Status>(
  Object.entries(STATUS_CODES).map(([status, code]) => [code, status as Status]), // its own keys
);
const KIND_OF = new Map<string, ChangeKind>([
  ["+", "created"],
  ["~", "changed"],
  ["%", "progress"],
  ["-", "deleted"],
]);

/** The changes of an entry; the first has this rev and each later one the next. */
export const readEntry = (entry: string, firstRev: number): Change[] =>
  entry.split(";").map((text, at) => readChange(text, firstRev + at));

function readChange(text: string, rev: number): Change {
  // Without split: each process reads every change of every process.
  const afterId = text.indexOf(" ");
  const afterVersion = text.indexOf(" ", afterId + 1);
  const status = STATUS_OF.get(text.charAt(afterVersion + 1));
  const kind = KIND_OF.get(text.charAt(afterVersion + 2));
  if (status === undefined || kind === undefined) {
    throw new Error(`the change log has an unknown entry: ${JSON.stringify(text)}`);
  }
  return {
    rev,
    id: Number(text.slice(0, afterId)),
    version: Number(text.slice(afterId + 1, afterVersion)),
    status,
    kind,
  };
}
