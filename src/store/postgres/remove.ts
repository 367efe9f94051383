import type { TaskId } from "../../core/task.ts";
import { writeInTurn } from "../pieces.ts";
import type { OnceDocument, TaskRef } from "../store.ts";
import { pgArray } from "./array.ts";
import { createOnceDocuments } from "./documents.ts";
import type { Pool } from "./pool.ts";
import { type Session, statement } from "./statement.ts";

const REMOVE = "SELECT id FROM tasktrack.remove($ids::bigint[], $versions::integer[]) AS id";

/** The place of a deletion in its call, and whether it was carried out. */
type Removed = readonly [place: number, isRemoved: boolean];

export function createRemove(setup: { readonly pool: Pool; readonly sql: (text: string) => string }) {
  const { pool, sql } = setup;
  const removeTasks = statement(sql(REMOVE));
  const once = createOnceDocuments(sql);

  /** Each deletion with a document has a transaction of its own; the others share one transaction before them. */
  async function remove(refs: readonly TaskRef[]): Promise<boolean[]> {
    const indexed = [...refs.entries()];
    const plain = indexed.filter(([, { once: document }]) => document === undefined);
    const writes: (() => Promise<readonly Removed[]>)[] = indexed.flatMap(([n, ref]) => {
      const { once: document } = ref;
      return document === undefined ? [] : [async () => [[n, await removeOnce(ref, document)] as const]];
    });
    if (plain.length > 0) writes.unshift(() => removePlain(plain));
    const removed = new Map((await writeInTurn(writes)).flat());
    return refs.map((_, n) => removed.get(n) ?? false);
  }

  async function removePlain(refs: readonly (readonly [number, TaskRef])[]): Promise<Removed[]> {
    const plain = refs.map(([, ref]) => ref);
    const removed = await removeIn(pool, plain);
    return refs.map(([n, { id }]) => [n, removed.delete(id)]); // true only once if an id comes twice
  }

  const removeOnce = (ref: TaskRef, document: OnceDocument): Promise<boolean> =>
    pool.transaction((session) =>
      once(session, document, {
        run: async () => (await removeIn(session, [ref])).has(ref.id),
        isDone: (isRemoved) => isRemoved,
        otherwise: false,
      }),
    );

  async function removeIn(session: Session, refs: readonly TaskRef[]): Promise<Set<TaskId>> {
    const rows = await removeTasks(session, {
      ids: pgArray(refs.map(({ id }) => id)),
      versions: pgArray(refs.map(({ version }) => version ?? null)),
    });
    return new Set(rows.map(({ id }) => Number(id)));
  }

  return remove;
}
