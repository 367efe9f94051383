/** Changes of tasks as server-sent events. */
import { z } from "zod";
import type { Clock } from "../../core/clock.ts";
import { MAX_TASK_ID, TYPE_PATTERN } from "../../core/task.ts";
import type { Maintenance } from "../../engine/maintenance.ts";
import type { Change, Position, Watchers } from "../../engine/watchers.ts";
import { errorText, type Log } from "../../lib/log.ts";
import { membersOf } from "../../wire/list-schema.ts";
import { TaskStatus } from "../../wire/shared-schemas.ts";
import { validate } from "../../wire/validate.ts";
import { parsePosition } from "../event-position.ts";
import { createEventStream, type EventStream } from "../event-stream.ts";
import { LAST_EVENT_ID } from "../header-schemas.ts";
import { wholeNumber } from "../query-schemas.ts";
import { queryOf } from "../request-path.ts";
import type { Call, Route } from "../route.ts";
import { createTaskEvents, eventText, idLine } from "../task-events.ts";

/** A change is looked up among them in constant time. The length of a URL is the actual limit. */
const TASKS_FOLLOWED = 10_000;

const EventsQuery = z.strictObject({
  task: membersOf(wholeNumber(1, MAX_TASK_ID), "tasks", TASKS_FOLLOWED)
    .optional()
    .meta({ description: "Only events of these tasks" }),
  type: membersOf(z.string().regex(TYPE_PATTERN, "must be a type, or a prefix ending in *"), "types")
    .optional()
    .meta({ description: "Only events of these types; a prefix may end in `*`", examples: [["video.*"]] }),
  status: membersOf(TaskStatus, "statuses")
    .optional()
    .meta({ description: "Only events of tasks that have one of these statuses now" }),
});
type EventsQuery = z.output<typeof EventsQuery>;

export type EventsSetup = {
  readonly engine: Pick<Watchers, "follow" | "readMany" | "position"> & Pick<Maintenance, "now">;
  readonly clock: Clock;
  readonly log: Log;
};

const SSE = "text/event-stream";
const HEADERS = { "content-type": SSE, "x-accel-buffering": "no" };

/** How soon a client whose connection was closed reconnects. */
const RETRY_MS = 1_000;

const DESCRIPTION = `Server-sent events. \`event: task\` has the task as in GET /api/task/{id}, without payload and
result; \`event: deleted\` has \`{"id":7}\`; \`event: reset\` has \`{}\`. Each has an opaque \`id\`: a client that reconnects
with it in Last-Event-ID misses no latest state of a task and no deletion. If the id is too old (the change log covers an hour,
or 100,000 changes) or of another store, the stream begins with \`reset\`: read the tasks again, then continue. Without
Last-Event-ID the stream begins with the next change.

An event shows the state of the task at the time of sending: of several changes in a row, a client may receive only the last.
With \`status\` there are events of a task while it has one of these statuses, and none when it leaves them. A client that
mirrors a filtered list must therefore follow all statuses and drop the tasks that it does not show. Of a deleted task only the
id is known: with \`task\` there are events for deletions of these ids, with \`type\` or \`status\` alone for all deletions.

A comment is sent after 15 seconds without an event. A client that is 256 KiB behind and reads nothing is disconnected.`;

export function createEventRoutes({ engine, clock, log }: EventsSetup) {
  const streams = new Set<EventStream>();

  const events: Route = {
    id: "watchTasks",
    summary: "Follow the changes of tasks as server-sent events",
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
      // A client that receives no event needs an id to reconnect with; a client that sent an id has one.
      const firstLines = `: connected\nretry: ${RETRY_MS}\n${lastEventId === "" ? idLine(from) : ""}\n`;
      return open(call, { filter, from, firstLines });
    },
  };

  type Opening = { readonly filter: EventsQuery; readonly from: Position; readonly firstLines: string };

  function open(call: Call, { filter, from, firstLines }: Opening): Response {
    const reader = engine.follow(from);
    let reached = from; // all changes up to here are sent
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
    const taskEvents = createTaskEvents({ engine, clock, filter, isOver: () => stream.isOver });

    async function feed(): Promise<void> {
      let isOpen = await stream.send(firstLines);
      while (isOpen) {
        const page = await reader.next();
        if (page === null) return;
        if (page.kind === "gone") isOpen = await stream.send(eventText("reset", page.position, "{}"));
        else isOpen = await sendAll(page.changes, page.position.epoch);
        reached = page.position;
      }
    }

    async function sendAll(changes: readonly Change[], epoch: string): Promise<boolean> {
      for await (const text of taskEvents.textsOf(changes, epoch)) {
        if (!(await stream.send(text))) return false;
      }
      return !stream.isOver;
    }

    feed().catch((error: unknown) => {
      log.error("events_failed", { request_id: call.requestId, error: errorText(error) });
      stream.close();
    });
    return call.reply(200, stream.body, HEADERS);
  }

  return {
    events,
    /** Ends all streams. Their clients reconnect with the id of their last event. */
    close: () => {
      for (const stream of [...streams]) stream.close();
    },
  };
}
