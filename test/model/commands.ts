/** The random commands: plain data, so that a failing run can be read, shrunk and typed in again. */
import fc from "fast-check";
import { type Filter, type Order, PAYLOADS, type Patch, type Said, type Spec, type Wish } from "./model.ts";

/** The task of a command: the nth of a group at that moment; the nth of all tasks if the group is empty; any id if there are no tasks. */
export type Whom = { readonly group: "running" | "pending" | "ended" | "any"; readonly nth: number };
export type TokenKind = "right" | "stale" | "nonsense";

/** The steps on one task in one command. */
export type Step =
  | {
      readonly do: "extend";
      readonly whom: Whom;
      readonly token: TokenKind;
      readonly progress: { percent: number; message: string } | null;
      readonly lines: ("info" | "warn")[];
    }
  | { readonly do: "settle"; readonly whom: Whom; readonly token: TokenKind; readonly said: Said }
  | { readonly do: "settle again"; readonly whom: Whom }
  | {
      readonly do: "edit";
      readonly whom: Whom;
      readonly patch: Patch;
      readonly dueInMs: number | null;
      readonly callKey: CallKey;
    }
  | { readonly do: "cancel" | "retry" | "remove"; readonly whom: Whom; readonly callKey: CallKey }
  | { readonly do: "get"; readonly whom: Whom };

/** The idempotency key of a call that changes a task; there are few keys, so that a key is used again by the same call and by others. */
export type CallKey = "m" | "n" | null;

export type Command =
  | Step
  /** All in one turn of the event loop, and all on the task of the first one. */
  | { readonly do: "at once"; readonly steps: Step[] }
  | {
      readonly do: "create";
      readonly specs: Spec[];
      readonly idempotency: { key: string; body: string } | null;
    }
  | { readonly do: "claim"; readonly wishes: Wish[] }
  | { readonly do: "sweep" }
  | { readonly do: "advance"; readonly ms: number }
  | {
      readonly do: "list";
      readonly filter: Filter;
      /** Times in the filter, from now. */
      readonly endedBeforeMs: number | null;
      readonly expiredAtMs: number | null;
      readonly order: Order;
      readonly limit: number;
    };

/** Short names for results that are too long to print: the longest that is accepted, and one that is not. */
export const LONG_RESULTS = new Map([
  ["1 MiB", `"${"a".repeat(1_048_574)}"`],
  ["1 MiB and a byte", `"${"a".repeat(1_048_575)}"`],
]);

const one = <const T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);

const whom = (...groups: readonly Whom["group"][]): fc.Arbitrary<Whom> =>
  fc.record({ group: one(...groups), nth: fc.nat(30) });

const PATTERNS = ["a", "b", "a.b", "a*", "a.*", "*", "c"] as const;

const SHORT = one(1, 500, 1_000, 1_000, 3_000);
const LONG = one(5_000, 15_000, 29_999, 30_000, 60_000, 120_000);
const DAY = fc.constant(86_400_000);

const name = one("alpha", "beta", "Alpha Gamma");
const description = one("", "delta", "epsilon zeta");
const payload = one(...PAYLOADS.keys());
const tags = fc.uniqueArray(one("x", "y"), { maxLength: 2 });
const labels = one<Record<string, string>>({}, {}, { l: "1" }, { l: "2", m: "1" });
const maxAttempts = one(1, 2, 3);
const timeoutMs = one(null, null, 60_000);

const spec: fc.Arbitrary<Spec> = fc.record({
  name,
  description,
  type: one("a", "a.b", "b"),
  payload,
  priority: one(0, 0, 0, 1, -1),
  tags,
  labels,
  key: one(null, null, null, "k", "l"),
  delayMs: one(0, 0, 0, 1_000, 10_000),
  timeoutMs,
  maxAttempts,
  backoff: one({ baseMs: 1_000, maxMs: 3_600_000 }, { baseMs: 2_000, maxMs: 3_000 }, { baseMs: 0, maxMs: 0 }),
});

/** Two tasks of one call never have the same key: the callers of the engine ensure that. */
const withoutTwins = (specs: Spec[]): Spec[] =>
  specs.map((each, at) =>
    specs.findIndex(({ key }) => key === each.key) < at ? { ...each, key: null } : each,
  );

const idempotency = fc.oneof(
  { weight: 4, arbitrary: fc.constant(null) },
  { weight: 1, arbitrary: fc.record({ key: one("i", "j"), body: one("f", "g") }) },
);

const createSome = (least: number, most: number): fc.Arbitrary<Command> =>
  fc.record({
    do: fc.constant("create"),
    specs: fc.array(spec, { minLength: least, maxLength: most }).map(withoutTwins),
    idempotency,
  });
const create = fc.oneof(
  { weight: 3, arbitrary: createSome(1, 1) },
  { weight: 1, arbitrary: createSome(2, 6) },
);

const wish: fc.Arbitrary<Wish> = fc.record({
  worker: one("w1", "w2"),
  types: fc.uniqueArray(one(...PATTERNS), { minLength: 1, maxLength: 3 }),
  max: one(1, 1, 2, 5, 1_000),
  leaseMs: one(1_000, 5_000, 30_000, 30_000, 120_000, 120_000),
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
      result: one(...LONG_RESULTS.keys()),
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
  { name, description, tags, labels, payload, priority: one(0, 5), timeoutMs, maxAttempts },
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
    labels: fc.uniqueArray(one("l:1", "l:2", "m:1"), { minLength: 1, maxLength: 2 }),
    word: one("alp", "gamma", "zeta", "delta"),
  },
  { requiredKeys: [] },
);

const callKey = one<CallKey>(null, null, null, "m", "n");

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("extend"),
      whom: whom("running", "running", "running", "any"),
      token,
      progress: one(null, { percent: 10, message: "ten" }, { percent: 60, message: "" }),
      lines: fc.array(one("info", "warn"), { maxLength: 3 }),
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
      callKey,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("cancel"), whom: whom("running", "pending", "any"), callKey }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("retry"), whom: whom("ended", "ended", "any"), callKey }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove"), whom: whom("running", "any"), callKey }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("get"), whom: whom("any") }) },
);

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 20, arbitrary: step },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("at once"),
      steps: fc.array(step, { minLength: 2, maxLength: 3 }),
    }),
  },
  { weight: 7, arbitrary: create },
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constant("claim"),
      wishes: fc.oneof(
        { weight: 4, arbitrary: fc.tuple(wish) },
        { weight: 1, arbitrary: fc.array(wish, { minLength: 2, maxLength: 3 }) },
      ),
    }),
  },
  { weight: 4, arbitrary: fc.constant<Command>({ do: "sweep" }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("advance"),
      ms: fc.oneof(
        { weight: 20, arbitrary: SHORT },
        { weight: 9, arbitrary: LONG },
        { weight: 1, arbitrary: DAY },
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("list"),
      filter,
      endedBeforeMs: one(null, null, null, 0, -1_000, -5_000),
      expiredAtMs: one(null, null, null, 0, 5_000),
      order: one("id", "-id", "finished_at", "-finished_at"),
      limit: one(1, 3, 100),
    }),
  },
);

/** There are tasks from the start. */
export const commands: fc.Arbitrary<Command[]> = fc
  .tuple(createSome(1, 6), fc.array(command, { minLength: 1, maxLength: 60, size: "max" }))
  .map(([first, rest]) => [first, ...rest]);
