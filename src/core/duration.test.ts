import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatDuration, formatDurationMs, parseDuration, parseDurationMs } from "./duration.ts";

type Refused = readonly [text: string, ns: null];
type Parsed = readonly [text: string, ns: bigint, canonical: string];

/** The results of Go 1.26: time.ParseDuration(text), and String() of that duration. */
const GO: readonly (Refused | Parsed)[] = [
  ["0", 0n, "0s"],
  ["+0", 0n, "0s"],
  ["-0", 0n, "0s"],
  ["0s", 0n, "0s"],
  ["-0s", 0n, "0s"],
  ["+0s", 0n, "0s"],
  ["00", null],
  ["0.0", null],
  ["0.s", 0n, "0s"],
  ["0.0s", 0n, "0s"],
  ["00s", 0n, "0s"],
  ["5", null],
  ["-5", null],
  ["+", null],
  ["-", null],
  ["", null],
  ["s", null],
  [".", null],
  ["+.s", null],
  ["-.s", null],
  [".s", null],
  [".5s", 500000000n, "500ms"],
  ["1.s", 1000000000n, "1s"],
  ["1.5s", 1500000000n, "1.5s"],
  ["+5s", 5000000000n, "5s"],
  ["-5s", -5000000000n, "-5s"],
  ["-1.5h", -5400000000000n, "-1h30m0s"],
  ["--5s", null],
  ["+-5s", null],
  ["-.5s", -500000000n, "-500ms"],
  ["+.5m", 30000000000n, "30s"],
  ["1ns", 1n, "1ns"],
  ["999ns", 999n, "999ns"],
  ["1000ns", 1000n, "1µs"],
  ["1us", 1000n, "1µs"],
  ["1\u00b5s", 1000n, "1µs"],
  ["1\u03bcs", 1000n, "1µs"],
  ["1500us", 1500000n, "1.5ms"],
  ["1.5\u00b5s", 1500n, "1.5µs"],
  ["999999ns", 999999n, "999.999µs"],
  ["1000000ns", 1000000n, "1ms"],
  ["1ms", 1000000n, "1ms"],
  ["250ms", 250000000n, "250ms"],
  ["1.000001ms", 1000001n, "1.000001ms"],
  ["999.999999ms", 999999999n, "999.999999ms"],
  ["1000ms", 1000000000n, "1s"],
  ["1s", 1000000000n, "1s"],
  ["59.999999999s", 59999999999n, "59.999999999s"],
  ["60s", 60000000000n, "1m0s"],
  ["90.5s", 90500000000n, "1m30.5s"],
  ["1m", 60000000000n, "1m0s"],
  ["1m30.5s", 90500000000n, "1m30.5s"],
  ["59m59s", 3599000000000n, "59m59s"],
  ["60m", 3600000000000n, "1h0m0s"],
  ["1h", 3600000000000n, "1h0m0s"],
  ["1h0m0.5s", 3600500000000n, "1h0m0.5s"],
  ["1h30m", 5400000000000n, "1h30m0s"],
  ["4m2.348501s", 242348501000n, "4m2.348501s"],
  ["4m2.348s", 242348000000n, "4m2.348s"],
  ["100h", 360000000000000n, "100h0m0s"],
  ["168h", 604800000000000n, "168h0m0s"],
  ["720h", 2592000000000000n, "720h0m0s"],
  ["8760h", 31536000000000000n, "8760h0m0s"],
  ["1h1m1s1ms1us1ns", 3661001001001n, "1h1m1.001001001s"],
  ["1ns1us1ms1s1m1h", 3661001001001n, "1h1m1.001001001s"],
  ["1s1s1s", 3000000000n, "3s"],
  ["30m1h", 5400000000000n, "1h30m0s"],
  ["0h0m0s", 0n, "0s"],
  ["9223372036854775807ns", 9223372036854775807n, "2562047h47m16.854775807s"],
  ["-9223372036854775807ns", -9223372036854775807n, "-2562047h47m16.854775807s"],
  ["-9223372036854775808ns", -9223372036854775808n, "-2562047h47m16.854775808s"],
  ["9223372036854775808ns", null],
  ["-9223372036854775809ns", null],
  ["9223372036854775.807us", 9223372036854775807n, "2562047h47m16.854775807s"],
  ["-9223372036854775.808us", -9223372036854775808n, "-2562047h47m16.854775808s"],
  ["9223372036s854ms775us807ns", 9223372036854775807n, "2562047h47m16.854775807s"],
  ["-9223372036s854ms775us808ns", -9223372036854775808n, "-2562047h47m16.854775808s"],
  ["-9223372036s854ms775us809ns", null],
  ["2562047h47m16.854775807s", 9223372036854775807n, "2562047h47m16.854775807s"],
  ["-2562047h47m16.854775808s", -9223372036854775808n, "-2562047h47m16.854775808s"],
  ["2562047h47m16.854775808s", null],
  ["2562048h", null],
  ["9223372036854775807s", null],
  ["18446744073709551616ns", null],
  ["18446744073709551617ns", null],
  ["99999999999999999999999ns", null],
  ["1h9223372036854775807ns", null],
  ["0.9223372036854775807s", 922337203n, "922.337203ms"],
  ["9223372036854775807ns1ns", null],
  ["0.1ns", 0n, "0s"],
  ["0.9ns", 0n, "0s"],
  ["1.9ns", 1n, "1ns"],
  ["0.0000000001s", 0n, "0s"],
  ["1.0000000019s", 1000000001n, "1.000000001s"],
  ["0.1234567894s", 123456789n, "123.456789ms"],
  ["0.1234567896us", 123n, "123ns"],
  ["0.000001ms", 1n, "1ns"],
  ["0.0000001ms", 0n, "0s"],
  [".00000000000000000001h", 0n, "0s"],
  ["0.100000000000000000000h", 360000000000n, "6m0s"],
  ["0.3333333333333333333h", 1200000000000n, "20m0s"],
  ["0.830103483285477580700h", 2988372539827n, "49m48.372539827s"],
  ["0.3333333333333333333m", 20000000000n, "20s"],
  ["0.0000000000000000000000000000000000000001h", 0n, "0s"],
  ["1.00000000000000000000000000000000000000000s", 1000000000n, "1s"],
  ["39h9m14.425s", 140954425000000n, "39h9m14.425s"],
  ["52763797000ns", 52763797000n, "52.763797s"],
  ["9007199254.740993ms", 9007199254740993n, "2501h59m59.254740993s"],
  ["9007199254740993ns", 9007199254740993n, "2501h59m59.254740993s"],
  ["0.7h", 2520000000000n, "42m0s"],
  ["0.29h", 1044000000000n, "17m24s"],
  ["0.57m", 34200000000n, "34.2s"],
  ["4.35s", 4350000000n, "4.35s"],
  ["2.675s", 2675000000n, "2.675s"],
  ["0.07us", 70n, "70ns"],
  ["0.58h", 2088000000000n, "34m48s"],
  ["1.1h", 3960000000000n, "1h6m0s"],
  ["2.3m", 138000000000n, "2m18s"],
  ["0.017h", 61200000000n, "1m1.2s"],
  ["33.3m", 1998000000000n, "33m18s"],
  ["0.0167h", 60120000000n, "1m0.12s"],
  ["1.005s", 1005000000n, "1.005s"],
  ["8.2ms", 8200000n, "8.2ms"],
  ["0.14ns", 0n, "0s"],
  ["0.1h", 360000000000n, "6m0s"],
  ["0.001h", 3600000000n, "3.6s"],
  ["0.123456789h", 444444440400n, "7m24.4444404s"],
  ["5.678901234m", 340734074040n, "5m40.73407404s"],
  ["0.19465000000000m", 11678999999n, "11.678999999s"],
  ["0.25000000000000us", 249n, "249ns"],
  ["1e3s", null],
  ["1E3s", null],
  ["0x10s", null],
  ["1_000s", null],
  ["1,5s", null],
  ["1 h", null],
  [" 1h", null],
  ["1h ", null],
  ["1h 30m", null],
  ["1d", null],
  ["1w", null],
  ["1y", null],
  ["1S", null],
  ["1H", null],
  ["1M", null],
  ["1MS", null],
  ["1Ms", null],
  ["1NS", null],
  ["1Us", null],
  ["3000", null],
  ["1.2.3s", null],
  ["1..2s", null],
  ["1.-2s", null],
  ["1-2s", null],
  ["s1", null],
  ["hms", null],
  ["1hm", null],
  ["1h.m", null],
  ["infs", null],
  ["NaN", null],
  ["\u0661s", null],
  ["\uff11s", null],
  ["1\u2009s", null],
  ["1s\u0000", null],
  ["1\ts", null],
  ["1\ns", null],
  ["1m\u00b5s", null],
  ["1\u00b5", null],
  ["1\u00b5m", null],
  ["1u", null],
  ["1n", null],
  ["1min", null],
  ["1hr", null],
  ["1sec", null],
  ["1mss", null],
  ["1sm", null],
];

