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

  /** Deletions with notes have a transaction each; the others have one together, before them. */
  async function remove(refs: readonly TaskRef[]): Promise<boolean[]> {
    const indexed = [...refs.entries()];
    const plain = indexed.filter(([, { once: note }]) => note === undefined);
    const writes: (() => Promise<readonly Removed[]>)[] = indexed.flatMap(([n, ref]) => {
      const { once: note } = ref;
      return note === undefined ? [] : [async () => [[n, await removeOnce(ref, note)] as const]];
    });
    if (plain.length > 0) writes.unshift(() => removePlain(plain));
    const removed = new Map((await writeInTurn(writes)).flat());
    return refs.map((_, n) => removed.get(n) ?? false);
  }

  async function removePlain(refs: readonly (readonly [number, TaskRef])[]): Promise<Removed[]> {
    const plain = refs.map(([, ref]) => ref);
    const removed = await removeIn(pool, plain);
    return refs.map(([n, { id }]) => [n, removed.delete(id)]); // once, also where one id comes twice
  }

  const removeOnce = (ref: TaskRef, note: OnceDocument): Promise<boolean> =>
    pool.transaction((session) =>
      once(session, note, {
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
