/**
 * The thread that holds the file. It has no clock and starts nothing by itself: it answers calls, and copies the write-ahead log into the file
 * when no call waits.
 */
import { inSizes } from "../../lib/sizes.ts";
import type { Call, FileCall, FileSetup, ThreadResponse } from "./calls.ts";
import { faultOf } from "./refusals.ts";
import { runRound, takeRound } from "./rounds.ts";
import { openTaskFile, type TaskFile } from "./task-file.ts";

/**
 * The log is copied into the file after this many characters of calls and answers, which are a few megabytes of log: when no call waits, and at
 * the latest after eight times as many. Small copies take some milliseconds each.
 */
const QUIET_AFTER = 1_048_576;
const AT_THE_LATEST = 8 * QUIET_AFTER;

/** A single answer may be longer, up to its own bound (list.ts). */
const MESSAGE_TEXT = 1_048_576;

let file: TaskFile | null = null;
const waiting: FileCall[] = [];
let closing: number | null = null; // the id of the call `close`
let isArranged = false;
let transferred = 0; // characters since the latest checkpoint

self.onmessage = ({ data }: MessageEvent<string>): void => {
  for (const call of JSON.parse(data) as Call[]) take(call); // thread.ts has written it
  transferred += data.length;
  arrange();
};

function take(call: Call): void {
  if (call[1] === "open") open(call[0], ...call[2]);
  else if (call[1] === "close") closing = call[0];
  else waiting.push(call);
}

/** Runs after the messages that have already arrived, so that their calls share a round. */
function arrange(): void {
  if (isArranged) return;
  isArranged = true;
  setImmediate(turn);
}

function turn(): void {
  isArranged = false;
  if (waiting.length > 0) respond(carryOut(takeRound(waiting)));
  else if (closing !== null) close(closing);
  if (waiting.length > 0 || closing !== null) arrange();
  if (transferred >= (waiting.length === 0 ? QUIET_AFTER : AT_THE_LATEST)) checkpoint();
}

function carryOut(calls: readonly FileCall[]): ThreadResponse {
  if (file !== null) return runRound(file, calls);
  const fault = { code: "store_unavailable", message: "The store is closed" } as const;
  return { answers: calls.map(([id]) => ({ id, fault })), due: null };
}

/**
 * Answers of many calls are sent in messages of bounded length, because the server's own thread parses each message without a break. The
 * types that a commit made due are in the first message, before any answer of that commit.
 */
function respond(response: ThreadResponse): void {
  const texts = response.answers.map((answer) => JSON.stringify(answer));
  const [first = [], ...others] = inSizes(texts, MESSAGE_TEXT, ({ length }) => length);
  const rest = JSON.stringify({ ...response, answers: undefined }).slice(1, -1);
  post(`{"answers":[${first.join()}],${rest}}`);
  for (const answers of others) post(`{"answers":[${answers.join()}],"due":null}`);
}

function post(text: string): void {
  transferred += text.length;
  self.postMessage(text);
}

function open(id: number, setup: FileSetup): void {
  respondTo(id, () => {
    file = openTaskFile(setup);
  });
}

function close(id: number): void {
  closing = null;
  respondTo(id, () => file?.close());
  file = null;
}

function respondTo(id: number, deed: () => void): void {
  try {
    deed();
    respond({ answers: [{ id, value: null }], due: null });
  } catch (error) {
    respond({ answers: [{ id, fault: faultOf(error) }], due: null });
  }
}

function checkpoint(): void {
  transferred = 0;
  try {
    file?.checkpoint();
  } catch (error) {
    // Mostly a full disk. The commits that were not copied are safe in the log, and the next checkpoint tries again.
    respond({ answers: [], due: null, complaint: faultOf(error).message });
  }
}
