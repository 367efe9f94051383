/** How many tasks there are, and how many are ahead of one. */
import type { Status, TaskId } from "../../core/task.ts";
import { type CountedRow, censusOf } from "../census.ts";
import type { TypeCount } from "../store.ts";
import type { Connection } from "./connection.ts";
import { SCRIPTS } from "./scripts.ts";

export function createCensus(connection: Connection) {
  async function census(): Promise<TypeCount[]> {
    // As census.lua says.
    const [counts, heads] = (await connection.run(SCRIPTS.census, [])) as [string[], string[]];
    const oldest = new Map(pairs(heads).map(([type, at]) => [textOf(type), Number(at)] as const));
    return censusOf(pairs(counts).map(countedRow), (type) => oldest.get(type) ?? null);
  }

  async function ahead(id: TaskId, now: number, atMost: number): Promise<number | null> {
    const answer = await connection.run(SCRIPTS.ahead, [String(id), String(now)]);
    return answer === "none" ? null : Math.min(Number(answer), atMost);
  }

  return { census, ahead };
}

/** A field of the hash is the status, a colon and the type as JSON. */
function countedRow([field, count]: readonly [string, string]): CountedRow {
  const colon = field.indexOf(":");
  return {
    status: field.slice(0, colon) as Status, // what a script has counted
    type: textOf(field.slice(colon + 1)),
    count: Number(count),
  };
}

const textOf = (json: string): string => JSON.parse(json) as string; // row.ts writes types so

const pairs = (list: readonly string[]): (readonly [string, string])[] =>
  Array.from({ length: list.length / 2 }, (_, n) => [list[2 * n] as string, list[2 * n + 1] as string]); // an even list
