import { expect, test } from "bun:test";
import type { z } from "zod";
import type { TaskAnswer } from "../wire/task-answer.ts";
import type { Task } from "./types.ts";

type Answer = z.output<typeof TaskAnswer>;
/** The names on one side alone, and those whose types differ. */
type Differing = Exclude<keyof Answer, keyof Task> | Exclude<keyof Task, keyof Answer>;
type IsSame = [Differing] extends [never] ? (Answer extends Task ? true : false) : false;

test("the SDK's task is the task that the server answers with", () => {
  const isSame: IsSame = true; // does not compile otherwise
  expect(isSame).toBe(true);
});
