import { readEntry } from "../changes-text.ts";
import type { Change, ChangePage, Position } from "../store.ts";
import type { Connection } from "./connection.ts";
import { unavailable } from "./link.ts";
import { SCRIPTS } from "./scripts.ts";

/** The highest number of changes in the answer of one script. */
const AT_ONCE = 5_000;

/** @param begin gives a store that was emptied a new epoch */
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
    if (answer[0] === "gone") {
      const [kind, epoch, rev, oldest] = answer as ["gone", string, number, number];
      return { kind, position: { epoch, rev }, oldest: { epoch, rev: oldest } };
    }
    const [kind, epoch, rev, ...entries] = answer as ["changes", string, number, ...string[]];
    if (after === null) return { kind, changes: [], position: { epoch, rev } };
    const read = changesAfter(after.rev, entries).slice(0, limit);
    return { kind, changes: read, position: { epoch, rev: read.at(-1)?.rev ?? after.rev } };
  };
}

/** Each entry holds the changes of one script and is named by the last one; the reader's position may be in the middle of the first. */
function changesAfter(rev: number, entries: readonly string[]): Change[] {
  const changes: Change[] = [];
  for (let at = 0; at < entries.length; at += 2) {
    const entry = entries[at + 1] ?? "";
    const count = entry.split(";").length;
    changes.push(...readEntry(entry, Number(entries[at]) - count + 1));
  }
  return changes.filter((change) => change.rev > rev);
}
