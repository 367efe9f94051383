import type { Command } from "../command.ts";
import { OK } from "../exit-codes.ts";
import { PATCH_FLAGS, patchOf } from "./fields.ts";
import { firstId, SERVER_FLAGS, withServer } from "./server.ts";

export const editCommand: Command = {
  name: "edit",
  about: "change a task",
  positionals: [{ name: "ID" }],
  flags: [...PATCH_FLAGS, ...SERVER_FLAGS],
  examples: [
    { line: 'tasktrack edit 7 --name "another name"', about: "in any status" },
    { line: "tasktrack edit 7 --priority 100 --run-at 2026-01-31T12:00:00Z", about: "while it is pending" },
  ],
  run: (call) =>
    withServer(call, async ({ client }) => {
      const id = firstId(call);
      await client.edit(id, await patchOf(call));
      call.terminal.out.write(`Task ${id} changed\n`);
      return OK;
    }),
};
