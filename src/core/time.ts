/**
 * RFC 3339 times, parsed by one rule for all inputs. Date.parse does not fit: it reads 30 February as 2 March, 24:00 as the next
 * day and accepts the year 0000. With an offset it leaves the years 0001 to 9999, which are the limits of the format.
 *
 * A leap second (":60") is refused although the grammar of the RFC allows it: epoch milliseconds cannot express it, and the
 * second before or after it would be another time than the one that was sent.
 */

/** Epoch milliseconds, or the reason why the text is not a time. */
export type ReadTime = { readonly ms: number } | { readonly fault: string };

const TIME = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

const FORM = 'must be an RFC 3339 time such as "2026-01-31T12:00:00Z"';
const FIRST_MS = -62_135_596_800_000; // 0001-01-01T00:00:00.000Z
const LAST_MS = 253_402_300_799_999; // 9999-12-31T23:59:59.999Z

/**
 * Parses a time. Digits beyond the millisecond are dropped. Every error message begins with "must".
 * @example parseTime("2026-01-31T13:00:00+01:00") // { ms: 1_769_860_800_000 }
 */
export function parseTime(text: string): ReadTime {
  const parts = TIME.exec(text);
  if (parts === null) return { fault: FORM };
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map(Number) as Clockwork;
  const [fraction = "", sign = "+", offsetHour = "0", offsetMinute = "0"] = parts.slice(7);
  const fault =
    dateFault(year, month, day) ??
    rangeFault("an hour", hour, 23) ??
    rangeFault("a minute", minute, 59) ??
    (second === 60 ? "must have a second from 00 to 59: a leap second cannot be kept" : null) ??
    rangeFault("a second", second, 59) ??
    rangeFault("an offset with hours", Number(offsetHour), 23) ??
    rangeFault("an offset with minutes", Number(offsetMinute), 59);
  if (fault !== null) return { fault };
  const offset = (Number(offsetHour) * 60 + Number(offsetMinute)) * (sign === "-" ? -1 : 1);
  const milli = Number(fraction.slice(0, 3).padEnd(3, "0"));
  const ms =
    ((daysTo(year, month, day) * 24 + hour) * 60 + minute - offset) * 60_000 + second * 1_000 + milli;
  if (ms >= FIRST_MS && ms <= LAST_MS) return { ms };
  return { fault: "must be a time from the year 0001 to 9999, in UTC as well" };
}

type Clockwork = [number, number, number, number, number, number]; // the pattern's first six groups, all digits

function dateFault(year: number, month: number, day: number): string | null {
  if (year === 0) return "must have a year from 0001 to 9999";
  const fault = rangeFault("a month", month, 12, 1);
  if (fault !== null) return fault;
  const days = daysIn(year, month);
  if (day >= 1 && day <= days) return null;
  return `must be a date that exists: ${twoDigits(month)}/${year} has ${days} days, not ${day}`;
}

const rangeFault = (part: string, value: number, most: number, least = 0): string | null =>
  value >= least && value <= most ? null : `must have ${part} from ${twoDigits(least)} to ${most}`;

const twoDigits = (value: number): string => String(value).padStart(2, "0");

/** Day 0 of the next month is the last day of this month. */
const daysIn = (year: number, month: number): number => new Date(dateMs(year, month + 1, 0)).getUTCDate();

const daysTo = (year: number, month: number, day: number): number => dateMs(year, month, day) / 86_400_000;

/** Not Date.UTC, which maps the years 0 to 99 to 1900 to 1999. */
const dateMs = (year: number, month: number, day: number): number =>
  new Date(0).setUTCFullYear(year, month - 1, day);
