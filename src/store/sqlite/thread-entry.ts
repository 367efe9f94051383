/**
 * What runs in the thread that holds the file. It knows no time and starts nothing by itself: it answers what it is asked,
 * and in quiet moments moves the log into the file.
 */
import { inSizes } from "../../lib/sizes.ts";
import type { Call, FileCall, FileSetup, Told } from "./calls.ts";
import { faultOf } from "./refusals.ts";
import { runRound, takeRound } from "./rounds.ts";
import { openTaskFile, type TaskFile } from "./task-file.ts";

/**
 * The log is moved into the file after this many characters of calls and answers, a few megabytes of log: when nobody
 * waits, and at the latest when it has become eight times that. Small steps are some milliseconds each.
 */
const QUIET_AFTER = 1_048_576;
const AT_THE_LATEST = 8 * QUIET_AFTER;

/** An answer alone may be longer, up to the bound of one (list.ts). */
const MESSAGE_TEXT = 1_048_576;

let file: TaskFile | null = null;
const waiting: FileCall[] = [];
let closing: number | null = null; // the call that asked for it
let isArranged = false;
let said = 0; // characters since the latest checkpoint

self.onmessage = ({ data }: MessageEvent<string>): void => {
  for (const call of JSON.parse(data) as Call[]) take(call); // thread.ts has written it
  said += data.length;
  arrange();
};

function take(call: Call): void {
  if (call[1] === "open") open(call[0], ...call[2]);
  else if (call[1] === "close") closing = call[0];
  else waiting.push(call);
}

/** After the messages that have come already, so that their calls are done together. */
function arrange(): void {
  if (isArranged) return;
  isArranged = true;
  setImmediate(turn);
}

function turn(): void {
  isArranged = false;
  if (waiting.length > 0) tell(carryOut(takeRound(waiting)));
  else if (closing !== null) close(closing);
  if (waiting.length > 0 || closing !== null) arrange();
  if (said >= (waiting.length === 0 ? QUIET_AFTER : AT_THE_LATEST)) checkpoint();
}

function carryOut(calls: readonly FileCall[]): Told {
  if (file !== null) return runRound(file, calls);
  const fault = { code: "store_unavailable", message: "The store is closed" } as const;
  return { answers: calls.map(([id]) => ({ id, fault })), due: null };
}

/**
 * Answers of many calls go in messages of bounded length: each is parsed in one go by the server's own thread. The types that a
 * commit made due come with the first message, before any answer of that commit.
 */
function tell(told: Told): void {
  const texts = told.answers.map((answer) => JSON.stringify(answer));
  const [first = [], ...others] = inSizes(texts, MESSAGE_TEXT, ({ length }) => length);
  const rest = JSON.stringify({ ...told, answers: undefined }).slice(1, -1);
  post(`{"answers":[${first.join()}],${rest}}`);
  for (const answers of others) post(`{"answers":[${answers.join()}],"due":null}`);
}

function post(text: string): void {
  said += text.length;
  self.postMessage(text);
}

function open(id: number, setup: FileSetup): void {
  tellOf(id, () => {
    file = openTaskFile(setup);
  });
}

function close(id: number): void {
  closing = null;
  tellOf(id, () => file?.close());
  file = null;
}

function tellOf(id: number, deed: () => void): void {
  try {
    deed();
    tell({ answers: [{ id, value: null }], due: null });
  } catch (error) {
    tell({ answers: [{ id, fault: faultOf(error) }], due: null });
  }
}

function checkpoint(): void {
  said = 0;
  try {
    file?.checkpoint();
  } catch (error) {
    // What it could not move is safe in the log, and the next one tries again: a full disk, most of the time.
    tell({ answers: [], due: null, complaint: faultOf(error).message });
  }
}
