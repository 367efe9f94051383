import { describe, expect, test } from "bun:test";
import {
  isPublicAddress,
  isWithin,
  parseAddress,
  parseAllowance,
  parseRange,
  reservedAs,
} from "./addresses.ts";

/** The first and the last address of a range, and its public neighbours if there are any. */
const EDGES: readonly (readonly [kind: string, inside: readonly string[], outside: readonly string[]])[] = [
  ["this network", ["0.0.0.0", "0.255.255.255"], ["1.0.0.0"]],
  ["private", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]],
  [
    "carrier-grade NAT",
    ["100.64.0.0", "100.100.100.200", "100.127.255.255"],
    ["100.63.255.255", "100.128.0.0"],
  ],
  ["loopback", ["127.0.0.0", "127.0.0.1", "127.255.255.255"], ["126.255.255.255", "128.0.0.0"]],
  ["a cloud's host", ["168.63.129.16"], ["168.63.129.15", "168.63.129.17"]],
  ["link-local", ["169.254.0.0", "169.254.169.254", "169.254.255.255"], ["169.253.255.255", "169.255.0.0"]],
  ["private", ["172.16.0.0", "172.31.255.255"], ["172.15.255.255", "172.32.0.0"]],
  ["protocol assignments", ["192.0.0.0", "192.0.0.192", "192.0.0.255"], ["191.255.255.255", "192.0.1.0"]],
  ["documentation", ["192.0.2.0", "192.0.2.255"], ["192.0.1.255", "192.0.3.0"]],
  ["6to4 relay", ["192.88.99.0", "192.88.99.255"], ["192.88.98.255", "192.88.100.0"]],
  ["private", ["192.168.0.0", "192.168.255.255"], ["192.167.255.255", "192.169.0.0"]],
  ["benchmarking", ["198.18.0.0", "198.19.255.255"], ["198.17.255.255", "198.20.0.0"]],
  ["documentation", ["198.51.100.0", "198.51.100.255"], ["198.51.99.255", "198.51.101.0"]],
  ["documentation", ["203.0.113.0", "203.0.113.255"], ["203.0.112.255", "203.0.114.0"]],
  ["multicast", ["224.0.0.0", "239.255.255.255"], ["223.255.255.255"]],
  ["reserved", ["240.0.0.0", "255.255.255.254"], []],
  ["broadcast", ["255.255.255.255"], []],

  ["unspecified", ["::", "0:0:0:0:0:0:0:0", "::0.0.0.0"], []],
  ["loopback", ["::1", "0:0:0:0:0:0:0:1", "::0.0.0.1"], []],
  ["IPv4-mapped", ["::ffff:0:0", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::FFFF:7F00:1"], []],
  ["IPv4-translated", ["::ffff:0:0:0", "::ffff:0:127.0.0.1"], []],
  ["IPv4-compatible", ["::2", "::127.0.0.1", "::8.8.8.8", "::ffff:ffff"], []],
  ["NAT64", ["64:ff9b::", "64:ff9b::127.0.0.1", "64:ff9b::ffff:ffff"], []],
  ["NAT64", ["64:ff9b:1::", "64:ff9b:1::10.0.0.1", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"], []],
  ["discard-only", ["100::", "100::ffff:ffff:ffff:ffff"], []],
  ["dummy prefix", ["100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"], []],
  ["segment routing", ["5f00::", "5f00:ffff::1"], []],
  ["unique local", ["fc00::", "fd00:ec2::254", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], []],
  ["link-local", ["fe80::", "fe80::1", "febf:ffff::1"], []],
  ["site-local", ["fec0::", "feff:ffff::1"], []],
  ["multicast", ["ff00::", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], []],
  ["not assigned", ["1000::1", "1fff:ffff::1", "64:ff9c::1"], ["2000::"]],
  ["not assigned", ["4000::", "7fff::1", "8000::", "f000::1", "fe00::1"], ["3fff:1000::", "3ffd::1"]],
  ["Teredo", ["2001::", "2001:0:ffff::1"], []],
  ["benchmarking", ["2001:2::", "2001:2:0:ffff::1"], []],
  ["ORCHID", ["2001:10::", "2001:1f:ffff::1", "2001:20::", "2001:2f:ffff::1"], []],
  ["drone identities", ["2001:30::", "2001:3f:ffff::1"], []],
  ["protocol assignments", ["2001:1::1", "2001:4:112::1", "2001:1ff:ffff::1"], ["2001:200::"]],
  ["documentation", ["2001:db8::", "2001:db8:ffff::1"], ["2001:db7:ffff::1", "2001:db9::"]],
  ["6to4", ["2002::", "2002:7f00:1::", "2002:ffff::1"], ["2001:ffff::1", "2003::1"]],
  ["returned", ["3ffe::", "3ffe:ffff::1"], ["3ffd:ffff::1"]],
  ["documentation", ["3fff::", "3fff:fff:ffff::1"], ["3fff:1000::1"]],
];

describe("an address", () => {
  for (const [kind, inside, outside] of EDGES) {
    test(`of the kind "${kind}" is not public from ${inside[0]} on, and its neighbours are`, () => {
      for (const text of inside) expect([text, reservedAs(text)?.split(", ")[0]]).toEqual([text, kind]);
      for (const text of outside) expect([text, reservedAs(text)]).toEqual([text, null]);
    });
  }

  test("of the public internet is public", () => {
    const known = [
      "1.1.1.1",
      "8.8.8.8",
      "93.184.215.14",
      "2606:4700::1111",
      "2a00:1450:4001::8a",
      "2620:fe::fe",
    ];
    expect(known.filter((text) => !isPublicAddress(text))).toEqual([]);
  });

  test("that is not in its plain form is not accepted", () => {
    const none = [
      "",
      "1",
      "127.1",
      "1.2.3",
      "1.2.3.4.5",
      "01.2.3.4",
      "1.2.3.04",
      "0x7f.0.0.1",
      "256.1.1.1",
      "1.2.3.4 ",
      " 1.2.3.4",
      "1.2.3.4\n",
      "1.2.3.-4",
      "+1.2.3.4",
      "1.2.3.4/8",
      "１.2.3.4",
      "2130706433",
      "localhost",
      ":",
      ":::",
      "1::2::3",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "1:2:3:4:5:6:7::8",
      "::12345",
      "::g",
      "::1.2.3",
      "::1.2.3.4.5",
      "::256.0.0.1",
      "1.2.3.4::",
      "::1.2.3.4:5",
      "fe80::1%eth0",
      "[::1]",
      "::1/128",
    ];
    expect(none.filter((text) => parseAddress(text) !== null || isPublicAddress(text))).toEqual([]);
  });

  test("is the same in every notation of IPv6", () => {
    const ways = ["2001:db8::1", "2001:DB8:0:0:0:0:0:1", "2001:0db8::0001", "2001:db8::0.0.0.1"];
    expect(new Set(ways.map((text) => parseAddress(text)?.value)).size).toBe(1);
  });
});

describe("a range", () => {
  test("contains its first and its last address and not their outer neighbours", () => {
    const range = parseRange("10.1.0.0/16");
    const ranges = range === null ? [] : [range];
    const inside = ["10.1.0.0", "10.1.255.255"];
    const outside = ["10.0.255.255", "10.2.0.0", "::ffff:10.1.0.0", "::10.1.0.0", "10.1", ""];
    expect(inside.filter((text) => isWithin(text, ranges))).toEqual(inside);
    expect(outside.filter((text) => isWithin(text, ranges))).toEqual([]);
  });

  test("may be one address, or all of them", () => {
    expect(parseRange("::1")).toEqual({ family: 6, first: 1n, last: 1n });
    expect(parseRange("0.0.0.0/0")).toEqual({ family: 4, first: 0n, last: 2n ** 32n - 1n });
    expect(parseRange("::/0")).toEqual({ family: 6, first: 0n, last: 2n ** 128n - 1n });
  });

  test("is refused if it has bits after its prefix or is not valid", () => {
    const none = [
      "10.0.0.1/8",
      "::1/64",
      "10.0.0.0/33",
      "::/129",
      "10.0.0.0/",
      "10.0.0.0/-1",
      "10.0.0.0/08",
      "10.0.0.0/8/8",
      "/8",
      "10/8",
      "a",
    ];
    expect(none.filter((text) => parseRange(text) !== null)).toEqual([]);
  });
});

test("an allowance is nothing, everything or ranges", () => {
  expect(["", "0", "1"].map(parseAllowance)).toEqual([false, false, true]);
  expect(parseAllowance("10.0.0.0/8, ::1")).toEqual(["10.0.0.0/8", "::1"]);
  expect(["true", "localhost", "10.0.0.0/8,", "10.0.0.1/8"].map(parseAllowance)).toEqual([
    null,
    null,
    null,
    null,
  ]);
});
