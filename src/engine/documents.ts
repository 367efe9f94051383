import type { DocumentPage, StoredDocument, TaskStore } from "../store/store.ts";

/** All documents whose names begin with the prefix, in order of name, with one page in memory at a time. */
export async function* documentsUnder(
  store: Pick<TaskStore, "readDocuments">,
  prefix: string,
  now: number,
): AsyncGenerator<StoredDocument> {
  let after: string | null = "";
  while (after !== null) {
    const page: DocumentPage = await store.readDocuments(prefix, now, after);
    yield* page.documents;
    after = page.next;
  }
}

/** The document of this name; null if there is none, or it has expired. */
export async function recallDocument(
  store: Pick<TaskStore, "readDocuments">,
  name: string,
  now: number,
): Promise<StoredDocument | null> {
  const { documents } = await store.readDocuments(name, now);
  return documents.find((document) => document.name === name) ?? null;
}
