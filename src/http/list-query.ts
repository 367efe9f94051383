/** The queries of lists of tasks: filters, orders, cursors. */
import { z } from "zod";
import { parseSearch, searchFault } from "../core/search.ts";
import {
  LIMITS,
  labelFault,
  MAX_TASK_ID,
  type Status,
  TYPE_PATTERN,
  typePatternFault,
} from "../core/task.ts";
import type { Cursor, Sort, TaskFilter } from "../engine/producers.ts";
import { membersOf } from "../wire/list-schema.ts";
import { storable, TaskStatus, text } from "../wire/shared-schemas.ts";
import { wholeNumber } from "./query-schemas.ts";

const typePattern = text(typePatternFault).meta({
  pattern: TYPE_PATTERN.source,
  examples: ["video.*"],
});

export const search = z
  .string("must be given once")
  .min(1, "must not be empty")
  .transform((query, context) => {
    const fault = searchFault(query);
    if (fault === null) return parseSearch(query);
    context.addIssue({ code: "custom", message: fault });
    return z.NEVER;
  })
  .meta({
    description: `Up to ${LIMITS.searchTerms} words, each contained in name, description or strings of the payload (the first 4 KiB), in upper or lower case; \`payload.a.b:text\` searches one field`,
    maxLength: LIMITS.searchLength,
  });

export const statuses = membersOf(TaskStatus, "statuses");
export const types = membersOf(typePattern, "types");
export const filterTags = membersOf(storable, "tags");
export const filterLabels = membersOf(text(labelFault).meta({ examples: ["region:eu"] }), "labels");

export const SORTS = ["id", "-id", "finished_at", "-finished_at"] as const satisfies readonly Sort[];

/** How much of each task a list shows. Without a view: the four fields of the first version. */
const VIEWS = ["full", "state"] as const;

export const ListQuery = z.strictObject({
  limit: wholeNumber(1, 1_000)
    .optional()
    .meta({ description: "The highest number of tasks on a page; without it, the list has all tasks" }),
  cursor: z
    .string("must be given once")
    .optional()
    .meta({ description: "Where the page begins: the cursor in the Link header of the previous page" }),
  status: statuses.optional().meta({ description: "One of these" }),
  type: types.optional().meta({ description: "One of these; a prefix may end in `*`" }),
  tag: filterTags.optional().meta({ description: "All of these" }),
  label: filterLabels.optional().meta({ description: "All of these, each as `name:value`" }),
  q: search.optional(),
  sort: z
    .enum(SORTS)
    .meta({ id: "TaskSort", description: "The order of a list" })
    .optional()
    .meta({ description: "By id, or only ended tasks by the time of their end; `-`: descending" }),
  view: z
    .enum(VIEWS)
    .meta({ id: "TaskView", description: "How much of each task a list shows" })
    .optional()
    .meta({ description: "`full`: whole tasks; `state`: all fields but payload and result" }),
});
export type ListQuery = z.output<typeof ListQuery>;

type Wanted = {
  readonly status?: readonly Status[] | undefined;
  readonly type?: readonly string[] | undefined;
  readonly tag?: readonly string[] | undefined;
  readonly label?: readonly string[] | undefined;
  readonly q?: ReturnType<typeof parseSearch> | undefined;
};

export const filterOf = ({ status, type, tag, label, q }: Wanted): TaskFilter => ({
  ...(status === undefined ? {} : { statuses: status }),
  ...(type === undefined ? {} : { types: type }),
  ...(tag === undefined ? {} : { tags: tag }),
  ...(label === undefined ? {} : { labels: label }),
  ...(q === undefined ? {} : { search: q }),
});

/** Opaque to clients. It contains its order, because it is invalid in any other order. */
export const formatCursor = (sort: Sort, { id, finishedAt }: Cursor): string =>
  Buffer.from(isByEnd(sort) ? `${sort}:${id}:${finishedAt}` : `${sort}:${id}`).toString("base64url");

const isByEnd = (sort: Sort): boolean => sort.endsWith("finished_at");

/** The position of a cursor in this order; null if the text is no cursor, or one of another order. */
export function parseCursor(sort: Sort, cursor: string): Cursor | null {
  const text = Buffer.from(cursor, "base64url").toString("latin1");
  const [, of, id, finishedAt] = /^(-?[a-z_]+):([1-9]\d{0,15})(?::(-?\d{1,16}))?$/.exec(text) ?? [];
  if (of !== sort || Number(id) > MAX_TASK_ID || isByEnd(sort) !== (finishedAt !== undefined)) return null;
  return { id: Number(id), finishedAt: finishedAt === undefined ? null : Number(finishedAt) };
}
