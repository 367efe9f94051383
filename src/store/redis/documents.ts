/** Documents, in pieces: each has up to 64 KiB, and ten thousand of them would hold the server for long. */

import { pieces, writeInPieces } from "../pieces.ts";
import {
  DOCUMENTS_PER_PAGE,
  type DocumentAnswer,
  type DocumentPage,
  type DocumentWrite,
  type StoredDocument,
} from "../store.ts";
import type { Connection } from "./connection.ts";
import { SCRIPTS } from "./scripts.ts";

const PIECE = { count: 500, bytes: 1_048_576 };
const READ = { count: DOCUMENTS_PER_PAGE, bytes: 1_048_576 };

export function createDocuments(connection: Connection) {
  const writeDocuments = (writes: readonly DocumentWrite[], now: number): Promise<DocumentAnswer[]> =>
    writeInPieces(pieces(writes, { ...PIECE, bytesOf: ({ value }) => value?.length ?? 0 }), (part) =>
      writePiece(part, now),
    );

  async function writePiece(writes: readonly DocumentWrite[], now: number): Promise<DocumentAnswer[]> {
    const args = [String(now)];
    for (const { name, value, until, ifVersion } of writes) {
      args.push(name, value === null ? "drop" : "put", value ?? "", String(until));
      args.push(ifVersion === undefined ? "" : String(ifVersion));
    }
    return (await connection.run(SCRIPTS.writeDocuments, args)) as DocumentAnswer[]; // as write_documents.lua says
  }

  async function readDocuments(prefix: string, now: number, after = ""): Promise<DocumentPage> {
    const documents: StoredDocument[] = [];
    let next = after < prefix ? "" : after; // from the prefix, or after the name
    do {
      const args = [prefix, next, String(now), String(READ.count), String(READ.bytes)];
      const [last, ...fields] = (await connection.run(SCRIPTS.readDocuments, args)) as [string, ...string[]]; // as read_documents.lua says
      for (let at = 0; at < fields.length; at += 4) {
        const [name, until, version, value] = fields.slice(at, at + 4) as [string, string, string, string];
        documents.push({ name, value, version: Number(version), until: Number(until) });
      }
      next = last;
    } while (next !== "" && documents.length === 0); // a page of expired documents is skipped
    return { documents, next: next === "" ? null : next };
  }

  return { writeDocuments, readDocuments };
}
