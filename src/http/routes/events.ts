/** What happens to tasks, as server-sent events. */
import { z } from "zod";
import type { Clock } from "../../core/clock.ts";
import { isTaskError } from "../../core/error.ts";
import { type LightTask, MAX_TASK_ID, type TaskId, TYPE_PATTERN, takesType } from "../../core/task.ts";
import type { Maintenance } from "../../engine/maintenance.ts";
import type { Change, Position, Watchers } from "../../engine/watchers.ts";
import { errorText, type Log } from "../../lib/log.ts";
import { sleep } from "../../lib/waiting.ts";
import { membersOf } from "../../wire/list-schema.ts";
import { TaskStatus } from "../../wire/shared-schemas.ts";
import { presentState } from "../../wire/task-answer.ts";
import { validate } from "../../wire/validate.ts";
import { formatPosition, parsePosition } from "../event-position.ts";
import { createEventStream, type EventStream } from "../event-stream.ts";
import { LAST_EVENT_ID } from "../header-schemas.ts";
import { wholeNumber } from "../query-schemas.ts";
import { queryOf } from "../request-path.ts";
import type { Call, Route } from "../route.ts";

/** Each change is looked up among them, in one step; it is the length of a URL that bounds their number. */
const TASKS_FOLLOWED = 10_000;

const EventsQuery = z.strictObject({
  task: membersOf(wholeNumber(1, MAX_TASK_ID), "tasks", TASKS_FOLLOWED)
    .optional()
    .meta({ description: "Of these tasks alone" }),
  type: membersOf(z.string().regex(TYPE_PATTERN, "must be a type, or a prefix ending in *"), "types")
    .optional()
    .meta({ description: "Of these types alone; a prefix may end in `*`", examples: [["video.*"]] }),
  status: membersOf(TaskStatus, "statuses")
    .optional()
    .meta({ description: "Tasks alone whose present status is one of these" }),
});
type EventsQuery = z.output<typeof EventsQuery>;

export type EventsSetup = {
  readonly engine: Pick<Watchers, "follow" | "look" | "position"> & Pick<Maintenance, "now">;
  readonly clock: Clock;
  readonly log: Log;
};

const SSE = "text/event-stream";
const HEADERS = { "content-type": SSE, "x-accel-buffering": "no" };

/** How soon a client that was cut comes back. */
const RETRY_MS = 1_000;
/** How soon a store that did not answer is asked again. */
const ASK_AGAIN_MS = 1_000;
/** Tasks that are read in one go. */
const PIECE = 100;
const SENT_AT_ONCE = 262_144;

const DESCRIPTION = `Server-sent events. \`event: task\` has the task as in GET /api/task/{id}, without payload and
result; \`event: deleted\` has \`{"id":7}\`; \`event: reset\` has \`{}\`. Each has an opaque \`id\`: a client that comes back
with it in Last-Event-ID misses no task's latest state and no deletion. An id that is too old (the log of changes goes back
an hour, or 100,000 changes) or of another store is answered with \`reset\`: read the tasks anew, then go on. Without
Last-Event-ID the stream begins at the present.

An event tells the state in which the task is when it is sent: of several changes in a row a client may see the last alone.
With \`status\` a task is told of while its status is one of these; that it has left them is not told, so a client that
mirrors a filtered list takes all statuses and drops what it does not show. Of a deleted task nothing is known but its id:
with \`task\` the deletions of these ids are told, with \`type\` or \`status\` alone those of all tasks.

A comment comes every 15 seconds when nothing else does. A client that is 256 KiB behind and takes nothing is cut.`;

