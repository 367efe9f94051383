import { expect, test } from "bun:test";
import { rejectionOf, shortRejectionOf } from "./rejection.ts";

/** Half of Kafka's default limit. */
const AT_MOST = 524_288;
const PROBLEM = JSON.stringify({
  status: 400,
  code: "invalid",
  detail: "no name",
  request_id: "r",
  errors: [],
});

type Rejection = {
  readonly problem: Record<string, unknown>;
  readonly key: string | null;
  readonly encoding: string;
  readonly truncated: boolean;
  readonly body: string;
};

const written = (body: Uint8Array, { key = null as string | null, problem = PROBLEM } = {}): Rejection =>
  JSON.parse(rejectionOf({ body, key, scope: "s" }, problem)) as Rejection;

const lengthOf = (body: Uint8Array, problem = PROBLEM): number =>
  Buffer.byteLength(rejectionOf({ body, key: null, scope: "s" }, problem));

test("a short body is kept whole, with its problem and key", () => {
  expect(written(Buffer.from('{"a":"é"}'), { key: "k" })).toEqual({
    ...{ problem: JSON.parse(PROBLEM), key: "k", encoding: "utf-8", truncated: false, body: '{"a":"é"}' },
  });
});

test("a body that is not UTF-8 is kept in base64", () => {
  expect(written(Buffer.from([0xff, 0xfe]))).toMatchObject({ encoding: "base64", body: "//4=" });
});

test("of a long body the first part is kept, cut off between two characters", () => {
  for (const before of [0, 1, 2, 3]) {
    const found = written(Buffer.from("a".repeat(before) + "\u{1f600}".repeat(262_144)));
    expect(found).toMatchObject({ encoding: "utf-8", truncated: true });
    expect(found.body).toEndWith("\u{1f600}");
    expect(Buffer.byteLength(found.body)).toBeGreaterThan(131_068);
  }
});

test("a rejection never exceeds half of the brokers' limit, whatever the body and the problem", () => {
  const long = JSON.stringify({
    ...{ status: 400, code: "invalid", detail: "d".repeat(4_000), request_id: "r" },
    errors: Array.from({ length: 100 }, () => ({ pointer: "\u0001".repeat(400), detail: "x" })),
  });
  for (const body of [
    Buffer.alloc(1_048_576, "a"),
    Buffer.alloc(1_048_576, 1), // each is written as \u0001
    Buffer.alloc(1_048_576, '"'),
    Buffer.alloc(1_048_576, 0xff),
  ]) {
    expect(lengthOf(body)).toBeLessThanOrEqual(AT_MOST);
    expect(lengthOf(body, long)).toBeLessThanOrEqual(AT_MOST);
  }
  const tooLong = JSON.stringify({ status: 400, detail: "no name", errors: "x".repeat(2_000_000) });
  expect(lengthOf(Buffer.from("{}"), tooLong)).toBeLessThan(1_000);
});

test("a key of a megabyte is cut off", () => {
  expect(written(Buffer.from("{}"), { key: "\0".repeat(1_000_000) }).key).toHaveLength(1_000);
});

test("the short form has the reason in a sentence, and no body", () => {
  const problem = JSON.stringify({
    status: 400,
    code: "invalid",
    detail: "d".repeat(4_000),
    request_id: "r",
  });
  const short = JSON.parse(shortRejectionOf({ body: Buffer.from("{}"), key: "k", scope: "s" }, problem));
  expect(short).toEqual({
    problem: { status: 400, code: "invalid", detail: "d".repeat(200), request_id: "r" },
    ...{ key: "k", encoding: "utf-8", truncated: true, body: "" },
  });
});
