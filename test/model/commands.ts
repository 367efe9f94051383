/** The random commands: plain data, so that a failing run can be read, shrunk and typed in again. */
import fc from "fast-check";
import { type Filter, type Order, PAYLOADS, type Patch, type Said, type Spec, type Wish } from "./model.ts";

/** Whom a command is about: the nth of a group at that moment, or of all ids ever given (and one more) if it is empty. */
export type Whom = { readonly group: "running" | "pending" | "ended" | "any"; readonly nth: number };
export type TokenKind = "right" | "stale" | "nonsense";

export type Command =
  | {
      readonly do: "create";
      readonly specs: Spec[];
      readonly idempotency: { key: string; body: string } | null;
    }
  | { readonly do: "claim"; readonly wishes: Wish[] }
  | {
      readonly do: "extend";
      readonly beats: {
        readonly whom: Whom;
        readonly token: TokenKind;
        readonly progress: { percent: number; message: string } | null;
        readonly lines: ("info" | "warn")[];
      }[];
    }
  | { readonly do: "settle"; readonly whom: Whom; readonly token: TokenKind; readonly said: Said }
  | { readonly do: "settle again"; readonly whom: Whom }
  | { readonly do: "edit"; readonly whom: Whom; readonly patch: Patch; readonly dueInMs: number | null }
  | { readonly do: "cancel" | "retry" | "remove" | "get"; readonly whom: Whom }
  | { readonly do: "sweep" }
  | { readonly do: "advance"; readonly ms: number }
  | { readonly do: "list"; readonly filter: Filter; readonly order: Order; readonly limit: number };

const one = <const T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);

const whom = (...groups: readonly Whom["group"][]): fc.Arbitrary<Whom> =>
  fc.record({ group: one(...groups), nth: fc.nat(30) });

const ALMOST_A_RESULT = "a".repeat(1_048_574);
const PATTERNS = ["a", "b", "a.b", "a*", "a.*", "*", "c"] as const;

const name = one("alpha", "beta", "Alpha Gamma");
const description = one("", "delta", "epsilon zeta");
const payload = one(...PAYLOADS.keys());
const tags = fc.uniqueArray(one("x", "y"), { maxLength: 2 });
const maxAttempts = one(1, 2, 3);
const timeoutMs = one(null, null, 60_000);

const spec: fc.Arbitrary<Spec> = fc.record({
  name,
  description,
  type: one("a", "a.b", "b"),
  payload,
  priority: one(0, 0, 0, 1, -1),
  tags,
  key: one(null, null, null, "k", "l"),
  delayMs: one(0, 0, 0, 1_000, 10_000),
  timeoutMs,
  maxAttempts,
  backoff: one({ baseMs: 1_000, maxMs: 3_600_000 }, { baseMs: 2_000, maxMs: 3_000 }, { baseMs: 0, maxMs: 0 }),
});

/** Two tasks of one call never bear one key: whoever calls the engine has seen to that. */
const withoutTwins = (specs: Spec[]): Spec[] =>
  specs.map((each, at) =>
    specs.findIndex(({ key }) => key === each.key) < at ? { ...each, key: null } : each,
  );

const idempotency = fc.option(fc.record({ key: one("i", "j"), body: one("f", "g") }), { freq: 5, nil: null });

const create: fc.Arbitrary<Command> = fc.record({
  do: fc.constant("create"),
  specs: fc
    .oneof(
      { weight: 3, arbitrary: fc.tuple(spec) },
      { weight: 1, arbitrary: fc.array(spec, { minLength: 2, maxLength: 6 }) },
    )
    .map(withoutTwins),
  idempotency,
});

const wish: fc.Arbitrary<Wish> = fc.record({
  worker: one("w1", "w2"),
  types: fc.uniqueArray(one(...PATTERNS), { minLength: 1, maxLength: 3 }),
  max: one(1, 1, 2, 5, 1_000),
  leaseMs: one(1_000, 5_000, 30_000),
});

const token = fc.oneof(
  { weight: 10, arbitrary: fc.constant<TokenKind>("right") },
  { weight: 1, arbitrary: one<TokenKind>("stale", "nonsense") },
);

const said: fc.Arbitrary<Said> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("done"), result: one(null, '"r"', "[]") }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("done"),
      result: one(`"${ALMOST_A_RESULT}"`, `"${ALMOST_A_RESULT}a"`),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("failed"),
      error: one(
        { code: "broken", message: "m" },
        { code: "broken", message: "n" },
        { code: "other", message: "m" },
      ),
      retryable: one(true, true, true, false),
      retryAfterMs: one(null, null, 0, 5_000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("released"), delayMs: one(0, 3_000) }) },
);

const patch: fc.Arbitrary<Patch> = fc.record(
  { name, description, tags, payload, priority: one(0, 5), timeoutMs, maxAttempts },
  { requiredKeys: [] },
);

const filter: fc.Arbitrary<Filter> = fc.record(
  {
    statuses: fc.uniqueArray(one("pending", "running", "done", "failed", "cancelled"), {
      minLength: 1,
      maxLength: 3,
    }),
    types: fc.uniqueArray(one(...PATTERNS), { minLength: 1, maxLength: 2 }),
    tags: fc.uniqueArray(one("x", "y"), { minLength: 1, maxLength: 2 }),
    word: one("alp", "gamma", "zeta", "delta"),
  },
  { requiredKeys: [] },
);

export const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 5, arbitrary: create },
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constant("claim"),
      wishes: fc.oneof(
        { weight: 4, arbitrary: fc.tuple(wish) },
        { weight: 1, arbitrary: fc.array(wish, { minLength: 2, maxLength: 3 }) },
      ),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("extend"),
      beats: fc.array(
        fc.record({
          whom: whom("running", "running", "running", "any"),
          token,
          progress: one(null, { percent: 10, message: "ten" }, { percent: 60, message: "" }),
          lines: fc.array(one("info", "warn"), { maxLength: 3 }),
        }),
        { minLength: 1, maxLength: 3 },
      ),
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constant("settle"),
      whom: whom("running", "running", "running", "running", "any"),
      token,
      said,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("settle again"), whom: whom("pending", "ended", "any") }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("edit"),
      whom: whom("pending", "pending", "any"),
      patch,
      dueInMs: one(null, null, -1_000, 0, 5_000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("cancel"), whom: whom("running", "pending", "any") }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("retry"), whom: whom("ended", "ended", "any") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove"), whom: whom("running", "any") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("get"), whom: whom("any") }) },
  { weight: 4, arbitrary: fc.constant<Command>({ do: "sweep" }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("advance"),
      ms: one(1, 500, 1_000, 1_000, 5_000, 5_000, 15_000, 29_999, 30_000, 61_000, 121_000, 86_400_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("list"),
      filter,
      order: one("id", "-id", "finished_at", "-finished_at"),
      limit: one(1, 3, 100),
    }),
  },
);
