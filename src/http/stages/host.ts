import { isIP } from "node:net";
import { type HostPattern, matchesName } from "../../lib/host-patterns.ts";
import { refuse } from "../../wire/problem.ts";
import type { RequestHeaders } from "../route.ts";
import { hostName } from "./host-name.ts";
import type { Stage } from "./stage.ts";

/** Host and port by RFC 3986, without the comma, because a comma joins the values of a repeated header. */
const HOST = /^(?:\[[\da-f:.]+\]|[\w.~!$&'()*+;=%-]*)(?::\d*)?$/i;

export type HostSetup = {
  readonly httpHost: string;
  /** Browsers may use these names with any port. */
  readonly allowedHosts: readonly HostPattern[];
};

/**
 * Refuses an invalid Host, and a browser that names a host which is not the server's: after DNS rebinding, a
 * page of another site could read all answers.
 */
export function createHostCheck({ httpHost, allowedHosts }: HostSetup): Stage {
  const ownNames: ReadonlySet<string> = new Set(["localhost", httpHost.toLowerCase()]);
  let latestHost = ""; // most requests have the same Host as the one before

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
        `Browsers may not reach this server as ${JSON.stringify(host)}: add the name to ALLOWED_HOSTS, or let the proxy pass on the Host that the browser sent`,
      );
    }
    return call;
  };
}

/**
 * Over plain http, after DNS rebinding, the GET of a page differs from the GET of another client only by its
 * User-Agent.
 */
const isBrowser = (headers: RequestHeaders): boolean =>
  headers.origin !== undefined ||
  headers["sec-fetch-site"] !== undefined ||
  (headers["user-agent"]?.startsWith("Mozilla/") ?? false);
