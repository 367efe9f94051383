import { type HostPattern, matchesName } from "../../lib/host-patterns.ts";
import { refuse } from "../../wire/problem.ts";
import type { RequestHeaders } from "../route.ts";
import { hostName } from "./host-name.ts";
import type { Stage } from "./stage.ts";

const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

export type OriginSetup = {
  /**
   * An Origin must have the port of the pattern, or the default port of its scheme if the pattern has none.
   */
  readonly allowedHosts: readonly HostPattern[];
};

/**
 * Refuses changes by pages of another origin. Such a page can send a POST without a preflight request, but
 * its browser names the origin.
 */
export function createOriginCheck({ allowedHosts }: OriginSetup): Stage {
  function checkOrigin(headers: RequestHeaders): void {
    const site = headers["sec-fetch-site"];
    if (site === "same-origin" || site === "none") return;
    const { origin, host = "" } = headers;
    if (site !== undefined) {
      throw refuse(
        "forbidden_origin",
        `Pages of another origin may not change tasks, and the browser reports that this page has another origin (Sec-Fetch-Site: ${JSON.stringify(site)}, Origin: ${JSON.stringify(origin ?? "")}, Host: ${JSON.stringify(host)})`,
      );
    }
    if (origin === undefined || isOwnOrigin(origin, host)) return;
    throw refuse(
      "forbidden_origin",
      `Pages of another origin may not change tasks: the Origin ${JSON.stringify(origin)} is not that of the Host ${JSON.stringify(host)}${cureFor(origin)}`,
    );
  }

  function isOwnOrigin(origin: string, host: string): boolean {
    const url = URL.parse(origin);
    if (url === null) return false;
    // Parsed with the scheme of the origin: a proxy may send `Host: name:80`, and an Origin omits the default
    // port of its scheme.
    const own = URL.parse(`${url.protocol}//${host}`);
    return url.host === own?.host || allowedHosts.some((pattern) => matchesOrigin(pattern, url));
  }

  return (call) => {
    if (!SAFE_METHODS.has(call.request.method)) checkOrigin(call.headers);
    return call;
  };
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };

function matchesOrigin(pattern: HostPattern, { protocol, hostname, port }: URL): boolean {
  const ownPort = DEFAULT_PORTS[protocol];
  if (ownPort === undefined || !matchesName(pattern, hostName(hostname))) return false;
  return (pattern.port ?? ownPort) === (port === "" ? ownPort : Number(port));
}

/** Over plain http browsers send no Sec-Fetch-Site, and a proxy may have changed the Host. */
function cureFor(origin: string): string {
  const url = URL.parse(origin);
  if (url === null || DEFAULT_PORTS[url.protocol] === undefined) return "";
  return `. If the page is this server's own behind a proxy, let the proxy pass on the Host, or add ${url.host} to ALLOWED_HOSTS`;
}
