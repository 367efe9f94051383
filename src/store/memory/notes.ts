import { ANSWER_BYTES } from "../../core/text-size.ts";
import { createSorted } from "../../lib/sorted.ts";
import {
  NOTES_READ,
  type Note,
  type NotePage,
  type NoteWrite,
  type NoteWritten,
  type OnceNote,
} from "../store.ts";

export interface Notes {
  write(writes: readonly NoteWrite[], now: number): NoteWritten[];
  /** Whether no note of that name is there. */
  isFree(note: OnceNote): boolean;
  /** Writes a note whose name is free. */
  writeOnce(note: OnceNote): void;
  read(prefix: string, now: number, after?: string): NotePage;
}

/** The highest number of expired notes that one call deletes: more than it writes, and bounded. */
const CLEARED_AT_ONCE = 1_000;
/** The same for a note that a step writes: a batch may have many of them. */
const CLEARED_WITH_A_STEP = 2;

export function createNotes(): Notes {
  const byName = new Map<string, Note>();
  const inOrder = createSorted(byNames);
  const byEnd = createSorted<Note>((a, b) => a.until - b.until || byNames(a, b));

  function write(writes: readonly NoteWrite[], now: number): NoteWritten[] {
    clear(now, CLEARED_AT_ONCE);
    return writes.map((entry) => writeOne(entry, now));
  }

  function writeOne({ name, value, until, ifVersion }: NoteWrite, now: number): NoteWritten {
    const kept = byName.get(name);
    const version = versionAt(name, now);
    if (ifVersion !== undefined && ifVersion !== version) return "stale";
    if (kept !== undefined) drop(kept);
    if (value !== null) keep({ name, value, version: version + 1, until });
    return "ok";
  }

  function keep(note: Note): void {
    byName.set(note.name, note);
    inOrder.add(note);
    byEnd.add(note);
  }

  function drop(note: Note): void {
    byName.delete(note.name);
    inOrder.remove(note);
    byEnd.remove(note);
  }

  function clear(now: number, atMost: number): void {
    for (let cleared = 0; cleared < atMost; cleared++) {
      const first = byEnd.first();
      if (first === undefined || first.until > now) return;
      drop(first);
    }
  }

  function read(prefix: string, now: number, after = ""): NotePage {
    const notes: Note[] = [];
    let bytes = 0;
    const start = after > prefix ? after : prefix;
    for (const note of inOrder.from({ name: start, value: "", version: 0, until: 0 })) {
      if (!note.name.startsWith(prefix)) break;
      if (note.name === after || note.until <= now) continue;
      if (notes.length === NOTES_READ || bytes >= ANSWER_BYTES) return { notes, next: nameOfLast(notes) };
      bytes += note.name.length + note.value.length;
      notes.push(note);
    }
    return { notes, next: null };
  }

  const versionAt = (name: string, now: number): number => {
    const kept = byName.get(name);
    return kept === undefined || kept.until <= now ? 0 : kept.version;
  };

  const isFree = ({ name, now }: OnceNote): boolean => versionAt(name, now) === 0;

  function writeOnce({ now, ...note }: OnceNote): void {
    clear(now, CLEARED_WITH_A_STEP);
    writeOne({ ...note, ifVersion: 0 }, now);
  }

  return { write, isFree, writeOnce, read };
}

const nameOfLast = (notes: readonly Note[]): string | null => notes.at(-1)?.name ?? null;

const byNames = (a: Note, b: Note): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
