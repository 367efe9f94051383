/** Notes, in pieces: each has up to 64 KiB, and ten thousand of them would hold the server for long. */

import { pieces, writeInPieces } from "../pieces.ts";
import { NOTES_READ, type Note, type NotePage, type NoteWrite, type NoteWritten } from "../store.ts";
import type { Connection } from "./connection.ts";
import { SCRIPTS } from "./scripts.ts";

const PIECE = { count: 500, bytes: 1_048_576 };
const READ = { count: NOTES_READ, bytes: 1_048_576 };

export function createNotes(connection: Connection) {
  const writeNotes = (writes: readonly NoteWrite[], now: number): Promise<NoteWritten[]> =>
    writeInPieces(pieces(writes, { ...PIECE, bytesOf: ({ value }) => value?.length ?? 0 }), (part) =>
      writePiece(part, now),
    );

  async function writePiece(writes: readonly NoteWrite[], now: number): Promise<NoteWritten[]> {
    const args = [String(now)];
    for (const { name, value, until, ifVersion } of writes) {
      args.push(name, value === null ? "drop" : "put", value ?? "", String(until));
      args.push(ifVersion === undefined ? "" : String(ifVersion));
    }
    return (await connection.run(SCRIPTS.writeNotes, args)) as NoteWritten[]; // as write_notes.lua says
  }

  async function readNotes(prefix: string, now: number, after = ""): Promise<NotePage> {
    const notes: Note[] = [];
    let next = after < prefix ? "" : after; // from the prefix, or after the name
    do {
      const args = [prefix, next, String(now), String(READ.count), String(READ.bytes)];
      const [last, ...fields] = (await connection.run(SCRIPTS.readNotes, args)) as [string, ...string[]]; // as it says
      for (let at = 0; at < fields.length; at += 4) {
        const [name, until, version, value] = fields.slice(at, at + 4) as [string, string, string, string];
        notes.push({ name, value, version: Number(version), until: Number(until) });
      }
      next = last;
    } while (next !== "" && notes.length === 0); // a page of expired notes is skipped
    return { notes, next: next === "" ? null : next };
  }

  return { writeNotes, readNotes };
}
