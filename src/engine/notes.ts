import type { Note, NotePage, TaskStore } from "../store/store.ts";

/** All notes whose names begin with the prefix, in order of name, with one page in memory at a time. */
export async function* notesUnder(
  store: Pick<TaskStore, "readNotes">,
  prefix: string,
  now: number,
): AsyncGenerator<Note> {
  let after: string | null = "";
  while (after !== null) {
    const page: NotePage = await store.readNotes(prefix, now, after);
    yield* page.notes;
    after = page.next;
  }
}

/** The note of this name; null if there is none, or it has expired. */
export async function recallNote(
  store: Pick<TaskStore, "readNotes">,
  name: string,
  now: number,
): Promise<Note | null> {
  const { notes } = await store.readNotes(name, now);
  return notes.find((note) => note.name === name) ?? null;
}