export function createEventRoutes({ engine, clock, log }: EventsSetup) {
  const streams = new Set<EventStream>();

  const events: Route = {
    id: "watchTasks",
    summary: "Follow what happens to tasks, as server-sent events",
    access: "read",
    description: DESCRIPTION,
    query: EventsQuery,
    requestHeaders: { "Last-Event-ID": LAST_EVENT_ID },
    answers: {
      200: {
        description: "The events, until the client or the server ends them",
        schema: z.string().meta({ description: "Server-sent events" }),
        mediaType: SSE,
      },
    },
    problems: [],
    run: async (call) => {
      const filter = validate(EventsQuery, queryOf(call.request, ["task", "type", "status"]));
      if (call.request.method === "HEAD") return call.reply(200, null, HEADERS);
      const lastEventId = call.headers["last-event-id"] ?? "";
      const from = lastEventId === "" ? await engine.position() : parsePosition(lastEventId);
      // Even who sees no event can come back to where it began; who brought an id knows one.
      const firstLines = `: connected\nretry: ${RETRY_MS}\n${lastEventId === "" ? idLine(from) : ""}\n`;
      return open(call, { filter, from, firstLines });
    },
  };

  type Opening = { readonly filter: EventsQuery; readonly from: Position; readonly firstLines: string };

  function open(call: Call, { filter, from, firstLines }: Opening): Response {
    const reader = engine.follow(from);
    let reached = from; // everything up to here is sent
    const stream = createEventStream({
      clock,
      heartbeat: () => `: still here\n${idLine(reached)}\n`,
      onStuck: call.cut,
      onOver: () => {
        reader.close();
        streams.delete(stream);
      },
    });
    streams.add(stream);

    async function feed(): Promise<void> {
      let isOpen = await stream.send(firstLines);
      while (isOpen) {
        const page = await reader.next();
        if (page === null) return;
        if (page.kind === "gone") isOpen = await stream.send(eventText("reset", page.position, "{}"));
        else isOpen = await sendAll(latestOf(page.changes, filter), page.position.epoch);
        reached = page.position;
      }
    }

    async function sendAll(changes: readonly Change[], epoch: string): Promise<boolean> {
      for (let at = 0; at < changes.length; at += PIECE) {
        const piece = changes.slice(at, at + PIECE);
        const tasks = await look(piece.filter(({ kind }) => kind !== "deleted").map(({ id }) => id));
        if (!(await sendTexts(piece, tasks, epoch))) return false;
      }
      return !stream.isOver;
    }

    /** Some hundred kilobytes at once: a task with a long history has a quarter of a megabyte. */
    async function sendTexts(
      changes: readonly Change[],
      tasks: ReadonlyMap<TaskId, LightTask>,
      epoch: string,
    ): Promise<boolean> {
      let text = "";
      for (const change of changes) {
        text += textOf(change, tasks, epoch);
        if (text.length < SENT_AT_ONCE) continue;
        if (!(await stream.send(text))) return false;
        text = "";
      }
      return text === "" || stream.send(text);
    }

    /** A store that does not answer is asked until it does; the stream stays open meanwhile. */
    async function look(ids: readonly TaskId[]): Promise<ReadonlyMap<TaskId, LightTask>> {
      while (ids.length > 0 && !stream.isOver) {
        try {
          return await engine.look(ids, "light");
        } catch (error) {
          if (!isTaskError(error)) throw error;
          await sleep(clock, ASK_AGAIN_MS);
        }
      }
      return NO_TASKS;
    }

    /** Nothing for what the filter does not take, nor for a task that has gone since: its deletion follows. */
    function textOf({ kind, id, rev }: Change, tasks: ReadonlyMap<TaskId, LightTask>, epoch: string): string {
      if (kind === "deleted") return eventText("deleted", { epoch, rev }, `{"id":${id}}`);
      const task = tasks.get(id);
      if (task === undefined || !takes(filter, task)) return "";
      return eventText("task", { epoch, rev }, presentState(task, engine.now()));
    }

    feed().catch((error: unknown) => {
      log.error("events_failed", { request_id: call.requestId, error: errorText(error) });
      stream.close();
    });
    return call.reply(200, stream.body, HEADERS);
  }

  return {
    events,
    /** Ends all streams; their clients come back with the id of their last event. */
    close: () => {
      for (const stream of [...streams]) stream.close();
    },
  };
}

const NO_TASKS: ReadonlyMap<TaskId, LightTask> = new Map();

const idLine = (position: Position): string => `id: ${formatPosition(position)}\n`;

/** JSON has no line ends of its own, so one line holds it. */
const eventText = (event: string, position: Position, json: string): string =>
  `${idLine(position)}event: ${event}\ndata: ${json}\n\n`;

/**
 * The last change of each task, in their order in the log. The id of each event may be resumed from: what came before it
 * in the log has been sent, or is followed by a later change of the same task.
 */
function latestOf(changes: readonly Change[], { task: ids }: EventsQuery): Change[] {
  const wanted = ids === undefined ? null : new Set(ids);
  const latest = new Map<TaskId, Change>();
  for (const change of changes) {
    if (wanted?.has(change.id) === false) continue;
    latest.delete(change.id);
    latest.set(change.id, change);
  }
  return [...latest.values()];
}

const takes = ({ type: types, status: statuses }: EventsQuery, task: LightTask): boolean =>
  (types === undefined || types.some((pattern) => takesType(pattern, task.type))) &&
  (statuses === undefined || statuses.includes(task.status));
