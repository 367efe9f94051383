/** Sessions, which run statements, and statements whose parameters have names. */

/** A row: its values by the names of the columns, each of which must have one. */
export type Row = Readonly<Record<string, unknown>>;

/** An array is a text, see `pgArray`. */
export type Parameter = string | number | boolean | null;
export type Values = Readonly<Record<string, Parameter>>;

export interface Session {
  /** Runs one statement. */
  rows(statement: string, parameters?: readonly Parameter[]): Promise<readonly Row[]>;
}

/** Runs a statement in the session, with a value for each of its parameters. */
export type Statement = (session: Session, values?: Values) => Promise<readonly Row[]>;

/**
 * A statement whose parameters have names: `$ids` where PostgreSQL has `$1`. So neither the text nor a call counts them, and both can be made
 * from a list of columns. A call without one of the values is a fault of this program.
 */
export function statement(text: string): Statement {
  const names: string[] = [];
  const numbered = text.replace(/\$([a-z]\w*)/g, (_, name: string) => {
    if (!names.includes(name)) names.push(name);
    return `$${names.indexOf(name) + 1}`;
  });
  return (session, values = {}) =>
    session.rows(
      numbered,
      names.map((name) => {
        const value = values[name];
        if (value === undefined) throw new Error(`a statement has no value for $${name}`);
        return value;
      }),
    );
}
