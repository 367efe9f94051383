import { TaskError } from "../../core/error.ts";

/** The parts of a STORE_URL of Redis. */
export type Address = {
  /** For the client: without the query. */
  readonly url: string;
  /** For messages: host and port, no password. */
  readonly host: string;
  /** The prefix of all keys; the part in braces decides the slot of a cluster, so all keys are in one slot. */
  readonly prefix: string;
};

const DEFAULT_PREFIX = "tasktrack";
const PREFIX = /^[\w.:-]{1,64}$/;
const DATABASE = /^\/?\d*$/;

/** Reads `redis://user:password@host:port/database?prefix=name`; rejects with TaskError `invalid`. */
export function parseAddress(storeUrl: string): Address {
  const url = parsed(storeUrl);
  for (const name of url.searchParams.keys()) {
    if (name !== "prefix") throw invalid(`knows no parameter ${name}, only prefix`);
  }
  const prefix = url.searchParams.get("prefix") ?? DEFAULT_PREFIX;
  if (!PREFIX.test(prefix)) throw invalid("prefix must be 1 to 64 letters, digits, or any of . _ : -");
  if (!DATABASE.test(url.pathname)) {
    throw invalid(`the path is the number of the database, such as /0, not ${url.pathname}`);
  }
  const scheme = url.protocol === "rediss:" || url.protocol === "valkeys:" ? "rediss" : "redis";
  const credentials = url.username === "" && url.password === "" ? "" : `${url.username}:${url.password}@`;
  const host = `${url.hostname}:${url.port === "" ? "6379" : url.port}`;
  return { url: `${scheme}://${credentials}${host}${url.pathname}`, host, prefix: `{${prefix}}:` };
}

function parsed(storeUrl: string): URL {
  // The URL standard does not normalise the host of a scheme that it does not know.
  const url = URL.parse(storeUrl);
  if (url === null || url.hostname === "") {
    throw invalid(
      "must be redis://user:password@host:port/database; percent-encode special characters in the password",
    );
  }
  return url;
}

const invalid = (message: string): TaskError => new TaskError("invalid", `STORE_URL: ${message}`);
