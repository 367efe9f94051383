import { isIP } from "node:net";
import { type HostPattern, matchesName } from "../../lib/host-patterns.ts";
import { refuse } from "../../wire/problem.ts";
import type { RequestHeaders } from "../route.ts";
import { hostName } from "./host-name.ts";
import type { Stage } from "./stage.ts";

/** RFC 3986's host and port, but for the comma, which means that there was more than one. */
const HOST = /^(?:\[[\da-f:.]+\]|[\w.~!$&'()*+;=%-]*)(?::\d*)?$/i;

export type HostSetup = {
  readonly httpHost: string;
  /** Browsers may name any port with such a name. */
  readonly allowedHosts: readonly HostPattern[];
};

/**
 * Refuses a Host that is none, and a browser that names a foreign one: a page whose name was rebound to this address could read every
 * answer.
 */
export function createHostCheck({ httpHost, allowedHosts }: HostSetup): Stage {
  const ownNames: ReadonlySet<string> = new Set(["localhost", httpHost.toLowerCase()]);
  let latestHost = ""; // most requests name the host of the one before

  const isOwnHost = (host: string): boolean => {
    const name = hostName(host);
    return (
      isIP(name) !== 0 || ownNames.has(name) || allowedHosts.some((pattern) => matchesName(pattern, name))
    );
  };

  return (call) => {
    const { host = "" } = call.headers;
    if (host !== latestHost && !HOST.test(host)) {
      throw refuse("bad_host", `${JSON.stringify(host)} is not one host`);
    }
    latestHost = host;
    if (isBrowser(call.headers) && !isOwnHost(host)) {
      throw refuse(
        "forbidden_host",
        `Browsers may not reach this server as ${JSON.stringify(host)}: add the name to ALLOWED_HOSTS, or let the proxy pass on the Host that the browser named`,
      );
    }
    return call;
  };
}

/** Over plain http, a page whose name was rebound sends a GET without any mark but the browser's name. */
const isBrowser = (headers: RequestHeaders): boolean =>
  headers.origin !== undefined ||
  headers["sec-fetch-site"] !== undefined ||
  (headers["user-agent"]?.startsWith("Mozilla/") ?? false);
