type Member = string | number | boolean | null;

/**
 * The same as `pgArray`, for an array that is unnested beside others. An array that has only nulls is sent empty, because unnest
 * fills shorter arrays with nulls. Most columns of most batches have only nulls.
 */
export const pgColumn = (members: readonly Member[]): string => pgColumnOf(members, (member) => member);

/** The same, of the member that each row has in the column. */
export function pgColumnOf<Row>(rows: readonly Row[], memberOf: (row: Row) => Member): string {
  let text = "";
  let nulls = 0; // before the first member
  for (const row of rows) {
    const member = memberOf(row);
    if (text !== "") text += `,${textOf(member)}`;
    else if (member === null) nulls++;
    else text = `{${"NULL,".repeat(nulls)}${textOf(member)}`;
  }
  return text === "" ? "{}" : `${text}}`;
}

/** Texts, numbers and nulls as the text of a PostgreSQL array: one parameter for any number of rows. */
export function pgArray(members: readonly Member[]): string {
  let text = "{";
  for (let at = 0; at < members.length; at++) text += `${at > 0 ? "," : ""}${textOf(members[at] ?? null)}`;
  return `${text}}`;
}

const textOf = (member: Member): string =>
  typeof member === "string" ? quoted(member) : member === null ? "NULL" : String(member);

const quoted = (text: string): string =>
  NEEDS_ESCAPE.test(text) ? `"${text.replace(/["\\]/g, "\\$&")}"` : `"${text}"`;

const NEEDS_ESCAPE = /["\\]/;
