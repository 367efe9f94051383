/**
 * The nodes that may have the store's data: the server at STORE_URL, and the other nodes of a Redis Cluster. All keys are in one slot,
 * so one node at a time has them all. A node without the slot names its owner (MOVED).
 */

export interface Nodes {
  /** The URL to connect to next. */
  url(): string;
  /** Its host and port, for messages. */
  host(): string;
  /** Makes the slot's owner the next node, if the error names it. Returns whether it does. */
  follow(error: unknown): boolean;
  /** The present node cannot be used: makes the next known one current. */
  moveOn(): void;
  /** Sets the nodes of the cluster, as `host:port`; each may know the slot's owner when the one at STORE_URL is down. */
  setKnown(hosts: readonly string[]): void;
}

const MOVED = /^MOVED \d+ (.*):(\d+)$/;

export function createNodes(seed: string): Nodes {
  let known: readonly string[] = [hostOf(seed)];
  let current = hostOf(seed);

  return {
    url: () => at(seed, current),
    host: () => current,
    follow: (error) => {
      const [, host, port] = MOVED.exec(error instanceof Error ? error.message : "") ?? [];
      if (host === undefined || port === undefined) return false;
      current = `${inUrl(host === "" ? hostnameOf(current) : host)}:${port}`; // without a host it is another port of this one
      return true;
    },
    moveOn: () => {
      current = known[(known.indexOf(current) + 1) % known.length] ?? hostOf(seed);
    },
    setKnown: (hosts) => {
      known = [...new Set([hostOf(seed), ...hosts])];
    },
  };
}

/** The nodes in the answer of CLUSTER SLOTS: of each range of slots the primary and its replicas. */
export function nodesIn(slots: unknown, host: string): string[] {
  const ranges = slots as readonly (readonly [number, number, ...(readonly [string | null, number])[]])[]; // as CLUSTER SLOTS answers
  return ranges.flatMap(([, , ...nodes]) =>
    nodes.map(([name, port]) => `${name === null || name === "" ? hostnameOf(host) : inUrl(name)}:${port}`),
  );
}

const hostOf = (url: string): string => {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port === "" ? "6379" : port}`;
};

const hostnameOf = (host: string): string => host.slice(0, host.lastIndexOf(":"));

/** An IPv6 address stands in brackets. */
const inUrl = (hostname: string): string =>
  hostname.includes(":") && !hostname.startsWith("[") ? `[${hostname}]` : hostname;

/** The same URL, including user, password and database, with another host. */
function at(seed: string, host: string): string {
  const { protocol, username, password, pathname } = new URL(seed);
  const credentials = username === "" && password === "" ? "" : `${username}:${password}@`;
  return `${protocol}//${credentials}${host}${pathname}`;
}
