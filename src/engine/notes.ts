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
