import { ANSWER_BYTES } from "../../core/text-size.ts";
import { createSorted } from "../../lib/sorted.ts";
import {
  DOCUMENTS_PER_PAGE,
  type DocumentAnswer,
  type DocumentPage,
  type DocumentWrite,
  type OnceDocument,
  type StoredDocument,
} from "../store.ts";

export interface Documents {
  write(writes: readonly DocumentWrite[], now: number): DocumentAnswer[];
  /** Whether there is no document with that name. */
  isFree(document: OnceDocument): boolean;
  /** Writes a document with a name that no document has. */
  writeOnce(document: OnceDocument): void;
  read(prefix: string, now: number, after?: string): DocumentPage;
}

/** The highest number of expired documents that one call deletes: more than it writes, and bounded. */
const CLEARED_AT_ONCE = 1_000;
/** The same for a document that a step writes: a batch may have many of them. */
const CLEARED_WITH_A_STEP = 2;

export function createDocuments(): Documents {
  const byName = new Map<string, StoredDocument>();
  const inOrder = createSorted(byNames);
  const byEnd = createSorted<StoredDocument>((a, b) => a.until - b.until || byNames(a, b));

  function write(writes: readonly DocumentWrite[], now: number): DocumentAnswer[] {
    clear(now, CLEARED_AT_ONCE);
    return writes.map((entry) => writeOne(entry, now));
  }

  function writeOne({ name, value, until, ifVersion }: DocumentWrite, now: number): DocumentAnswer {
    const kept = byName.get(name);
    const version = versionAt(name, now);
    if (ifVersion !== undefined && ifVersion !== version) return "stale";
    if (kept !== undefined) drop(kept);
    if (value !== null) keep({ name, value, version: version + 1, until });
    return "ok";
  }

  function keep(document: StoredDocument): void {
    byName.set(document.name, document);
    inOrder.add(document);
    byEnd.add(document);
  }

  function drop(document: StoredDocument): void {
    byName.delete(document.name);
    inOrder.remove(document);
    byEnd.remove(document);
  }

  function clear(now: number, atMost: number): void {
    for (let cleared = 0; cleared < atMost; cleared++) {
      const first = byEnd.first();
      if (first === undefined || first.until > now) return;
      drop(first);
    }
  }

  function read(prefix: string, now: number, after = ""): DocumentPage {
    const documents: StoredDocument[] = [];
    let bytes = 0;
    const start = after > prefix ? after : prefix;
    for (const document of inOrder.from({ name: start, value: "", version: 0, until: 0 })) {
      if (!document.name.startsWith(prefix)) break;
      if (document.name === after || document.until <= now) continue;
      if (documents.length === DOCUMENTS_PER_PAGE || bytes >= ANSWER_BYTES)
        return { documents, next: nameOfLast(documents) };
      bytes += document.name.length + document.value.length;
      documents.push(document);
    }
    return { documents, next: null };
  }

  const versionAt = (name: string, now: number): number => {
    const kept = byName.get(name);
    return kept === undefined || kept.until <= now ? 0 : kept.version;
  };

  const isFree = ({ name, now }: OnceDocument): boolean => versionAt(name, now) === 0;

  function writeOnce({ now, ...document }: OnceDocument): void {
    clear(now, CLEARED_WITH_A_STEP);
    writeOne({ ...document, ifVersion: 0 }, now);
  }

  return { write, isFree, writeOnce, read };
}

const nameOfLast = (documents: readonly StoredDocument[]): string | null => documents.at(-1)?.name ?? null;

const byNames = (a: StoredDocument, b: StoredDocument): number =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
