import { TaskError } from "../../core/error.ts";

/** For batches of writes, and for reads. Sixteen processes fit into PostgreSQL's default of a hundred connections. */
const CONNECTIONS = 5;
const CONNECTIONS_AT_MOST = 1_000;

export type ServerUrl = {
  /** The server and the database, without a password. */
  readonly address: string;
  /** For the client, without the parameters that are the program's own. */
  readonly url: string;
  readonly connections: number;
  /** Whether a connection pooler is in front of the server; null if the URL does not say so. */
  readonly isBounced: boolean | null;
};

/** Splits STORE_URL into its parts. Throws a message for the operator. */
export function readServerUrl(text: string): ServerUrl {
  const url = URL.parse(text);
  if (url === null) throw new TaskError("invalid", "STORE_URL is no URL");
  const take = (name: string): string | null => {
    const value = url.searchParams.get(name);
    url.searchParams.delete(name);
    return value;
  };
  take("schema"); // see schema.ts
  const connections = Number(take("connections") ?? CONNECTIONS);
  const bouncer = take("pgbouncer");
  if (!Number.isInteger(connections) || connections < 1 || connections > CONNECTIONS_AT_MOST) {
    throw new TaskError(
      "invalid",
      `STORE_URL: connections must be a whole number from 1 to ${CONNECTIONS_AT_MOST}`,
    );
  }
  return {
    address: `${url.host}${url.pathname}`,
    url: url.href,
    connections,
    isBounced: bouncer === null ? null : bouncer === "1" || bouncer === "true",
  };
}
