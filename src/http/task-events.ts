/** Changes of tasks as the text of server-sent events. */
import type { Clock } from "../core/clock.ts";
import { isTaskError } from "../core/error.ts";
import { type LightTask, type Status, type TaskId, takesType } from "../core/task.ts";
import type { Maintenance } from "../engine/maintenance.ts";
import type { Change, Position, Watchers } from "../engine/watchers.ts";
import { sleep } from "../lib/waiting.ts";
import { presentState } from "../wire/task-answer.ts";
import { formatPosition } from "./event-position.ts";

export type EventFilter = {
  readonly task?: readonly TaskId[] | undefined;
  readonly type?: readonly string[] | undefined;
  readonly status?: readonly Status[] | undefined;
};

export type TaskEventsSetup = {
  readonly engine: Pick<Watchers, "readMany"> & Pick<Maintenance, "now">;
  readonly clock: Clock;
  readonly filter: EventFilter;
  /** True as soon as the events are no longer wanted. */
  readonly isOver: () => boolean;
};

/** The pause before the store is asked again after an error. */
const ASK_AGAIN_MS = 1_000;
/** How many tasks are read at once. */
const READ_AT_ONCE = 100;
/** A text ends when it has reached this length: a task with a long history has a quarter of a megabyte. */
const TEXT_LENGTH = 262_144;

/**
 * Makes the events of changes, in texts of limited length. The tasks of a text are read when it is asked for.
 */
export function createTaskEvents({ engine, clock, filter, isOver }: TaskEventsSetup) {
  async function* textsOf(changes: readonly Change[], epoch: string): AsyncGenerator<string, void, void> {
    const latest = latestOf(changes, filter);
    for (let at = 0; at < latest.length; at += READ_AT_ONCE) {
      const piece = latest.slice(at, at + READ_AT_ONCE);
      const tasks = await read(piece.filter(({ kind }) => kind !== "deleted").map(({ id }) => id));
      let text = "";
      for (const change of piece) {
        text += textOf(change, tasks, epoch);
        if (text.length < TEXT_LENGTH) continue;
        yield text;
        text = "";
      }
      if (text !== "") yield text;
    }
  }

  /** Asks the store until it answers. */
  async function read(ids: readonly TaskId[]): Promise<ReadonlyMap<TaskId, LightTask>> {
    while (ids.length > 0 && !isOver()) {
      try {
        return await engine.readMany(ids, "light");
      } catch (error) {
        if (!isTaskError(error)) throw error;
        await sleep(clock, ASK_AGAIN_MS);
      }
    }
    return NO_TASKS;
  }

  /**
   * Empty if the filter excludes the task, or if the task was deleted meanwhile: the event of its deletion
   * follows.
   */
  function textOf({ kind, id, rev }: Change, tasks: ReadonlyMap<TaskId, LightTask>, epoch: string): string {
    if (kind === "deleted") return eventText("deleted", { epoch, rev }, `{"id":${id}}`);
    const task = tasks.get(id);
    if (task === undefined || !takes(filter, task)) return "";
    return eventText("task", { epoch, rev }, presentState(task, engine.now()));
  }

  return { textsOf };
}

const NO_TASKS: ReadonlyMap<TaskId, LightTask> = new Map();

export const idLine = (position: Position): string => `id: ${formatPosition(position)}\n`;

/** JSON contains no line breaks, so it fits in one line. */
export const eventText = (event: string, position: Position, json: string): string =>
  `${idLine(position)}event: ${event}\ndata: ${json}\n\n`;

/**
 * The last change of each task, in the order of the log. A client can resume from the id of each event:
 * earlier changes have been sent, or a later change of the same task follows.
 */
function latestOf(changes: readonly Change[], { task: ids }: EventFilter): Change[] {
  const wanted = ids === undefined ? null : new Set(ids);
  const latest = new Map<TaskId, Change>();
  for (const change of changes) {
    if (wanted?.has(change.id) === false) continue;
    latest.delete(change.id);
    latest.set(change.id, change);
  }
  return [...latest.values()];
}

const takes = ({ type: types, status: statuses }: EventFilter, task: LightTask): boolean =>
  (types === undefined || types.some((pattern) => takesType(pattern, task.type))) &&
  (statuses === undefined || statuses.includes(task.status));
