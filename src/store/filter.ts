/**
 * The conditions of a filter, in one place: the compiler refuses a condition that is in neither table. A condition that is not in
 * `BY_GROUP` is not known to the counts by type and status, so tasks are counted by reading them.
 */
import { expiresAt, isOverlong } from "../core/lease.ts";
import { wider } from "../core/parts.ts";
import { matchesSearch } from "../core/search.ts";
import {
  ENDED_STATUSES,
  hasLabel,
  isRunning,
  type Parts,
  STATUSES,
  type Status,
  type Task,
  takesType,
} from "../core/task.ts";
import type { TaskFilter } from "./store.ts";

type Name = keyof TaskFilter;
type Wanted<N extends Name> = NonNullable<TaskFilter[N]>;

/** What all tasks of one count have in common. */
export type Group = Pick<Task, "type" | "status">;
type GroupCondition<N extends Name> = (wanted: Wanted<N>, group: Group) => boolean;

type TaskCondition<N extends Name> = {
  /** The parts of a task that the condition reads. */
  readonly parts: Parts;
  /** Which statuses a task must have for this. */
  readonly statuses: readonly Status[];
  readonly takes: (wanted: Wanted<N>, task: Task) => boolean;
};

const BY_GROUP = {
  statuses: (wanted, { status }) => wanted.includes(status),
  types: (wanted, { type }) => wanted.some((pattern) => takesType(pattern, type)),
} as const satisfies { readonly [N in Name]?: GroupCondition<N> };

const BY_TASK: { readonly [N in Exclude<Name, keyof typeof BY_GROUP>]-?: TaskCondition<N> } = {
  tags: {
    parts: "light",
    statuses: STATUSES,
    takes: (wanted, task) => wanted.every((tag) => task.tags.includes(tag)),
  },
  labels: {
    parts: "light",
    statuses: STATUSES,
    takes: (wanted, task) => wanted.every((label) => hasLabel(task.labels, label)),
  },
  search: {
    parts: "whole",
    statuses: STATUSES,
    takes: (wanted, task) => matchesSearch(task, wanted),
  },
  finishedBefore: {
    parts: "light",
    statuses: ENDED_STATUSES,
    takes: (time, { finishedAt }) => finishedAt !== null && finishedAt < time,
  },
  expiredAt: {
    parts: "head",
    statuses: ["running"],
    takes: (time, task) => isRunning(task) && expiresAt(task) <= time,
  },
  overlongAt: {
    parts: "head",
    statuses: ["running"],
    takes: (time, task) => isRunning(task) && isOverlong(task, time),
  },
};

const GROUP_NAMES = Object.keys(BY_GROUP) as (keyof typeof BY_GROUP)[]; // its own keys
const TASK_NAMES = Object.keys(BY_TASK) as (keyof typeof BY_TASK)[]; // its own keys; the cheapest conditions first

/** The conditions that the filter has. */
export const conditionsOf = (filter: TaskFilter): readonly Name[] =>
  [...GROUP_NAMES, ...TASK_NAMES].filter((name) => filter[name] !== undefined);

const taskConditionsOf = (filter: TaskFilter) => TASK_NAMES.filter((name) => filter[name] !== undefined);

/** The parts of a task that `takes` reads for this filter. */
export const partsFor = (filter: TaskFilter): Parts =>
  taskConditionsOf(filter).reduce<Parts>((parts, name) => wider(parts, BY_TASK[name].parts), "head");

/** Whether the counts by type and status know how many tasks the filter takes; not if it has any other condition. */
export const isCounted = (filter: TaskFilter): boolean =>
  Object.entries(filter).every(([name, wanted]) => wanted === undefined || name in BY_GROUP);

/** Whether the filter may take tasks of this type and status: its other conditions are not checked. */
export function takesGroup(filter: TaskFilter, group: Group): boolean {
  for (const name of GROUP_NAMES) {
    // The condition and the value have the same name, but the compiler cannot see that for a union of names.
    const takesIt = BY_GROUP[name] as GroupCondition<Name>;
    const wanted = filter[name];
    if (wanted !== undefined && !takesIt(wanted, group)) return false;
  }
  return true;
}

/** Whether the filter takes the task. Stores find candidates by an index; this decides. */
export function takes(filter: TaskFilter, task: Task): boolean {
  if (!takesGroup(filter, task)) return false;
  for (const name of TASK_NAMES) {
    const condition = BY_TASK[name] as TaskCondition<Name>; // as in `takesGroup`
    const wanted = filter[name];
    if (wanted !== undefined && !condition.takes(wanted, task)) return false;
  }
  return true;
}

/** The statuses of the tasks that the filter can take, in the order of STATUSES. */
export function possibleStatuses(filter: TaskFilter): readonly Status[] {
  const conditions = taskConditionsOf(filter).map((name) => BY_TASK[name].statuses);
  return STATUSES.filter(
    (status) =>
      (filter.statuses?.includes(status) ?? true) &&
      conditions.every((statuses) => statuses.includes(status)),
  );
}
