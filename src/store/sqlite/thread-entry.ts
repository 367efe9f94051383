/**
 * What runs in the thread that holds the file. It knows no time and starts nothing by itself: it answers what it is asked,
 * and in quiet moments moves the log into the file.
 */
import type { Call, FileCall, Told } from "./calls.ts";
import { faultOf } from "./refusals.ts";
import { runRound, takeRound } from "./rounds.ts";
import { openTaskFile, type TaskFile } from "./task-file.ts";

/**
 * The log is moved into the file after this many characters of calls and answers, a few megabytes of log: when nobody
 * waits, and at the latest when it has become eight times that. Small steps are some milliseconds each.
 */
const QUIET_AFTER = 1_048_576;
const AT_THE_LATEST = 8 * QUIET_AFTER;

let file: TaskFile | null = null;
const waiting: Call[] = [];
let isArranged = false;
let said = 0; // characters since the latest checkpoint

self.onmessage = ({ data }: MessageEvent<string>): void => {
  for (const call of JSON.parse(data) as Call[]) waiting.push(call); // thread.ts has written it
  said += data.length;
  arrange();
};

/** After the messages that have come already, so that their calls are done together. */
function arrange(): void {
  if (isArranged) return;
  isArranged = true;
  setImmediate(turn);
}

function turn(): void {
  isArranged = false;
  const text = JSON.stringify(next());
  self.postMessage(text);
  said += text.length;
  if (waiting.length > 0) arrange();
  if (said >= (waiting.length === 0 ? QUIET_AFTER : AT_THE_LATEST)) checkpoint();
}

function next(): Told {
  const [id, verb, args] = waiting[0] ?? [0, "close", []];
  if (verb === "open" || verb === "close") {
    waiting.shift();
    return doOnce(id, () => {
      if (verb === "open") file = openTaskFile(args[0]);
      else close();
    });
  }
  const end = waiting.findIndex(([, verb]) => verb === "open" || verb === "close");
  const calls = waiting.splice(0, end === -1 ? waiting.length : end) as FileCall[]; // no others are among them
  const round = takeRound(calls);
  waiting.unshift(...calls);
  return file === null ? refuse(round) : runRound(file, round);
}

function doOnce(id: number, deed: () => void): Told {
  try {
    deed();
    return { answers: [{ id, value: null }], due: null };
  } catch (error) {
    return { answers: [{ id, fault: faultOf(error) }], due: null };
  }
}

function refuse(calls: readonly FileCall[]): Told {
  const fault = { code: "store_unavailable", message: "The store is closed" } as const;
  return { answers: calls.map(([id]) => ({ id, fault })), due: null };
}

function close(): void {
  file?.close();
  file = null;
}

function checkpoint(): void {
  said = 0;
  try {
    file?.checkpoint();
  } catch (error) {
    // What it could not move is safe in the log, and the next one tries again: a full disk, most of the time.
    const complaint: Told = { answers: [], due: null, complaint: faultOf(error).message };
    self.postMessage(JSON.stringify(complaint));
  }
}
