import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseTime } from "./time.ts";

test.each([
  ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"],
  ["2026-01-31t12:00:00z", "2026-01-31T12:00:00.000Z"],
  ["2026-01-31T12:00:00.1Z", "2026-01-31T12:00:00.100Z"],
  ["2026-01-31T12:00:00.123999999999Z", "2026-01-31T12:00:00.123Z"],
  ["2026-01-31T13:30:00+01:30", "2026-01-31T12:00:00.000Z"],
  ["2026-01-31T12:00:00-00:00", "2026-01-31T12:00:00.000Z"],
  ["2026-01-31T12:00:00+23:59", "2026-01-30T12:01:00.000Z"],
  ["2026-12-31T23:30:00-01:00", "2027-01-01T00:30:00.000Z"],
  ["2028-02-29T00:00:00Z", "2028-02-29T00:00:00.000Z"],
  ["2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000Z"],
  ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"],
  ["0004-02-29T00:00:00Z", "0004-02-29T00:00:00.000Z"],
  ["0099-12-31T23:59:59Z", "0099-12-31T23:59:59.000Z"],
  ["1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"],
  ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"],
  ["9999-12-31T23:59:59.999+23:59", "9999-12-31T00:00:59.999Z"],
  ["0001-01-01T00:00:00-00:01", "0001-01-01T00:01:00.000Z"],
])("%s is %s", (text, utc) => {
  const read = parseTime(text);
  expect("ms" in read ? new Date(read.ms).toISOString() : read).toBe(utc);
});

describe("no time is", () => {
  const FORM = 'must be an RFC 3339 time such as "2026-01-31T12:00:00Z"';
  const YEARS = "must be a time from the year 0001 to 9999, in UTC as well";
  test.each([
    ["2027-02-30T00:00:00Z", "must be a date that exists: 02/2027 has 28 days, not 30"],
    ["2026-02-29T12:00:00Z", "must be a date that exists: 02/2026 has 28 days, not 29"],
    ["1900-02-29T12:00:00Z", "must be a date that exists: 02/1900 has 28 days, not 29"],
    ["2026-04-31T12:00:00Z", "must be a date that exists: 04/2026 has 30 days, not 31"],
    ["2026-12-32T12:00:00Z", "must be a date that exists: 12/2026 has 31 days, not 32"],
    ["2026-01-00T12:00:00Z", "must be a date that exists: 01/2026 has 31 days, not 0"],
    ["2026-13-01T00:00:00Z", "must have a month from 01 to 12"],
    ["2026-00-01T00:00:00Z", "must have a month from 01 to 12"],
    ["2026-01-01T24:00:00Z", "must have an hour from 00 to 23"],
    ["2026-01-01T12:60:00Z", "must have a minute from 00 to 59"],
    ["2026-01-01T12:00:61Z", "must have a second from 00 to 59"],
    ["2016-12-31T23:59:60Z", "must have a second from 00 to 59: a leap second cannot be kept"],
    ["2026-01-01T12:00:00+24:00", "must have an offset with hours from 00 to 23"],
    ["2026-01-01T12:00:00-01:60", "must have an offset with minutes from 00 to 59"],
    ["0000-01-01T00:00:00Z", "must have a year from 0001 to 9999"],
    ["0000-12-31T23:59:59-01:00", "must have a year from 0001 to 9999"],
    ["0001-01-01T00:00:00+00:01", YEARS],
    ["9999-12-31T23:59:59-00:01", YEARS],
    ["9999-12-31T23:59:59.999-23:59", YEARS],
    ...[
      "",
      "tomorrow",
      "2026-01-31",
      "2026-01-31T12:00:00",
      "2026-01-31T12:00Z",
      "2026-01-31 12:00:00Z",
      "2026-01-31T12:00:00.Z",
      "2026-01-31T12:00:00,5Z",
      "2026-01-31T12:00:00+0100",
      "2026-01-31T12:00:00\u221201:00",
      "2026-1-31T12:00:00Z",
      "12026-01-31T12:00:00Z",
      "+002026-01-31T12:00:00Z",
      "-001-01-31T12:00:00Z",
      " 2026-01-31T12:00:00Z",
      "2026-01-31T12:00:00Z\n",
      "\u0662\u0660\u0662\u0666-01-31T12:00:00Z",
    ].map((text) => [text, FORM] as const),
  ])("%j: %s", (text, fault) => {
    expect(parseTime(text)).toEqual({ fault });
  });
});

test("every time that is printed is read as the same millisecond", () => {
  const printable = fc.date({
    min: new Date("0001-01-01T00:00:00.000Z"),
    max: new Date("9999-12-31T23:59:59.999Z"),
    noInvalidDate: true,
  });
  fc.assert(
    fc.property(printable, (date) => {
      expect(parseTime(date.toISOString())).toEqual({ ms: date.getTime() });
    }),
    { numRuns: 3_000 },
  );
});

test("a date is accepted exactly if it exists in the calendar", () => {
  for (let year = 1890; year <= 2110; year++) {
    for (let month = 1; month <= 12; month++) {
      for (let day = 28; day <= 32; day++) {
        const text = `${year}-${String(month).padStart(2, "0")}-${day}T00:00:00Z`;
        const exists = new Date(Date.UTC(year, month - 1, day)).getUTCMonth() === month - 1;
        expect({ text, isTaken: "ms" in parseTime(text) }).toEqual({ text, isTaken: exists });
      }
    }
  }
});