const parsed = GO.filter((row): row is Parsed => row[1] !== null);
const refused = GO.filter((row): row is Refused => row[1] === null);

const INT64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
/** Short durations are as frequent as long ones, because the number of bits is chosen first. */
const DURATION = fc.oneof(
  INT64,
  fc.tuple(fc.integer({ min: 1, max: 63 }), INT64).map(([bits, ns]) => BigInt.asIntN(bits, ns)),
);

describe("a duration has the same meaning as in Go:", () => {
  test.each(parsed)("%j is %s ns", (text, ns) => {
    expect(parseDuration(text)).toBe(ns);
  });

  test.each(parsed)("%j, which is %s ns, is printed as %j", (_text, ns, canonical) => {
    expect(formatDuration(ns)).toBe(canonical);
  });

  test.each(refused)("%j is not a duration", (text) => {
    expect(parseDuration(text)).toBeNull();
    expect(parseDurationMs(text)).toBeNull();
  });
});

test("every duration that is printed is parsed as the same number", () => {
  fc.assert(
    fc.property(DURATION, (ns) => {
      expect(parseDuration(formatDuration(ns))).toBe(ns);
    }),
    { numRuns: 3_000 },
  );
});

test("a printed duration that is parsed and printed again has the same text", () => {
  fc.assert(
    fc.property(DURATION, (ns) => {
      const text = formatDuration(ns);
      expect(formatDuration(parseDuration(text) ?? 0n)).toBe(text);
      expect(text).toMatch(/^-?(\d+h)?(\d+m)?\d+(\.\d*[1-9])?(ns|\u00b5s|ms|s)$/);
    }),
    { numRuns: 1_000 },
  );
});

