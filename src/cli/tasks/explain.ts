import type { Call, Command } from "../command.ts";
import { OK } from "../exit-codes.ts";
import { explanationLines } from "../show/task-facts.ts";
import { firstId, JSON_FLAG, SERVER_FLAGS, type Server, withServer } from "./server.ts";
import { jsonText, linesText } from "./write.ts";

export const explainCommand: Command = {
  name: "explain",
  about: "explain why a task has its present status",
  positionals: [{ name: "ID" }],
  flags: [JSON_FLAG, ...SERVER_FLAGS],
  examples: [
    {
      line: "tasktrack explain 7",
      about: "it is not due, no worker takes its type, other tasks are before it …",
    },
  ],
  run: (call) => withServer(call, (server) => explain(call, server)),
};

async function explain(call: Call, { client }: Server): Promise<number> {
  const { terminal, paint, given } = call;
  const explained = await client.explain(firstId(call));
  const text = given.isOn("json")
    ? jsonText(explained)
    : linesText(explanationLines(explained, { now: terminal.clock.now(), paint }));
  terminal.out.write(text);
  return OK;
}
