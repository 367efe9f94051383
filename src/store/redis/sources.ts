/** The ids that a list may show, found in an index in the order of the list. */
import { isEndedStatus, type Parts, type Status, type TaskId } from "../../core/task.ts";
import { possibleStatuses } from "../filter.ts";
import type { Cursor, TaskQuery } from "../store.ts";
import type { Connection } from "./connection.ts";
import { SCRIPTS } from "./scripts.ts";

/** Up to this number, expired leases are read at once and sorted here; with more of them, running tasks are read by id. */
const EXPIRED_AT_ONCE = 5_000;

/** A task that may be on the page, in the page's order. */
export type Candidate = { readonly id: TaskId; readonly finishedAt: number | null };

/** The next candidates after a cursor, at most `most`; fewer if there are no more. */
type Source = (after: Cursor | null, most: number) => Promise<readonly Candidate[]>;

export function createSources(connection: Connection): (query: TaskQuery<Parts>) => Promise<Source> {
  const sourceById =
    (sort: "id" | "-id", statuses: readonly Status[]): Source =>
    async (after, most) => {
      if (statuses.length === 0) return [];
      const args = [sort, after === null ? "" : String(after.id), String(most), ...statuses];
      const pages = (await connection.run(SCRIPTS.pageById, args)) as string[][]; // as page_by_id.lua says
      const found = pages.flat().map((id) => ({ id: Number(id), finishedAt: null }));
      return ordered(found, sort === "id").slice(0, most);
    };

  const sourceByEnd =
    (sort: "finished_at" | "-finished_at", ended: readonly Status[], before: number | undefined): Source =>
    async (after, most) => {
      if (ended.length === 0) return [];
      const cursor = after === null ? ["", ""] : [String(after.finishedAt ?? 0), String(after.id)];
      const args = [sort, ...cursor, before === undefined ? "" : String(before), String(most), ...ended];
      const pages = (await connection.run(SCRIPTS.pageByEnd, args)) as string[][]; // as page_by_end.lua says
      const found = pages.flatMap(candidatesByEnd);
      return ordered(found, sort === "finished_at").slice(0, most);
    };

  /** Few leases are expired at a time, and an index finds them; after a long outage all may be. */
  async function sourceOfExpired(sort: "id" | "-id", at: number): Promise<Source> {
    const args = ["-inf", String(at), "LIMIT", "0", String(EXPIRED_AT_ONCE + 1)];
    const members = (await connection.sendTo("ZRANGEBYSCORE", "expires", args)) as string[]; // texts, the length before the id
    if (members.length > EXPIRED_AT_ONCE) return sourceById(sort, ["running"]);
    const found = ordered(
      members.map((member) => ({ id: Number(member.slice(1)), finishedAt: null })),
      sort === "id",
    );
    return async (after, most) => found.filter(({ id }) => isBehind(id, after, sort)).slice(0, most);
  }

  return async function sourceOf({ filter, sort }: TaskQuery<Parts>): Promise<Source> {
    const statuses = possibleStatuses(filter);
    if (sort === "finished_at" || sort === "-finished_at") {
      return sourceByEnd(sort, statuses.filter(isEndedStatus), filter.finishedBefore);
    }
    if (filter.expiredAt === undefined || statuses.length === 0) return sourceById(sort, statuses);
    return sourceOfExpired(sort, filter.expiredAt);
  };
}

const isBehind = (id: TaskId, after: Cursor | null, sort: "id" | "-id"): boolean =>
  after === null || (sort === "id" ? id > after.id : id < after.id);

function candidatesByEnd(page: readonly string[]): Candidate[] {
  const found: Candidate[] = [];
  for (let at = 0; at < page.length; at += 2) {
    found.push({ id: Number(page[at]), finishedAt: Number(page[at + 1]) });
  }
  return found;
}

/** By end if there is one, then by id. */
function ordered(found: readonly Candidate[], forward: boolean): Candidate[] {
  const sign = forward ? 1 : -1;
  return found.toSorted((a, b) => sign * ((a.finishedAt ?? 0) - (b.finishedAt ?? 0) || a.id - b.id));
}
