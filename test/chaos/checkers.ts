/**
 * The invariants of a recorded history. Each checker returns its violations, one sentence each. checkers.test.ts shows that each of them
 * finds its faults.
 */
import type { Task } from "../../src/core/task.ts";
import type { Execution } from "./history.ts";
import type { Asked } from "./load.ts";

// ---- creates

type Stored = { readonly id: number; readonly name: string };

/** Every acknowledged create is stored once under its name, a create without an answer at most once, and nothing else. */
export function faultsOfCreates(asked: readonly Asked[], stored: readonly Stored[]): string[] {
  const byId = new Map(stored.map(({ id, name }) => [id, name]));
  const given = new Map<number, string>();
  const faults = stored.length === byId.size ? [] : ["an id is listed twice"];
  for (const { id, name } of asked) {
    if (id === null) continue;
    const before = given.get(id);
    if (before !== undefined) faults.push(`id ${id} was given to "${before}" and to "${name}"`);
    given.set(id, name);
    const found = byId.get(id);
    if (found === undefined) faults.push(`task ${id} "${name}" was acknowledged and is lost`);
    else if (found !== name) faults.push(`task ${id} was acknowledged as "${name}" and is "${found}"`);
  }
  return [...faults, ...faultsOfNames(asked, stored)];
}

function faultsOfNames(asked: readonly Asked[], stored: readonly Stored[]): string[] {
  const names = new Set(asked.map(({ name }) => name));
  const seen = new Set<string>();
  return stored.flatMap(({ id, name }) => {
    if (!names.has(name)) return [`no create had the name of task ${id} "${name}"`];
    if (seen.has(name)) return [`"${name}" was asked for once and is there twice`];
    seen.add(name);
    return [];
  });
}

/** Clients get only success, and 503 with Retry-After. */
export function faultsOfAnswers(asked: readonly Asked[]): string[] {
  return asked.flatMap(({ name, status, retryAfter }) => {
    if (status === 201) return [];
    if (status === null) return [`the connection of "${name}" broke`];
    if (status !== 503) return [`"${name}" was answered ${status}`];
    return retryAfter !== null && /^[1-9]\d*$/.test(retryAfter)
      ? []
      : [`the 503 of "${name}" has no Retry-After`];
  });
}

// ---- runs

/** No task is run by two workers at the same time. */
export function faultsOfExecutions(executions: readonly Execution[]): string[] {
  const ordered = executions.toSorted((a, b) => a.taskId - b.taskId || a.from - b.from);
  return ordered.flatMap((next, at) => {
    const before = ordered[at - 1];
    if (before?.taskId !== next.taskId) return [];
    if (before.until !== null && before.until <= next.from) return [];
    return [
      `task ${next.taskId} ran in ${before.pid} from ${before.from} to ${before.until} and in ${next.pid} from ${next.from}`,
    ];
  });
}

/**
 * Checks a task that was not edited, cancelled or released. It has ended once, with the outcome of its last attempt. No two leases
 * overlap. Starts, claims and versions increase by one.
 */
export function faultsOfLife(task: Task): string[] {
  const { id, attempts, status } = task;
  const faults: string[] = [];
  const expect = (holds: boolean, what: string): void => {
    if (!holds) faults.push(`task ${id}: ${what}`);
  };
  const last = attempts.at(-1);
  expect(task.finishedAt !== null, `is ${status}`);
  expect(last?.outcome === (status === "failed" ? "lost" : "done"), `is ${status} after ${last?.outcome}`);
  for (const [at, attempt] of attempts.entries()) {
    const before = attempts[at - 1];
    expect(attempt.attempt === at + 1, `start ${at + 1} has number ${attempt.attempt}`);
    expect(attempt.finishedAt >= attempt.startedAt, `attempt ${at + 1} ends before it starts`);
    if (before === undefined) continue;
    expect(before.outcome === "lost", `attempt ${at + 1} follows one that was ${before.outcome}`);
    expect(before.finishedAt <= attempt.startedAt, `leases ${at} and ${at + 1} were alive at once`);
  }
  expect(task.claims === attempts.length, `${task.claims} claims made ${attempts.length} attempts`);
  expect(
    task.version === 1 + 2 * attempts.length,
    `has version ${task.version} after ${attempts.length} attempts`,
  );
  return faults;
}

// ---- claims

/** The claims of a claimer. */
export type Claim = { readonly id: number; readonly claims: number; readonly released: boolean };

/** Each task was claimed 1, 2, 3 … times, each count by one claimer only, and only released tasks were claimed again. */
export function faultsOfClaims(given: readonly Claim[], ids: readonly number[]): string[] {
  const byTask = Map.groupBy(given, ({ id }) => id);
  const unknown = [...new Set(byTask.keys()).difference(new Set(ids))];
  return [
    ...unknown.map((id) => `task ${id} was claimed and never made`),
    ...ids.flatMap((id) => faultsOfClaimsOf(id, byTask.get(id) ?? [])),
  ];
}

function faultsOfClaimsOf(id: number, given: readonly Claim[]): string[] {
  const ordered = given.toSorted((a, b) => a.claims - b.claims);
  if (ordered.length === 0) return [`task ${id} was never claimed`];
  return ordered.flatMap(({ claims, released }, at) => {
    if (claims !== at + 1) return [`task ${id}: claim ${at + 1} has number ${claims}`];
    if (released === (at === ordered.length - 1)) {
      return [
        `task ${id}: claim ${claims} was ${released ? "released and not claimed again" : "not the last"}`,
      ];
    }
    return [];
  });
}

// ---- changes

/** A change that a writer has written, or a reader has read. */
export type Seen = {
  readonly id: number;
  readonly version: number;
  readonly kind: "created" | "changed" | "deleted";
};

/** The reader has read every written change once, in order for each task, and nothing else. */
export function faultsOfReading(written: readonly Seen[], read: readonly Seen[]): string[] {
  const expected = new Set(written.map(nameOf));
  const seen = new Set<string>();
  const latest = new Map<number, number>();
  const faults: string[] = [];
  for (const change of read) {
    const name = nameOf(change);
    if (!expected.has(name)) faults.push(`${name} was read and not written`);
    if (seen.has(name)) faults.push(`${name} was read twice`);
    seen.add(name);
    const place = placeOf(change);
    if (place < (latest.get(change.id) ?? 0)) faults.push(`${name} was read too late`);
    latest.set(change.id, place);
  }
  for (const name of expected) if (!seen.has(name)) faults.push(`${name} was missed`);
  return faults;
}

const nameOf = ({ id, version, kind }: Seen): string =>
  kind === "deleted" ? `the deletion of task ${id}` : `version ${version} of task ${id}`;

/** A deletion is the last change of a task. */
const placeOf = ({ version, kind }: Seen): number =>
  kind === "deleted" ? Number.POSITIVE_INFINITY : version;

// ---- views

/** The state of a task in a client's view: enough to distinguish all states. */
export type View = ReadonlyMap<number, string>;

/** The differences between a client's view and the store. */
export function faultsOfView(view: View, stored: View): string[] {
  const missing = [...stored].flatMap(([id, state]) =>
    view.get(id) === state ? [] : [`task ${id} is ${state}, the client sees ${view.get(id) ?? "nothing"}`],
  );
  const gone = [...view].flatMap(([id, state]) =>
    stored.has(id) ? [] : [`task ${id} is gone, the client sees ${state}`],
  );
  return [...missing, ...gone];
}
