import { z } from "zod";
import { LIMITS } from "../core/task.ts";

/**
 * The limit of values in a filter, as a multiple of its limit of different members: equal values count once, but each is examined.
 */
const REPEATED = 10;

type Bounds = {
  readonly most: number;
  readonly mostWords: string;
  readonly least?: number;
  readonly leastWords?: string;
};

/**
 * A list whose length is checked before its elements. A body has room for 500,000 elements, and a schema
 * takes one microsecond for each valid one and ten for each invalid one.
 */
export const listOf = <E extends z.ZodType>(
  element: E,
  { most, mostWords, least = 0, leastWords = "" }: Bounds,
) =>
  z.preprocess(
    (value, context) => {
      if (!Array.isArray(value) || value.length <= most) return value;
      context.addIssue({ code: "custom", message: mostWords });
      return z.NEVER;
    },
    least > 0
      ? z.array(element).min(least, leastWords).max(most, mostWords)
      : z.array(element).max(most, mostWords),
  );

/**
 * The different members of a filter. Each task that is examined is compared with all of them. A single value
 * is accepted as a list of one, as in a query.
 */
export const membersOf = <E extends z.ZodType>(
  element: E,
  noun: string,
  most: number = LIMITS.filterMembers,
) => {
  const words = `must be at most ${most} different ${noun}`;
  const list = listOf(element, { most: most * REPEATED, mostWords: words });
  return z
    .preprocess((value) => (typeof value === "string" ? [value] : value), list)
    .transform((values, context) => {
      const members = [...new Set(values)];
      if (members.length > most) context.addIssue({ code: "custom", message: words });
      return members;
    });
};
