/** Counts of tasks, and how many are before one in the queue. */
import { STATUSES, type Status, type TaskId } from "../../core/task.ts";
import type { TypeCount } from "../store.ts";
import { type CountedRow, typeCountsOf } from "../type-counts.ts";
import type { Connection } from "./connection.ts";
import { SCRIPTS, type ScriptBounds } from "./scripts.ts";

export function createTypeCounts(connection: Connection, { countedAtOnce }: ScriptBounds) {
  async function typeCounts(): Promise<TypeCount[]> {
    const rows = new Map<string, readonly CountedRow[]>(); // a type may come twice: the later one counts
    const oldest = new Map<string, number>();
    let cursors = ["0", "0"];
    do {
      const [counts, firsts, ...answer] = await readPiece(cursors);
      cursors = [counts, firsts];
      for (const [type, ...numbers] of groups(answer[0], 1 + STATUSES.length)) {
        rows.set(
          String(type),
          numbers.map((count, at) => countedRow(String(type), at, count)),
        );
      }
      for (const [type, at] of groups(answer[1], 2)) {
        const name = textOf(String(type));
        oldest.set(name, Math.min(Number(at), oldest.get(name) ?? Number.POSITIVE_INFINITY));
      }
    } while (cursors.some((cursor) => cursor !== ""));
    return typeCountsOf([...rows.values()].flat(), (type) => oldest.get(type) ?? null);
  }

  const readPiece = async (cursors: readonly string[]) =>
    (await connection.run(SCRIPTS.typeCounts, [...cursors, String(countedAtOnce)])) as Piece;

  async function positionOf(id: TaskId, now: number, atMost: number): Promise<number | null> {
    const answer = await connection.run(SCRIPTS.positionOf, [String(id), String(now)]);
    return answer === "none" ? null : Math.min(Number(answer), atMost);
  }

  return { typeCounts, positionOf };
}

/** The answer of type_counts.lua: both cursors, types with their counts, types with the earliest time in some lane. */
type Piece = [string, string, (string | null)[], string[]];

const countedRow = (type: string, at: number, count: string | null): CountedRow => ({
  type: textOf(type),
  status: STATUSES[at] as Status, // one count for each, in this order
  count: Number(count ?? 0),
});

const textOf = (json: string): string => JSON.parse(json) as string; // row.ts writes types so

/** The list in groups of this size. */
const groups = <T>(list: readonly T[], size: number): T[][] =>
  Array.from({ length: list.length / size }, (_, n) => list.slice(n * size, (n + 1) * size));
