import { expect, test } from "bun:test";
import type { z } from "zod";
import type { ListQuery } from "../http/list-query.ts";
import type { BulkBody } from "../http/routes/bulk.ts";
import type { ExplainAnswer } from "../http/routes/explain.ts";
import type { ReadyAnswer } from "../http/routes/health.ts";
import type { StatsAnswer } from "../http/routes/stats.ts";
import type { LogAnswer } from "../http/routes/task.ts";
import type { TaskAnswer, Wire } from "../wire/task-answer.ts";
import type { PatchBody, TaskInput } from "../wire/task-input.ts";
import type {
  BulkRequest,
  Explanation,
  LogLine,
  Ready,
  Stats,
  Task,
  TaskFilter,
  TaskPatch,
  TaskQuery,
  TaskSpec,
} from "./types.ts";

/** The names of the fields that only one side has. */
type Unshared<A, B> = Exclude<keyof A, keyof B> | Exclude<keyof B, keyof A>;

/** In addition, the names of the fields whose values one side sends and the other side cannot receive. */
type Differing<Sent, Received> =
  | Unshared<Sent, Received>
  | {
      [K in keyof Sent & keyof Received]-?: Sent[K] extends Received[K] ? never : K;
    }[keyof Sent & keyof Received];

/** A request as the server reads it. A field that is undefined is not sent. */
type Read<T> = { [K in keyof T]: (unknown extends T[K] ? unknown : Readonly<T[K]>) | undefined };

/** A request as the SDK sends it: without `payloadText`, and with dates as text. */
type Written<T> = { [K in keyof T as K extends "payloadText" ? never : K]: Exclude<T[K], Date> };

type None<T extends Record<string, never>> = keyof T;

/** Does not compile while the SDK and the server differ. The error of the compiler names the fields. */
type Compared = None<{
  task: Differing<Wire<typeof TaskAnswer>, Task>;
  logLine: Differing<Wire<typeof LogAnswer>[number], LogLine>;
  explanation: Differing<Wire<typeof ExplainAnswer>, Explanation>;
  stats: Differing<Wire<typeof StatsAnswer>, Stats>;
  ready: Unshared<Wire<typeof ReadyAnswer>, Ready>;
  taskSpec: Differing<Written<TaskSpec>, Read<z.input<typeof TaskInput>>>;
  taskPatch: Differing<Written<TaskPatch>, Read<z.input<typeof PatchBody>>>;
  taskQuery: Unshared<TaskQuery, Omit<z.input<typeof ListQuery>, "view">>;
  taskFilter: Differing<TaskFilter, Read<z.input<typeof BulkBody>["filter"]>>;
  bulkRequest: Unshared<BulkRequest, Omit<z.input<typeof BulkBody>, "dry_run">>;
}>;

test("the SDK and the server know the same fields", () => {
  const compared: readonly Compared[] = ["task", "taskSpec", "taskPatch", "taskQuery", "stats"];
  expect(compared).not.toBeEmpty(); // the compiler has compared them
});
