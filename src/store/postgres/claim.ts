import { claimOrder, isRunning, type RunningTask } from "../../core/task.ts";
import { ANSWER_BYTES } from "../../core/text-size.ts";
import type { Ask, ClaimTerms } from "../store.ts";
import { pgArray } from "./array.ts";
import { COLUMNS, selectList } from "./columns.ts";
import { type Session, statement } from "./statement.ts";

/** Each task with the number of its ask, from 1. */
const CLAIM = `SELECT c.ask, ${selectList("(c.task)")}
  FROM tasktrack.claim_tasks($workers::text[], $patterns::text[], $wanted::integer[], $leases::bigint[], $now, $nonce, ${ANSWER_BYTES}) c`;

export function createClaim(setup: { readonly session: Session; readonly sql: (text: string) => string }) {
  const claim = statement(setup.sql(CLAIM));

  return async (asks: readonly Ask[], { now, nonce }: ClaimTerms): Promise<RunningTask[][]> => {
    const given: RunningTask[][] = asks.map(() => []);
    if (asks.every(({ max, types }) => max <= 0 || types.length === 0)) return given;
    const rows = await claim(setup.session, {
      workers: pgArray(asks.map(({ worker }) => worker)),
      patterns: pgArray(asks.map(({ types }) => types.join(" "))),
      wanted: pgArray(asks.map(({ max }) => max)),
      leases: pgArray(asks.map(({ leaseMs }) => leaseMs)),
      now,
      nonce,
    });
    for (const row of rows) {
      const task = COLUMNS.read(row, "whole");
      if (isRunning(task)) given[Number(row.ask) - 1]?.push(task); // it was just claimed
    }
    return given.map((tasks) => tasks.sort(claimOrder));
  };
}
