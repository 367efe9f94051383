/** In SQL: the end of an answer at its byte limit. The row that exceeds the limit is the last one. */

/** A column `bytes_before` for a select list: the bytes of all earlier rows in this order. */
export const bytesBefore = (size: string, order: string): string =>
  `sum(${size}) OVER (ORDER BY ${order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before`;

/** The condition on the rows of a subquery `from` with that column. */
export const isWithin = (limit: number, from: string): string =>
  `coalesce(${from}.bytes_before, 0) < ${limit}`;
