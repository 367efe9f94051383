import { type Call, type Command, UsageError } from "../command.ts";
import { OK } from "../exit-codes.ts";
import { SPEC_FLAGS, specOf } from "./fields.ts";
import { JSON_FLAG, SERVER_FLAGS, type Server, withServer } from "./server.ts";
import { waitForEnds } from "./wait.ts";
import { jsonText } from "./write.ts";

export const addCommand: Command = {
  name: "add",
  about: "submit a task",
  details: `With --wait it stays until the task has ended, and the exit code tells how: 0 done, 3 failed, 4 cancelled or deleted. Ctrl-C leaves the task alone.`,
  positionals: [{ name: "NAME" }],
  flags: [
    ...SPEC_FLAGS,
    {
      name: "idempotency-key",
      value: "KEY",
      about: "the same key with the same task creates it once, within 24 hours",
    },
    { name: "wait", about: "stays until the task has ended" },
    { name: "quiet", about: "nothing but the id" },
    { ...JSON_FLAG, about: "the answer as JSON; with --wait the whole task at its end" },
    ...SERVER_FLAGS,
  ],
  examples: [
    { line: "tasktrack add someName --wait", about: "submits a simulated task and follows it to its end" },
    {
      line: `tasktrack add "cut the film" --type video.cut --payload '{"input":"a.mp4"}' --max-attempts 5`,
      about: "work for whoever takes video.cut",
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
  else if (!isJson) terminal.out.write(existing ? `Task ${id} exists already\n` : `Task ${id} created\n`);
  else if (!waits) terminal.out.write(jsonText({ id, existing }));
  if (!waits) return OK;
  const isSilent = isJson === true || isQuiet === true;
  const exitCode = await waitForEnds(call, server, { ids: [id], known: [id], isQuiet: isSilent });
  if (isJson && exitCode < 128) terminal.out.write(jsonText(await server.client.get(id)));
  return exitCode;
}