test("the parser never throws, and every result is within the range of Go's int64", () => {
  const part = fc.constantFrom(
    "-",
    "+",
    ".",
    "0",
    "9",
    "77",
    "9223372036854775807",
    "ns",
    "\u00b5s",
    "ms",
    "s",
    "m",
    "h",
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      const ns = parseDuration(parts.join(""));
      expect(ns === null || ns === BigInt.asIntN(64, ns)).toBe(true);
    }),
    { numRuns: 3_000 },
  );
});

test("a text of more than a hundred characters is not a duration, and is refused at once", () => {
  expect(parseDuration(`${"0".repeat(98)}1s`)).toBe(1_000_000_000n);
  expect(parseDuration(`${"0".repeat(99)}1s`)).toBeNull();
  expect(parseDuration("9".repeat(10_000_000))).toBeNull();
});

test("whole milliseconds are printed as the same nanoseconds would be", () => {
  const ms = fc.oneof(fc.integer({ min: 0, max: 1e13 }), fc.integer({ min: 0, max: 10_000_000 }));
  fc.assert(
    fc.property(ms, (ms) => {
      expect(formatDurationMs(ms)).toBe(formatDuration(BigInt(ms) * 1_000_000n));
    }),
    { numRuns: 5_000 },
  );
});

test("around every unit's edge whole milliseconds are printed as the same nanoseconds would be", () => {
  for (const edge of [0, 10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000, 36_000_000, 86_400_000, 1e13]) {
    for (let ms = Math.max(0, edge - 1_100); ms <= edge + 1_100; ms++) {
      expect(formatDurationMs(ms)).toBe(formatDuration(BigInt(ms) * 1_000_000n));
    }
  }
});

test.each([
  [0.5, "500\u00b5s"],
  [0.000001, "1ns"],
  [1.000001, "1.000001ms"],
  [1_500.25, "1.50025s"],
  [-1, "-1ms"],
  [-1_500, "-1.5s"],
  [-90_000, "-1m30s"],
])("%d ms are printed as %j", (ms, text) => {
  expect(formatDurationMs(ms)).toBe(text);
});

test.each([
  ["250ms", 250],
  ["1h30m", 5_400_000],
  ["1.2345s", 1_235],
  ["2.0005s", 2_001],
  ["1.5us", 1],
  ["1ns", 1],
  ["-1ns", -1],
  ["-1.5ms", -2],
  ["1000000ns", 1],
  ["-1s", -1_000],
  ["0", 0],
  ["2562047h47m16s", 9_223_372_036_000],
])("%j is %d ms", (text, ms) => {
  expect(parseDurationMs(text)).toBe(ms);
});
