/**
 * The same as `pgArray`, for an array that is unnested beside others. An array that has only nulls is sent empty, because unnest
 * fills shorter arrays with nulls. Most columns of most batches have only nulls.
 */
export const pgColumn = (members: readonly (string | number | boolean | null)[]): string =>
  members.every((member) => member === null) ? "{}" : pgArray(members);

/** Texts, numbers and nulls as the text of a PostgreSQL array: one parameter for any number of rows. */
export function pgArray(members: readonly (string | number | boolean | null)[]): string {
  let text = "{";
  for (let at = 0; at < members.length; at++) {
    const member = members[at];
    if (at > 0) text += ",";
    text += typeof member === "string" ? quoted(member) : member === null ? "NULL" : member;
  }
  return `${text}}`;
}

const quoted = (text: string): string =>
  NEEDS_ESCAPE.test(text) ? `"${text.replace(/["\\]/g, "\\$&")}"` : `"${text}"`;

const NEEDS_ESCAPE = /["\\]/;
