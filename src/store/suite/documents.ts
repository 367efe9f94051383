import { expect } from "bun:test";
import { ANSWER_BYTES } from "../../core/text-size.ts";
import {
  DOCUMENTS_PER_PAGE,
  type DocumentPage,
  type DocumentWrite,
  type StoredDocument,
  type TaskStore,
} from "../store.ts";
import { type Exam, type Examinee, HOUR_MS, only } from "./examinee.ts";

/** The documents under a prefix at the beginning of the case, or at another time. */
const read = (x: Examinee, prefix = "", at = x.t): Promise<StoredDocument[]> =>
  walkDocuments(x.store, prefix, at);

async function walkDocuments(
  store: Pick<TaskStore, "readDocuments">,
  prefix: string,
  at: number,
): Promise<StoredDocument[]> {
  return (await documentPages(store, prefix, at)).flat();
}

async function documentPages(
  store: Pick<TaskStore, "readDocuments">,
  prefix: string,
  at: number,
): Promise<(readonly StoredDocument[])[]> {
  const pages: (readonly StoredDocument[])[] = [];
  let after: string | null = "";
  while (after !== null) {
    const page: DocumentPage = await store.readDocuments(prefix, at, after);
    expect(page.next === null || page.next > after).toBe(true);
    pages.push(page.documents);
    after = page.next;
  }
  return pages;
}

const write = async (x: Examinee, entry: Partial<DocumentWrite>, at = x.t) =>
  only(await x.store.writeDocuments([{ name: "n", value: "v", until: x.t + HOUR_MS, ...entry }], at));

const namesOf = (documents: readonly { readonly name: string }[]): string[] =>
  documents.map(({ name }) => name);

