import { z } from "zod";
import { LIMITS } from "../core/task.ts";

/** How often members of a filter may be repeated: so many are looked at before equal ones are folded. */
const REPEATED = 10;

type Bounds = {
  readonly most: number;
  readonly mostWords: string;
  readonly least?: number;
  readonly leastWords?: string;
};

/**
 * A list whose length is looked at before its elements. A body has room for 500,000 of them, and a schema takes a microsecond
 * for each good one and ten for each bad one.
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
 * The members of a filter, each once. Every task that is looked at is compared with all of them. One value stands for a list of
 * it, as it does in a query.
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
