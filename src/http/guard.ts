import { isIP } from "node:net";
import { type HostPattern, matchesName } from "../lib/host-patterns.ts";
import { refuse } from "../wire/problem.ts";
import { targetLength } from "./target.ts";

/** The request's headers as a plain object: one native call instead of one for each that is read. */
export type RequestHeaders = Readonly<Record<string, string | undefined>>;

export const URL_BYTES = 8 * 1_024;
export const HEADER_BYTES = 16 * 1_024;

/** RFC 3986's host and port, but for the comma, which means that there was more than one. */
const HOST = /^(?:\[[\da-f:.]+\]|[\w.~!$&'()*+;=%-]*)(?::\d*)?$/i;

const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

export type GuardSetup = {
  readonly httpHost: string;
  /** Browsers may name any port with such a name as the Host; an Origin must have the port, or its scheme's own one. */
  readonly allowedHosts: readonly HostPattern[];
};

/** What is refused before a route is asked: too long, from a foreign page, or for a foreign host. Throws. */
export function createGuard({ httpHost, allowedHosts }: GuardSetup) {
  const ownNames: ReadonlySet<string> = new Set(["localhost", httpHost.toLowerCase()]);

  let latestHost = ""; // most requests name the one before's

  return function guard(request: Request, headers: RequestHeaders): void {
    checkLengths(request, headers);
    const { host = "" } = headers;
    if (host !== latestHost) checkHost(host);
    latestHost = host;
    if (isBrowser(headers) && !isOwnHost(host)) {
      throw refuse(
        "forbidden_host",
        `Browsers may not reach this server as ${JSON.stringify(host)}: add the name to ALLOWED_HOSTS, or let the proxy pass on the Host that the browser named`,
      );
    }
    if (!SAFE_METHODS.has(request.method)) checkOrigin(headers, host);
  };

  function isOwnHost(host: string): boolean {
    const name = hostName(host);
    return (
      isIP(name) !== 0 || ownNames.has(name) || allowedHosts.some((pattern) => matchesName(pattern, name))
    );
  }

  /** A page of another origin can send a POST without asking first; its browser says so. */
  function checkOrigin(headers: RequestHeaders, host: string): void {
    const site = headers["sec-fetch-site"];
    if (site === "same-origin" || site === "none") return;
    const { origin } = headers;
    if (site !== undefined) {
      throw refuse(
        "forbidden_origin",
        `Pages of another origin may not change tasks, and the browser says that this one is (Sec-Fetch-Site: ${JSON.stringify(site)}, Origin: ${JSON.stringify(origin ?? "")}, Host: ${JSON.stringify(host)})`,
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
    // Parsed with the scheme of the origin: a proxy may send `Host: name:80`, and an origin does not name its scheme's own port.
    const own = URL.parse(`${url.protocol}//${host}`);
    return url.host === own?.host || allowedHosts.some((pattern) => matchesOrigin(pattern, url));
  }
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };

function matchesOrigin(pattern: HostPattern, { protocol, hostname, port }: URL): boolean {
  const ownPort = DEFAULT_PORTS[protocol];
  if (ownPort === undefined || !matchesName(pattern, hostName(hostname))) return false;
  return (pattern.port ?? ownPort) === (port === "" ? ownPort : Number(port));
}

/** Over plain http browsers do not say whether a page is of the same origin, and a proxy may have changed the Host. */
function cureFor(origin: string): string {
  const url = URL.parse(origin);
  if (url === null || DEFAULT_PORTS[url.protocol] === undefined) return "";
  return `. If the page is this server's own behind a proxy, let the proxy pass on the Host, or add ${url.host} to ALLOWED_HOSTS`;
}

function checkLengths(request: Request, headers: RequestHeaders): void {
  const { url } = request;
  if (url.length > URL_BYTES && targetLength(url) > URL_BYTES) {
    throw refuse("uri_too_long", `The URL must be at most ${URL_BYTES} bytes long`);
  }
  let bytes = 0;
  for (const name in headers) bytes += name.length + (headers[name]?.length ?? 0) + 4;
  if (bytes > HEADER_BYTES)
    throw refuse("headers_too_large", `The headers must be at most ${HEADER_BYTES} bytes long`);
}

/** Over plain http, a page whose name was rebound to this address sends a GET with no mark but its browser's name. */
const isBrowser = (headers: RequestHeaders): boolean =>
  headers.origin !== undefined ||
  headers["sec-fetch-site"] !== undefined ||
  (headers["user-agent"]?.startsWith("Mozilla/") ?? false);

function checkHost(host: string): void {
  if (!HOST.test(host)) throw refuse("bad_host", `${JSON.stringify(host)} is not one host`);
}

/** Without the port, the brackets of IPv6, and the dot of a full name. */
function hostName(host: string): string {
  const name = host.toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
  return name.startsWith("[") && name.endsWith("]") ? name.slice(1, -1) : name;
}