export function examineDocuments(exam: Exam): void {
  exam("a document is read as it was written, by every process", async (x) => {
    const until = x.t + HOUR_MS;
    const value = `{"a":"Ж 'quoted' \\\\ \\" \u{1F600}, ;\\n"}\n`;
    expect(await write(x, { name: "worker/a", value, until })).toBe("ok");
    const document = { name: "worker/a", value, version: 1, until };
    expect(await read(x)).toStrictEqual([document]);
    expect(await x.peer.readDocuments("worker/", x.t)).toStrictEqual({ documents: [document], next: null });
  });

  exam("a value may be empty, or 64 KiB", async (x) => {
    const long = "x".repeat(65_536);
    await write(x, { name: "a", value: "" });
    await write(x, { name: "b", value: long });
    expect((await read(x)).map(({ value }) => value)).toEqual(["", long]);
  });

  exam("every printable name is a name of its own, and no character has a special meaning", async (x) => {
    const names = [
      "%",
      "_",
      "*",
      "a",
      "a%",
      "a*b",
      "a_b",
      "a\\b",
      "a{b",
      "A",
      "[a]",
      "?",
      '"',
      "'",
      " ",
      "~",
    ];
    const longest = "z".repeat(255);
    const writes = [...names, longest].map((name) => ({ name, value: name, until: x.t + HOUR_MS }));
    await x.store.writeDocuments(writes, x.t);
    expect(namesOf(await read(x))).toEqual([...names, longest].toSorted());
    for (const { name, value } of await read(x)) expect(value).toBe(name);
    for (const prefix of ["a", "a_", "a*", "a%", "a\\", "A", "?", "[", "*", "z", "~", "b"]) {
      const begun = [...names, longest].filter((name) => name.startsWith(prefix)).toSorted();
      expect({ prefix, names: namesOf(await read(x, prefix)) }).toEqual({ prefix, names: begun });
    }
  });

  exam("versions rise by one from 1", async (x) => {
    for (const version of [1, 2, 3]) {
      expect(await write(x, { value: `v${version}`, until: x.t + HOUR_MS + version })).toBe("ok");
      expect(await read(x)).toEqual([
        { name: "n", value: `v${version}`, version, until: x.t + HOUR_MS + version },
      ]);
    }
  });

  exam("a document is written only over the version that its writer has seen", async (x) => {
    expect(await write(x, { ifVersion: 1 })).toBe("stale");
    expect(await read(x)).toEqual([]);
    expect(await write(x, { ifVersion: 0, value: "first" })).toBe("ok");
    expect(await write(x, { ifVersion: 0, value: "too late" })).toBe("stale");
    expect(await write(x, { ifVersion: 2, value: "too early" })).toBe("stale");
    expect(only(await read(x))).toMatchObject({ value: "first", version: 1 });
    expect(await write(x, { ifVersion: 1, value: "second" })).toBe("ok");
    expect(only(await read(x))).toMatchObject({ value: "second", version: 2 });
  });

  exam("null deletes, where the version is the one that was seen", async (x) => {
    await write(x, {});
    expect(await write(x, { value: null, ifVersion: 2 })).toBe("stale");
    expect(await write(x, { value: null, ifVersion: 0 })).toBe("stale");
    expect((await read(x)).length).toBe(1);
    expect(await write(x, { value: null, ifVersion: 1 })).toBe("ok");
    expect(await read(x)).toEqual([]);
    expect(await write(x, { value: null, ifVersion: 1 })).toBe("stale");
  });

  exam("a missing document can be deleted without a version, or with the version 0", async (x) => {
    expect(await write(x, { value: null })).toBe("ok");
    expect(await write(x, { value: null, ifVersion: 0 })).toBe("ok");
    await write(x, {});
    expect(await write(x, { value: null })).toBe("ok");
    expect(await read(x)).toEqual([]);
  });

  exam("a document that is written after its deletion has the version 1", async (x) => {
    await write(x, {});
    await write(x, {});
    await write(x, { value: null });
    expect(await write(x, { ifVersion: 0, value: "new" })).toBe("ok");
    expect(only(await read(x))).toMatchObject({ value: "new", version: 1 });
  });

  exam("an expired document counts as missing, exactly to the millisecond", async (x) => {
    const until = x.t + 1_000;
    await write(x, { until });
    await write(x, { until });
    expect((await read(x, "", until - 1)).length).toBe(1);
    expect(await read(x, "", until)).toEqual([]);
    expect(await write(x, { ifVersion: 0, until: until + 1_000 }, until - 1)).toBe("stale");
    expect(await write(x, { ifVersion: 2, until: until + 1_000 }, until)).toBe("stale");
    expect(await write(x, { ifVersion: 0, value: "next", until: until + 1_000 }, until)).toBe("ok");
    expect(only(await read(x, "", until))).toMatchObject({ value: "next", version: 1 });
  });

  exam(
    "a write over an expired document is like a write of a missing one, for each expected version",
    async (x) => {
      await write(x, { until: x.t + 5 });
      await write(x, { until: x.t + 5 });
      expect(await write(x, { value: "next" }, x.t + 5)).toBe("ok");
      expect(only(await read(x, "", x.t + 5))).toMatchObject({ value: "next", version: 1 });
    },
  );

  exam("each write of a call is carried out on its own and answered in its place", async (x) => {
    await write(x, { name: "b" });
    await write(x, { name: "d" });
    const until = x.t + HOUR_MS;
    const answers = await x.store.writeDocuments(
      [
        { name: "c", value: "c", until, ifVersion: 0 },
        { name: "b", value: "late", until, ifVersion: 0 },
        { name: "d", value: null, until },
        { name: "a", value: "a", until },
        { name: "none", value: null, until, ifVersion: 3 },
      ],
      x.t,
    );
    expect(answers).toEqual(["ok", "stale", "ok", "ok", "stale"]);
    expect((await read(x)).map(({ name, value }) => [name, value])).toEqual([
      ["a", "a"],
      ["b", "v"],
      ["c", "c"],
    ]);
  });

  exam("a call without writes has no answers", async (x) => {
    expect(await x.store.writeDocuments([], x.t)).toEqual([]);
    expect(await read(x)).toEqual([]);
  });

  exam(
    "documents are not tasks, tasks are not documents, and documents are not in the change log",
    async (x) => {
      await x.add();
      const from = await x.end();
      await write(x, {});
      await write(x, { value: null });
      expect(await x.end()).toEqual(from);
      expect(await x.store.count({})).toBe(1);
      expect(await read(x)).toEqual([]);
    },
  );

  exam("of many writers that have read the same version exactly one writes", async (x) => {
    for (const ifVersion of [0, 1, 2]) {
      const contenders = Array.from({ length: 20 }, (_, n) => ({
        connection: n % 2 === 0 ? x.store : x.peer,
        entry: { name: "n", value: `${ifVersion}-${n}`, until: x.t + HOUR_MS, ifVersion },
      }));
      const answers = await Promise.all(
        contenders.map(({ connection, entry }) => connection.writeDocuments([entry], x.t)),
      );
      const winners = contenders.filter((_, n) => answers[n]?.[0] === "ok");
      expect(winners.length).toBe(1);
      expect(only(await read(x))).toMatchObject({ value: only(winners).entry.value, version: ifVersion + 1 });
    }
  });

  exam("writes at the same time without an expected version are all carried out", async (x) => {
    const writes = Array.from({ length: 20 }, (_, n) =>
      (n % 2 === 0 ? x.store : x.peer).writeDocuments(
        // in different orders, so that a store that locks the names one by one must sort them first
        (n % 3 === 0 ? ["a", "b", "c"] : ["c", "b", "a"]).map((name) => ({
          name,
          value: `${n}`,
          until: x.t + HOUR_MS,
        })),
        x.t,
      ),
    );
    expect((await Promise.all(writes)).flat()).toEqual(Array.from({ length: 60 }, () => "ok" as const));
    expect((await read(x)).map(({ version }) => version)).toEqual([20, 20, 20]);
  });

  exam("many documents are read page by page, in the order of their names", async (x) => {
    const names = Array.from({ length: 2_510 }, (_, n) => `n/${String(n).padStart(5, "0")}`);
    for (let at = 0; at < names.length; at += 1_001) {
      const writes = names.slice(at, at + 1_001).map((name) => ({ name, value: "", until: x.t + HOUR_MS }));
      await x.store.writeDocuments(writes.toReversed(), x.t);
    }
    await write(x, { name: "m" });
    const pages = await documentPages(x.store, "n/", x.t);
    expect(namesOf(pages.flat())).toEqual(names);
    for (const page of pages) expect(page.length).toBeLessThanOrEqual(DOCUMENTS_PER_PAGE);
    expect(namesOf(await read(x, "n/02"))).toEqual(names.slice(2_000));
    expect((await x.store.readDocuments("n/", x.t, "n/025")).documents.length).toBe(10);
    expect(await x.store.readDocuments("n/", x.t, "o")).toEqual({ documents: [], next: null });
    expect(namesOf((await x.store.readDocuments("n/", x.t, "a")).documents)[0]).toBe("n/00000");
  });

  exam("a page of documents ends at about 8 MiB", async (x) => {
    const value = "x".repeat(65_536);
    const names = Array.from({ length: 200 }, (_, n) => `large/${String(n).padStart(3, "0")}`);
    for (let at = 0; at < names.length; at += 50) {
      const writes = names.slice(at, at + 50).map((name) => ({ name, value, until: x.t + HOUR_MS }));
      await x.store.writeDocuments(writes, x.t);
    }
    const pages = await documentPages(x.store, "large/", x.t);
    expect(namesOf(pages.flat())).toEqual(names);
    for (const page of pages)
      expect(page.length * value.length).toBeLessThanOrEqual(ANSWER_BYTES + value.length);
  });

  exam("pages of expired documents do not end the reading early", async (x) => {
    const names = Array.from({ length: 2_100 }, (_, n) => `n/${String(n).padStart(5, "0")}`);
    for (let at = 0; at < names.length; at += 1_050) {
      const writes = names.slice(at, at + 1_050).map((name, n) => ({
        ...{ name, value: "" },
        until: at + n === 2_099 ? x.t + HOUR_MS : x.t + 10,
      }));
      await x.store.writeDocuments(writes, x.t);
    }
    expect(namesOf(await read(x, "n/", x.t + 10))).toEqual(["n/02099"]);
  });
}
