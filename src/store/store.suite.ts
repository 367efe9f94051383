/**
 * The exam of the TaskStore port: every store passes it. No case depends on an adapter. Time is passed in as the port says, and ids,
 * versions and positions are compared only with what the port promises. Each case gets an empty store of its own.
 */
import { describe, test } from "bun:test";
import { examineBasics } from "./suite/basics.ts";
import { examineChanges } from "./suite/changes.ts";
import { examineClaim } from "./suite/claim.ts";
import { examineDocuments } from "./suite/documents.ts";
import { createExaminee, type Exam, type Opened } from "./suite/examinee.ts";
import { examineExtend } from "./suite/extend.ts";
import { examineFidelity } from "./suite/fidelity.ts";
import { examineIdempotency } from "./suite/idempotency.ts";
import { examineInsert } from "./suite/insert.ts";
import { examineList } from "./suite/list.ts";
import { examineLog } from "./suite/log.ts";
import { examineLook, examineLooksForNothing } from "./suite/look.ts";
import { examineOnce } from "./suite/once.ts";
import { examineParts } from "./suite/parts.ts";
import { examinePositionOf } from "./suite/position-of.ts";
import { examineRaces } from "./suite/races.ts";
import { examineRemove } from "./suite/remove.ts";
import { examineReplace } from "./suite/replace.ts";
import { examineRestore } from "./suite/restore.ts";
import { examineSearch } from "./suite/search.ts";
import { examineTypeCounts } from "./suite/type-counts.ts";
import { examineWatch } from "./suite/watch.ts";

const TOPICS: Record<string, (exam: Exam) => void> = {
  insert: examineInsert,
  idempotency: examineIdempotency,
  fidelity: examineFidelity,
  list: examineList,
  search: examineSearch,
  parts: examineParts,
  claim: examineClaim,
  extend: examineExtend,
  log: examineLog,
  replace: examineReplace,
  remove: examineRemove,
  once: examineOnce,
  restore: examineRestore,
  changes: examineChanges,
  watch: examineWatch,
  documents: examineDocuments,
  typeCounts: examineTypeCounts,
  positionOf: examinePositionOf,
  basics: examineBasics,
  look: examineLook,
  races: examineRaces,
};

/** Only for stores that several processes share. */
const SHARED_TOPICS: typeof TOPICS = { look: examineLooksForNothing };

/** Far above the time of the slowest case on a remote server; a store that hangs is still found. */
const TIMEOUT_MS = 300_000;

/** Examines one store, in all topics or some; `open` gives an empty store each time. */
export function examineStore(
  name: string,
  open: () => Promise<Opened>,
  topics: readonly (keyof typeof TOPICS)[] = Object.keys(TOPICS),
  from = TOPICS,
): void {
  const exam: Exam = (claim, body) =>
    test(
      claim,
      async () => {
        const opened = await open();
        try {
          await body(createExaminee(opened));
        } finally {
          await opened.close();
        }
      },
      TIMEOUT_MS,
    );
  describe(`${name} store`, () => {
    for (const [topic, examine] of Object.entries(from)) {
      if (topics.includes(topic)) describe(topic, () => examine(exam));
    }
  });
}

/** Further cases for a store that several processes share. */
export const examineSharedStore = (name: string, open: () => Promise<Opened>): void =>
  examineStore(`shared ${name}`, open, Object.keys(SHARED_TOPICS), SHARED_TOPICS);
