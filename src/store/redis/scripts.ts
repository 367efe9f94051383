/**
 * The scripts, one for each step. They are sent by EVALSHA, so a script is named by its content: two versions of this program can run
 * on one server at the same time; of a library of functions, both would use the newer version. A server without the script (after a restart
 * or SCRIPT FLUSH) answers NOSCRIPT before anything is written, and gets its text.
 */
import { STATUSES } from "../../core/task.ts";
import { STATUS_CODES } from "../changes-text.ts";
import begin from "./lua/begin.lua" with { type: "text" };
import changes from "./lua/changes.lua" with { type: "text" };
import claim from "./lua/claim.lua" with { type: "text" };
import extend from "./lua/extend.lua" with { type: "text" };
import insert from "./lua/insert.lua" with { type: "text" };
import look from "./lua/look.lua" with { type: "text" };
import noteLanes from "./lua/note_lanes.lua" with { type: "text" };
import now from "./lua/now.lua" with { type: "text" };
import pageByEnd from "./lua/page_by_end.lua" with { type: "text" };
import pageById from "./lua/page_by_id.lua" with { type: "text" };
import positionOf from "./lua/position_of.lua" with { type: "text" };
import prelude from "./lua/prelude.lua" with { type: "text" };
import readDocuments from "./lua/read_documents.lua" with { type: "text" };
import readLog from "./lua/read_log.lua" with { type: "text" };
import remove from "./lua/remove.lua" with { type: "text" };
import replace from "./lua/replace.lua" with { type: "text" };
import restore from "./lua/restore.lua" with { type: "text" };
import restoreBodies from "./lua/restore_bodies.lua" with { type: "text" };
import restoreLogs from "./lua/restore_logs.lua" with { type: "text" };
import rows from "./lua/rows.lua" with { type: "text" };
import typeCounts from "./lua/type_counts.lua" with { type: "text" };
import writeDocuments from "./lua/write_documents.lua" with { type: "text" };
import { APART, HEAD_COLUMNS } from "./row.ts";

/** Tables that this program and its scripts share: in Lua lists of names, and a map of codes. */
const TABLES = [
  `local HEAD = ${luaList(HEAD_COLUMNS)}`,
  `local APART = ${luaList(Object.values(APART))}`,
  `local STATUSES = ${luaList(STATUSES)}`,
  `local STATUS_CODES = { ${Object.entries(STATUS_CODES)
    .map(([status, code]) => `${status} = "${code}"`)
    .join(", ")} }`,
].join("\n");

function luaList(texts: readonly string[]): string {
  return `{ ${texts.map((text) => `"${text}"`).join(", ")} }`;
}

export type Script = { readonly text: string; readonly sha: string };

/**
 * The first line of a script has its flags. With them the server refuses a script before it starts (out of memory, a failing disk, a
 * replica), never in its middle. Only `insert` and `restore` are refused when memory is short: steps that end work must still be possible.
 */
function scriptOf(source: string): Script {
  const end = source.indexOf("\n");
  const text = `${source.slice(0, end)}\n${TABLES}\n${prelude}${source.slice(end)}`;
  return { text, sha: new Bun.CryptoHasher("sha1").update(text).digest("hex") };
}

/** Limits of the work of one script: with ten thousands of types none takes 20 ms. */
export type ScriptBounds = {
  /** Lanes that an ask of a claim lists. */
  readonly listed: number;
  /** Lanes that one claim reads. */
  readonly looked: number;
  /** Fields of the counts that one script reads, and as many lanes. */
  readonly countedAtOnce: number;
};

export const SCRIPT_BOUNDS: ScriptBounds = { listed: 500, looked: 4_000, countedAtOnce: 400 };

export const SCRIPTS = {
  begin: scriptOf(begin),
  noteLanes: scriptOf(noteLanes),
  now: scriptOf(now),
  look: scriptOf(look),
  insert: scriptOf(insert),
  claim: scriptOf(claim),
  extend: scriptOf(extend),
  replace: scriptOf(replace),
  remove: scriptOf(remove),
  restoreBodies: scriptOf(restoreBodies),
  restoreLogs: scriptOf(restoreLogs),
  restore: scriptOf(restore),
  rows: scriptOf(rows),
  pageById: scriptOf(pageById),
  pageByEnd: scriptOf(pageByEnd),
  readLog: scriptOf(readLog),
  changes: scriptOf(changes),
  typeCounts: scriptOf(typeCounts),
  positionOf: scriptOf(positionOf),
  writeDocuments: scriptOf(writeDocuments),
  readDocuments: scriptOf(readDocuments),
} as const satisfies Record<string, Script>;
