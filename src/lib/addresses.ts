/**
 * IP addresses as text, and which of them belong to the public internet. The table names every range that does not, and the RFC that
 * reserved it.
 */

export type Address = { readonly family: 4 | 6; readonly value: bigint };

/** All addresses that begin with the same bits. */
export type Range = { readonly family: 4 | 6; readonly first: bigint; readonly last: bigint };

/** The addresses outside of the public internet that are allowed: none, all, or these ranges. */
export type Allowance = boolean | readonly string[];

const BITS = { 4: 32, 6: 128 } as const;

/** The ranges outside of the public internet; the first row that contains an address names it. */
const RESERVED: readonly (readonly [range: string, kind: string])[] = [
  ["0.0.0.0/8", "this network"], // RFC 791, RFC 1122 3.2.1.3; Linux takes 0.0.0.0 for itself
  ["10.0.0.0/8", "private"], // RFC 1918
  ["100.64.0.0/10", "carrier-grade NAT"], // RFC 6598; also where Alibaba's metadata are
  ["127.0.0.0/8", "loopback"], // RFC 1122 3.2.1.3
  ["168.63.129.16/32", "a cloud's host"], // assigned as public, but inside Azure it is the host machine
  ["169.254.0.0/16", "link-local"], // RFC 3927; also where most clouds' metadata are
  ["172.16.0.0/12", "private"], // RFC 1918
  ["192.0.0.0/24", "protocol assignments"], // RFC 6890; also where Oracle's metadata are
  ["192.0.2.0/24", "documentation"], // RFC 5737
  ["192.88.99.0/24", "6to4 relay"], // RFC 7526
  ["192.168.0.0/16", "private"], // RFC 1918
  ["198.18.0.0/15", "benchmarking"], // RFC 2544
  ["198.51.100.0/24", "documentation"], // RFC 5737
  ["203.0.113.0/24", "documentation"], // RFC 5737
  ["224.0.0.0/4", "multicast"], // RFC 5771
  ["255.255.255.255/32", "broadcast"], // RFC 919
  ["240.0.0.0/4", "reserved"], // RFC 1112 4

  ["::/128", "unspecified"], // RFC 4291 2.5.2
  ["::1/128", "loopback"], // RFC 4291 2.5.3
  ["::ffff:0:0/96", "IPv4-mapped"], // RFC 4291 2.5.5.2
  ["::ffff:0:0:0/96", "IPv4-translated"], // RFC 2765 2.1
  ["::/96", "IPv4-compatible"], // RFC 4291 2.5.5.1
  ["64:ff9b::/96", "NAT64"], // RFC 6052
  ["64:ff9b:1::/48", "NAT64"], // RFC 8215
  ["100::/64", "discard-only"], // RFC 6666
  ["100:0:0:1::/64", "dummy prefix"], // RFC 9780
  ["5f00::/16", "segment routing"], // RFC 9602
  ["fc00::/7", "unique local"], // RFC 4193; also where Amazon's and Google's metadata are
  ["fe80::/10", "link-local"], // RFC 4291 2.5.6
  ["fec0::/10", "site-local"], // RFC 3879
  ["ff00::/8", "multicast"], // RFC 4291 2.7
  ["::/3", "not assigned"], // RFC 4291 2.4: only 2000::/3 of the whole space is assigned
  ["4000::/2", "not assigned"], // the same
  ["8000::/1", "not assigned"], // the same
  ["2001::/32", "Teredo"], // RFC 4380
  ["2001:2::/48", "benchmarking"], // RFC 5180
  ["2001:10::/28", "ORCHID"], // RFC 4843
  ["2001:20::/28", "ORCHID"], // RFC 7343
  ["2001:30::/28", "drone identities"], // RFC 9374
  ["2001::/23", "protocol assignments"], // RFC 2928
  ["2001:db8::/32", "documentation"], // RFC 3849
  ["2002::/16", "6to4"], // RFC 3056
  ["3ffe::/16", "returned"], // RFC 3701
  ["3fff::/20", "documentation"], // RFC 9637
];

