/** Names of files and of tests in the documents, and links between the documents, against the files of the repository. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Glob } from "bun";

const ROOT = join(import.meta.dir, "..");
const FOLDERS = ["bench", "docs", "examples", "findings", "scripts", "src", "test", "web"];

/** A path below one of the folders. */
const PATH = new RegExp(`(?<![\\w./-])(?:${FOLDERS.join("|")})/[\\w./-]*\\w(?:/|\\b)`, "g");
/** The recipes use these words for names that the reader chooses. */
const PLACEHOLDER = /NAME|NNN/;
const LINK = /\]\(([^)#:]+)(?:#[^)]*)?\)/g;
const TEST_WITH_NAME = /([\w./-]+\.(?:test|suite)\.ts) "([^"…]+)/g;

const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

const documents = ["*.md", "docs/*.md", "bench/*.md", "examples/*/*.md"]
  .flatMap((pattern) => [...new Glob(pattern).scanSync({ cwd: ROOT })])
  .filter((path) => path !== "CHANGELOG.md") // old versions had other files
  .sort();

describe.each(documents)("%s", (document) => {
  const text = read(document);

  test("names only files and folders that exist", () => {
    const missing = [...text.matchAll(PATH)]
      .map(([path]) => path)
      .filter((path) => !PLACEHOLDER.test(path) && !existsSync(join(ROOT, path)));
    expect(missing).toEqual([]);
  });

  test("links only to files that exist", () => {
    const targets = [...text.matchAll(LINK)].map(([, target = ""]) => target.trim());
    expect(targets.filter((target) => !existsSync(join(ROOT, dirname(document), target)))).toEqual([]);
  });

  test("quotes only names of tests that their files have", () => {
    const unknown = [...text.matchAll(TEST_WITH_NAME)].filter(
      ([, path = "", name = ""]) => !read(path).includes(name.trim()),
    );
    expect(unknown.map(([quote]) => quote)).toEqual([]);
  });
});

test("the documents of the repository are read", () => {
  expect(documents).toContain("docs/failures.md");
  expect(documents.some((document) => [...read(document).matchAll(LINK)].length > 0)).toBe(true);
});
