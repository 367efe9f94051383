/** Host names as an operator writes them: one name, or all names below one; with or without a port. */
import { parseAddress } from "./addresses.ts";

export type HostPattern = {
  /** In lower case and ASCII, without the dot at the end of a full name and without the brackets of IPv6. */
  readonly name: string;
  /** Whether the pattern matches the names below this one, and not the name itself. */
  readonly isWildcard: boolean;
  readonly port: number | null;
};

const LABELS = /^[a-z\d_-]+(?:\.[a-z\d_-]+)*$/;
const MAX_PORT = 65_535;

/** `tasks.example.com`, `tasks.example.com:8443`, `*.example.com`, `10.0.0.1`, `::1` or `[::1]:8443`; null for any other text. */
export function parseHostPattern(text: string): HostPattern | null {
  if (parseAddress(text)?.family === 6) return parseHostPattern(`[${text}]`);
  const [, wildcard = "", host = "", digits] =
    /^(\*\.)?(\[[^\]]*\]|[^\s:[\]/?#@%\\]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  const name = hostName(host);
  const port = digits === undefined ? null : Number(digits);
  if (name === null || port === 0 || (port ?? 0) > MAX_PORT) return null;
  if (wildcard !== "" && parseAddress(name) !== null) return null;
  return { name, isWildcard: wildcard !== "", port };
}

function hostName(host: string): string | null {
  // The parser of URLs converts a Unicode name to ASCII, and an IPv6 address to its shortest form.
  const name = URL.parse(`http://${host}`)?.hostname.replace(/\.$/, "") ?? "";
  if (name.startsWith("[")) return name.slice(1, -1);
  if (!LABELS.test(name)) return null;
  return parseAddress(name) === null || parseAddress(host) !== null ? name : null; // the parser of URLs reads 1.2.3 as the address 1.2.0.3
}

/** @param name in the form that `name` of a pattern has */
export const matchesName = (pattern: HostPattern, name: string): boolean =>
  pattern.isWildcard ? name.endsWith(`.${pattern.name}`) && name[0] !== "." : name === pattern.name;
