import { STATUSES, type Status } from "../../core/task.ts";
import type { Change, ChangeKind, ChangePage, Position } from "../store.ts";
import type { Connection } from "./connection.ts";
import { unavailable } from "./link.ts";
import { SCRIPTS } from "./scripts.ts";

/** Changes that one script answers with at most. */
const AT_ONCE = 5_000;

/** How the scripts write a status, by its first letter, and a kind. */
const STATUS_OF = new Map<string, Status>(STATUSES.map((status) => [status.charAt(0), status]));
const KIND_OF = new Map<string, ChangeKind>([
  ["+", "created"],
  ["~", "changed"],
  ["%", "progress"],
  ["-", "deleted"],
]);

/** @param begin gives the store an epoch where somebody has emptied it */
export function createChanges(connection: Connection, begin: () => Promise<void>) {
  async function ask(after: Position | null, limit: number): Promise<unknown[]> {
    const args =
      after === null ? ["", "", "0"] : [after.epoch, String(after.rev), String(Math.min(limit, AT_ONCE))];
    return (await connection.run(SCRIPTS.changes, args)) as unknown[]; // as changes.lua says
  }

  return async function changes(after: Position | null, limit: number): Promise<ChangePage> {
    let answer = await ask(after, limit);
    if (answer[0] === "lost") {
      await begin();
      answer = await ask(after, limit);
    }
    if (answer[0] === "lost") throw unavailable("Redis is being emptied");
    // As changes.lua says.
    const [kind, epoch, rev, ...entries] = answer as ["changes" | "gone", string, number, ...string[]];
    if (kind === "gone" || after === null) {
      const position = { epoch, rev };
      return kind === "gone" ? { kind, position } : { kind, changes: [], position };
    }
    const read = changesAfter(after.rev, entries).slice(0, limit);
    return { kind, changes: read, position: { epoch, rev: read.at(-1)?.rev ?? after.rev } };
  };
}

/** The entries hold a script's changes each, named by the last; the reader may stand in the middle of the first. */
function changesAfter(rev: number, entries: readonly string[]): Change[] {
  const changes: Change[] = [];
  for (let at = 0; at < entries.length; at += 2) {
    const last = Number(entries[at]);
    const texts = entries[at + 1]?.split(";") ?? [];
    for (const [n, text] of texts.entries()) {
      const own = last - texts.length + 1 + n;
      if (own > rev) changes.push(changeOf(own, text));
    }
  }
  return changes;
}

function changeOf(rev: number, text: string): Change {
  const [id, version, letters = ""] = text.split(" ");
  const status = STATUS_OF.get(letters.charAt(0));
  const kind = KIND_OF.get(letters.charAt(1));
  if (status === undefined || kind === undefined)
    throw new Error(`the change log says ${JSON.stringify(text)}`);
  return { rev, id: Number(id), version: Number(version), status, kind };
}
