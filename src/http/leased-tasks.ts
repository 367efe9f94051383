/** Tasks with their leases, as answers to workers show them. */
import { z } from "zod";
import { formatDurationMs } from "../core/duration.ts";
import type { RunningTask } from "../core/task.ts";
import { textSize } from "../core/text-size.ts";
import { presentTask, TaskAnswer } from "../wire/task-answer.ts";
import type { LazyText } from "./json-list.ts";

export const expiresIn = z.string().meta({
  description: "A Go duration that begins when the request is sent",
  examples: ["30s"],
});
const LeaseAnswer = z
  .object({
    token: z.string().meta({ description: "To be sent with each report about the task" }),
    expires_in: expiresIn,
  })
  .meta({ id: "Lease", description: "The lease of a worker on a task" });
export const LeasedTask = TaskAnswer.extend({ lease: LeaseAnswer }).meta({
  id: "LeasedTask",
  description: "A task with the lease of its worker",
});

/**
 * `expires_in` counts from now, although the lease began earlier: an answer never promises more time than is
 * left.
 */
export const leasedTexts = (tasks: readonly RunningTask[], now: number): LazyText[] =>
  tasks.map((task) => ({ size: textSize(task), text: () => presentLeased(task, now) }));

function presentLeased(task: RunningTask, now: number): string {
  const lease = { token: task.token, expires_in: formatDurationMs(Math.max(0, task.lease.until - now)) };
  return `${presentTask(task, now).slice(0, -1)},"lease":${JSON.stringify(lease)}}`;
}
