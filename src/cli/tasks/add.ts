import { type Call, type Command, UsageError } from "../command.ts";
import { OK } from "../exit-codes.ts";
import { SPEC_FLAGS, specOf } from "./fields.ts";
import { JSON_FLAG, SERVER_FLAGS, type Server, withServer } from "./server.ts";
import { waitForEnds } from "./wait.ts";
import { jsonText } from "./write.ts";

export const addCommand: Command = {
  name: "add",
  about: "submit a task",
  details: `With --wait the command runs until the task has ended. Its exit code is then 0 for done, 3 for failed, 4 for cancelled or deleted. Ctrl-C does not cancel the task.`,
  positionals: [{ name: "NAME" }],
  flags: [
    ...SPEC_FLAGS,
    {
      name: "idempotency-key",
      value: "KEY",
      about: "with the same key, a repeated create within 24 hours creates no second task",
    },
    { name: "wait", about: "wait until the task has ended" },
    { name: "quiet", about: "print the id only" },
    { ...JSON_FLAG, about: "print the answer as JSON; with --wait the whole task at its end" },
    ...SERVER_FLAGS,
  ],
  examples: [
    { line: "tasktrack add someName --wait", about: "submits a simulated task and waits for its end" },
    {
      line: `tasktrack add "cut the film" --type video.cut --payload '{"input":"a.mp4"}' --max-attempts 5`,
      about: "a task for workers of the type video.cut",
    },
    {
      line: "make-payload | tasktrack add report --type report --payload -",
      about: "the payload from a pipe",
    },
    { line: "id=$(tasktrack add nightly --delay 8h --quiet)", about: "the id for a script" },
  ],
  run: (call) => withServer(call, (server) => add(call, server)),
};

async function add(call: Call, server: Server): Promise<number> {
  const { given, terminal } = call;
  const [isJson, isQuiet, waits] = ["json", "quiet", "wait"].map(given.isOn);
  if (isJson && isQuiet) throw new UsageError("--json and --quiet do not go together");
  const idempotencyKey = given.text("idempotency-key");
  const options = idempotencyKey === undefined ? {} : { idempotencyKey };
  const { id, existing } = await server.client.create(await specOf(call), options);
  if (isQuiet) terminal.out.write(`${id}\n`);
  else if (!isJson) terminal.out.write(existing ? `Task ${id} already exists\n` : `Task ${id} created\n`);
  else if (!waits) terminal.out.write(jsonText({ id, existing }));
  if (!waits) return OK;
  const isSilent = isJson === true || isQuiet === true;
  const exitCode = await waitForEnds(call, server, { ids: [id], known: [id], isQuiet: isSilent });
  if (isJson && exitCode < 128) terminal.out.write(jsonText(await server.client.get(id)));
  return exitCode;
}
