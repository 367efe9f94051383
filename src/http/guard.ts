import { isIP } from "node:net";
import { refuse } from "./errors.ts";
import { targetLength } from "./target.ts";

/** The request's headers as a plain object: one native call instead of one for each that is read. */
export type RequestHeaders = Readonly<Record<string, string | undefined>>;

export const URL_BYTES = 8 * 1_024;
export const HEADER_BYTES = 16 * 1_024;

/** RFC 3986's host and port, but for the comma, which means that there was more than one. */
const HOST = /^(?:\[[\da-f:.]+\]|[\w.~!$&'()*+;=%-]*)(?::\d*)?$/i;

const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/** What is refused before a route is asked: too long, from a foreign page, or for a foreign host. Throws. */
export function createGuard(setup: { readonly httpHost: string; readonly allowedHosts: readonly string[] }) {
  const ownHosts = new Set(["localhost", setup.httpHost.toLowerCase(), ...setup.allowedHosts]);

  let latestHost = ""; // most requests name the one before's

  return function guard(request: Request, headers: RequestHeaders): void {
    checkLengths(request, headers);
    const { host = "" } = headers;
    if (host !== latestHost) checkHost(host);
    latestHost = host;
    if (isBrowser(headers) && !isOwnHost(host)) {
      throw refuse(
        "forbidden_host",
        `Browsers may not reach this server as ${JSON.stringify(host)}; see ALLOWED_HOSTS`,
      );
    }
    if (!SAFE_METHODS.has(request.method)) checkOrigin(headers, host);
  };

  function isOwnHost(host: string): boolean {
    const name = hostName(host);
    return isIP(name) !== 0 || ownHosts.has(name);
  }
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

/** A page of another origin can send a POST without asking first; its browser says so. */
function checkOrigin(headers: RequestHeaders, host: string): void {
  const site = headers["sec-fetch-site"];
  if (site === "same-origin" || site === "none") return;
  const { origin } = headers;
  if (site === undefined && (origin === undefined || isSameHost(origin, host))) return;
  throw refuse("forbidden_origin", "Pages of another origin may not change tasks");
}

function isSameHost(origin: string, host: string): boolean {
  const url = URL.parse(origin);
  return url !== null && url.host === host.toLowerCase();
}

/** Without the port, the brackets of IPv6, and the dot of a full name. */
function hostName(host: string): string {
  const name = host.toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
  return name.startsWith("[") && name.endsWith("]") ? name.slice(1, -1) : name;
}
