import type { Call, Command } from "../command.ts";
import { OK } from "../exit-codes.ts";
import { statisticsLines } from "../show/statistics.ts";
import { widthFor } from "../terminal.ts";
import { JSON_FLAG, SERVER_FLAGS, type Server, withServer } from "./server.ts";
import { jsonText, linesText } from "./write.ts";

export const statsCommand: Command = {
  name: "stats",
  about: "show statistics of the server",
  details:
    "Counts by type and status, the oldest waiting task, the last hour, and the workers with their tasks.",
  positionals: [],
  flags: [JSON_FLAG, ...SERVER_FLAGS],
  examples: [{ line: "tasktrack stats --json | jq .counts.failed", about: "one number for a monitor" }],
  run: (call) => withServer(call, (server) => stats(call, server)),
};

async function stats({ terminal, paint, given }: Call, { client }: Server): Promise<number> {
  const { out, clock } = terminal;
  const found = await client.stats();
  const how = { now: clock.now(), width: widthFor(out), paint };
  out.write(given.isOn("json") ? jsonText(found) : linesText(statisticsLines(found, how)));
  return OK;
}
