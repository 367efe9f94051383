import { expect } from "bun:test";
import { edit } from "../../core/lifecycle.ts";
import { matchesSearch, parseSearch } from "../../core/search.ts";
import { type Exam, type Examinee, idsOf, type Spec, walk } from "./examinee.ts";

/** The searched tasks; a query names by index those that it must find. */
const DOCUMENTS: readonly Spec[] = [
  { name: "Привет Мир", description: "Ёжик в тумане" },
  { name: "Straße nach Köln" },
  { name: "STRASSE NACH KO\u0308LN" },
  { name: "ΟΔΥΣΣΕΥΣ", description: "σοφός" },
  { name: "100% sure", description: "snake_case and back\\slash 'quoted' \"double\"" },
  { name: "100 sure", description: "snakeXcase" },
  { name: "hello", description: "world", payload: '{"note":"third part"}' },
  {
    name: "user",
    payload: '{"user":{"name":"Ann Über","age":42,"vip":true,"none":null},"tags":["x","Ünï"]}',
  },
  { name: "user", payload: '{"user":{"name":"Bob","age":7,"vip":false,"a.b":"dot"}}' },
  { name: "a text alone", payload: '"solitary"' },
  { name: "null", payload: "null" },
  { name: "deep", description: `${"x".repeat(5_000)}bottom` },
  { name: "fullwidth ＡＢＣ and ﬁ" },
];

const QUERIES: readonly (readonly [query: string, found: readonly number[]])[] = [
  ["привет", [0]],
  ["ПРИВЕТ", [0]],
  ["мир ёжик", [0]],
  ["ёЖИК ТУМАН", [0]],
  ["рив", [0]],
  ["strasse", [1, 2]],
  ["STRAßE", [1, 2]],
  ["köln", [1, 2]],
  ["KO\u0308LN", [1, 2]],
  ["οδυσσευς", [3]],
  ["ΟΔΥΣΣΕΥς σοφόσ", [3]],
  ["100%", [4]],
  ["snake_case", [4]],
  ["back\\slash", [4]],
  ["'quoted'", [4]],
  ['"double"', [4]],
  ["100 sure", [4, 5]],
  ["hello world", [6]],
  ["world hello third", [6]],
  ["hello absent", []],
  ["helloworld", []],
  ["ann", [7]],
  ["über", [7]],
  ["ünï", [7]],
  ["vip", []],
  ["42", []],
  ["solitary", [9]],
  ["bottom", []],
  ["deep", [11]],
  ["abc", [12]],
  ["fi", [12]],
  ["payload.user.name:ANN", [7]],
  ["payload.user.name:über", [7]],
  ["payload.user.age:42", [7]],
  ["payload.user.age:7", [8]],
  ["payload.user.vip:true", [7]],
  ["payload.user.vip:false", [8]],
  ["payload.user.none:null", []],
  ["payload.user:ann", []],
  ["payload.name:ann", []],
  ["payload.user.name.first:ann", []],
  ["payload.tags.1:ünï", [7]],
  ["payload.tags.0:ünï", []],
  ["payload.tags.length:2", []],
  ["payload.constructor.name:object", []],
  ["payload.note:part", [6]],
  ["user payload.user.name:bob", [8]],
  ["deep payload.user.name:bob", []],
  ["payload.user.name:b payload.user.age:7", [8]],
  ["absent", []],
];

const find = async ({ store }: Examinee, query: string): Promise<number[]> =>
  idsOf(await walk(store, { filter: { search: parseSearch(query) }, sort: "id", limit: 100 }));

export function examineSearch(exam: Exam): void {
  exam("each query finds the tasks that core/search finds, and no others", async (x) => {
    const tasks = await x.addAll(DOCUMENTS);
    for (const [query, found] of QUERIES) {
      const byRule = tasks.filter((task) => matchesSearch(task, parseSearch(query))).map(({ id }) => id - 1);
      expect({ query, found: byRule }).toEqual({ query, found: [...found] });
      expect({ query, ids: await find(x, query) }).toEqual({ query, ids: found.map((index) => index + 1) });
    }
  });

  exam("a search finds the text of an edit, not the text before it", async (x) => {
    const task = await x.add({ name: "old name", payload: '{"a":"old payload"}' });
    await x.step(task, edit(task, { name: "new name", payload: '{"a":"new payload"}' }, x.t));
    expect(await find(x, "old")).toEqual([]);
    expect(await find(x, "payload.a:old")).toEqual([]);
    expect(await find(x, "new name")).toEqual([task.id]);
    expect(await find(x, "payload.a:new")).toEqual([task.id]);
  });

  exam("a search finds tasks in every status", async (x) => {
    const name = "иголка";
    await x.ended("done", { name });
    await x.ended("failed", { name });
    await x.ended("cancelled", { name });
    await x.run({ name });
    await x.add({ name });
    await x.add({ name: "сено" });
    expect(await find(x, "Иголка")).toEqual([1, 2, 3, 4, 5]);
  });
}