/** An address in its plain form: four decimal numbers, or IPv6 without a zone. Null for any other text, such as "127.1". */
export function parseAddress(text: string): Address | null {
  const value = text.includes(":") ? valueOf6(text) : valueOf4(text);
  return value === null ? null : { family: text.includes(":") ? 6 : 4, value };
}

function valueOf4(text: string): bigint | null {
  const numbers = text.split(".");
  if (numbers.length !== 4 || !numbers.every(isByte)) return null;
  return numbers.reduce((value, number) => (value << 8n) | BigInt(number), 0n);
}

/** Without leading zeros: some parsers read those as octal. */
const isByte = (text: string): boolean => /^(0|[1-9]\d{0,2})$/.test(text) && Number(text) <= 255;

function valueOf6(text: string): bigint | null {
  const halves = text.split("::");
  const [first, last] = [groupsOf(halves[0] ?? "", halves.length === 1), groupsOf(halves[1] ?? "", true)];
  if (first === null || last === null || halves.length > 2) return null;
  const missing = 8 - first.length - last.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const groups = [...first, ...Array.from({ length: missing }, () => 0n), ...last];
  return groups.reduce((value, group) => (value << 16n) | group, 0n);
}

/** The groups between colons; the very end may be written as an IPv4 address. */
function groupsOf(text: string, isEnd: boolean): bigint[] | null {
  if (text === "") return [];
  const groups: bigint[] = [];
  const parts = text.split(":");
  for (const [at, part] of parts.entries()) {
    const four = isEnd && at === parts.length - 1 ? valueOf4(part) : null;
    if (four !== null) groups.push(four >> 16n, four & 0xffffn);
    else if (/^[\da-f]{1,4}$/i.test(part)) groups.push(BigInt(`0x${part}`));
    else return null;
  }
  return groups;
}

/**
 * A range such as "10.0.0.0/8" or "fd00::/8"; a single address is a range of one. Null for any other text, also if the address has
 * bits after the prefix: "10.0.0.1/8" has two possible meanings.
 */
export function parseRange(text: string): Range | null {
  const [start = "", length, ...rest] = text.split("/");
  const address = parseAddress(start);
  if (address === null || rest.length > 0) return null;
  const { family, value } = address;
  const prefix =
    length === undefined ? BITS[family] : /^(0|[1-9]\d{0,2})$/.test(length) ? Number(length) : -1;
  if (prefix < 0 || prefix > BITS[family]) return null;
  const host = (1n << BigInt(BITS[family] - prefix)) - 1n;
  return (value & host) === 0n ? { family, first: value, last: value | host } : null;
}

const isIn = ({ family, value }: Address, range: Range): boolean =>
  range.family === family && range.first <= value && value <= range.last;

const TABLE = RESERVED.map(([text, kind]) => ({ range: parseRange(text), text, kind }));

/** Why an address does not belong to the public internet, in a few words; null if it does. */
export function reservedAs(text: string): string | null {
  const address = parseAddress(text);
  if (address === null) return "not an address in its plain form";
  const row = TABLE.find(({ range }) => range !== null && isIn(address, range));
  return row === undefined ? null : `${row.kind}, ${row.text}`;
}

/** Whether a text is an address of the public internet, in its plain form. */
export const isPublicAddress = (text: string): boolean => reservedAs(text) === null;

/** Whether an address lies in one of the ranges. */
export function isWithin(text: string, ranges: readonly Range[]): boolean {
  const address = parseAddress(text);
  return address !== null && ranges.some((range) => isIn(address, range));
}

/**
 * An allowance as an operator writes it: "0" or an empty text for none, "1" for all, or ranges with commas between them
 * ("10.1.0.0/16,::1"). Null for anything else.
 */
export function parseAllowance(text: string): Allowance | null {
  if (text === "" || text === "0") return false;
  if (text === "1") return true;
  const ranges = text.split(",").map((range) => range.trim());
  return ranges.every((range) => parseRange(range) !== null) ? ranges : null;
}
