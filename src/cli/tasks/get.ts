import type { Call, Command } from "../command.ts";
import { OK } from "../exit-codes.ts";
import { taskLines } from "../show/task-facts.ts";
import { firstId, JSON_FLAG, SERVER_FLAGS, type Server, withServer } from "./server.ts";
import { jsonText, linesText } from "./write.ts";

export const getCommand: Command = {
  name: "get",
  about: "show a task with all its fields",
  positionals: [{ name: "ID" }],
  flags: [JSON_FLAG, ...SERVER_FLAGS],
  examples: [
    { line: "tasktrack get 7", about: "its state, its attempts, its payload and result" },
    { line: "tasktrack get 7 --json | jq .result", about: "for a program" },
  ],
  run: (call) => withServer(call, (server) => get(call, server)),
};

async function get(call: Call, { client }: Server): Promise<number> {
  const { terminal, paint, given } = call;
  const task = await client.get(firstId(call));
  const text = given.isOn("json")
    ? jsonText(task)
    : linesText(taskLines(task, { now: terminal.clock.now(), paint }));
  terminal.out.write(text);
  return OK;
}
