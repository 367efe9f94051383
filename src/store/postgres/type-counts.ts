/** Counts of tasks, and the position of one. */
import type { Status, TaskId } from "../../core/task.ts";
import type { TypeCount } from "../store.ts";
import { typeCountsOf } from "../type-counts.ts";
import { type Session, statement } from "./statement.ts";

/**
 * One statement, so that it sees each commit, including the one that sums up the type counts, completely or not at all. It returns the
 * counts and, in rows without a status, the earliest time of each type with pending tasks.
 */
const TYPE_COUNTS = `SELECT type, status, sum(n)::bigint AS value FROM tasktrack.census GROUP BY type, status HAVING sum(n) <> 0
  UNION ALL SELECT type, NULL, min(run_at) FROM tasktrack.lane_heads('{*}') GROUP BY type`;

const POSITION_OF = "SELECT tasktrack.ahead($id, $now, $at_most) AS ahead";

export function createTypeCounts(setup: {
  readonly session: Session;
  readonly sql: (text: string) => string;
}) {
  const { session } = setup;
  const countAll = statement(setup.sql(TYPE_COUNTS));
  const countAhead = statement(setup.sql(POSITION_OF));

  async function typeCounts(): Promise<TypeCount[]> {
    const rows = await countAll(session);
    const oldest = new Map<string, number>();
    const counted: { type: string; status: Status; count: number }[] = [];
    for (const { type, status, value } of rows) {
      if (status === null) oldest.set(String(type), Number(value));
      else counted.push({ type: String(type), status: status as Status, count: Number(value) }); // the status of a task
    }
    return typeCountsOf(counted, (type) => oldest.get(type) ?? null);
  }

  async function positionOf(id: TaskId, now: number, atMost: number): Promise<number | null> {
    const [row] = await countAhead(session, { id, now, at_most: atMost });
    const { ahead: counted } = row ?? {};
    return counted == null ? null : Number(counted);
  }

  return { typeCounts, positionOf };
}
