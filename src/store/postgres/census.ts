/** How many tasks there are, and how many are ahead of one. */
import type { Status, TaskId } from "../../core/task.ts";
import { censusOf } from "../census.ts";
import type { TypeCount } from "../store.ts";
import type { Session } from "./pool.ts";

/** One statement, so that it sees all or nothing of every commit, the summing up of the census among them. */
const CENSUS = `SELECT c.type, c.status, c.n::float8, CASE WHEN c.status = 'pending' THEN tasktrack.oldest(c.type)::float8 END
  FROM (SELECT type, status, sum(n) AS n FROM tasktrack.census GROUP BY type, status HAVING sum(n) <> 0) c`;

const AHEAD = "SELECT tasktrack.ahead($1, $2, $3)";

export function createCensus(setup: { readonly session: Session; readonly sql: (text: string) => string }) {
  const { session } = setup;
  const [countAll, countAhead] = [setup.sql(CENSUS), setup.sql(AHEAD)];

  async function census(): Promise<TypeCount[]> {
    const rows = await session.rows(countAll);
    const oldest = new Map(
      rows.flatMap(([type, , , at]) => (at === null ? [] : [[String(type), Number(at)] as const])),
    );
    const counted = rows.map(([type, status, count]) => ({
      type: String(type),
      status: status as Status, // a task's own
      count: Number(count),
    }));
    return censusOf(counted, (type) => oldest.get(type) ?? null);
  }

  async function ahead(id: TaskId, now: number, atMost: number): Promise<number | null> {
    const [row] = await session.rows(countAhead, [id, now, atMost]);
    return row?.[0] == null ? null : Number(row[0]);
  }

  return { census, ahead };
}
